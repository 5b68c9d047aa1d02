"""Write the cases of a raw dataset that can be used in another layout, in their exact values."""

import csv
import io
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from data_prep.checks.run import Checked, check, nothing_left
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError, set_aside
from data_prep.core.findings import Finding, Findings
from data_prep.core.memory_limits import bytes_of, memory_within
from data_prep.core.progress import Progress, silent
from data_prep.core.scan import UNNAMED, Scan
from data_prep.files.atomic import write_bytes, write_json
from data_prep.files.file_tree import open_tree
from data_prep.files.output_folder import below, check_free, check_output, own_folder
from data_prep.formats.encode import encode
from data_prep.formats.registry import suffix_of
from data_prep.layouts import Case
from data_prep.planning.classes import with_ignored
from data_prep.planning.seeding import Seeding
from data_prep.planning.splits import given_folds
from data_prep.preprocessing.instances import IGNORED
from data_prep.reading.case import read_checked
from data_prep.seeded import CHANNEL, LABELS, fewer_made, points_of, seeded_cases

Target = Literal["folders", "nnunet", "monai"]
_VOID = 65535  # of voxels that are of no object, and ignored


def convert(
    data: str | Path,
    out: str | Path,
    config: DataConfig,
    to: Target = "folders",
    progress: Progress = silent,
    seeding: Seeding | None = None,
    **jobs: Any,
) -> tuple[list[str], Checked, list[DataError]]:
    """Write the usable cases of `data` to `out`; what was repaired or doubtful is recorded.

    Labels hold class numbers, or those of objects from 1 on with `instances`, 65535 where they are
    ignored; volumes are NIfTI, and nothing of a header but the place is kept.
    2D images that are neither grey nor in three colours are a file a channel.

    Args:
        data: a folder, zip or tar in a known layout.
        out: folder to write to; what an earlier conversion wrote there is replaced.
        config: the user's decisions.
        to: `folders` (`images/`, `labels/`), `nnunet` (raw, a file a channel) or `monai`
            (folders with `datalist.json`, which also has folds and groups). Cases kept apart for
            testing go to `images_test/` and `labels_test/`, or `imagesTs/` and `labelsTs/`.
        progress: wraps each loop over cases.
        seeding: how other cases are made of each, see `seeded_cases`, which are written in its
            place. All of one image are of one group, its own.
        jobs: how checking is spread, as in `check`.

    Returns:
        Ids of the cases written, what was found (with `seeding`, its layout is of the cases that
        were made), and an error for each case left out.

    Raises:
        DataError: OUT_TAKEN if `out` holds other files than an earlier conversion's; if no case
            can be used, see `Checked.require_usable`; SEED_IMAGE if a channel is called `seed`
            that `seeding` would add.
    """
    tree, out = open_tree(data), Path(out)
    check_output(out, data)
    check_free(out, "convert")
    checked = check(data, config, progress, tree=tree, **jobs)
    checked.require_usable()
    if seeding and CHANNEL in checked.rules.channels:
        found = f"a channel is called {CHANNEL}: points are marked already"
        raise DataError("SEED_IMAGE", found, "give the images without that channel")
    problems = list(checked.errors)
    memory = bytes_of(jobs.get("max_ram"))
    with own_folder(out, "convert") as output:
        written: dict[str, tuple[list[str], str]] = {}
        made: list[Case] = []
        points: dict[str, dict] = {}
        cases = [case for case in checked.layout.cases if case.id in checked.facts]
        for case in progress(cases, "writing"):
            source = checked.facts[case.id].source
            findings = Findings(config.accept)
            with set_aside(problems, case.id), memory_within(memory):
                objects = seeding is None and checked.rules.instances is not None
                image, label = read_checked(
                    tree, case, checked.rules, findings, source, ids=objects
                )
                if seeding is None:
                    label = label.holding(_numbered(label.array)) if objects else label
                    written[case.id] = _write(case, image, label, out, to)
                    continue
                seeded = seeded_cases(image, label, case.id, seeding)
                for one in seeded:
                    made.append(replace(case, id=one.id, group=checked.groups[case.id]))
                    written[one.id] = _write(made[-1], one.image, one.label, out, to)
                points[case.id] = points_of(seeded)
        if not written:
            raise nothing_left(problems)
        used = points.keys() if seeding else written.keys()
        kept = [f for f in checked.findings if f.case in used or f.case is None]
        if seeding:
            write_json(out / "seeds.json", {"seeding": asdict(seeding), "images": points})
            checked = _seeded(checked, made, fewer_made(points, seeding))
        if to == "nnunet":
            problems += _other_endings(written)
        _describe(checked, written, out, to)
        write_json(
            out / "repairs.json",
            [
                {n: getattr(f, n) for n in ("case", "level", "code", "found", "file")}
                for f in (finding.for_records() for finding in kept)
                if f.level != "error"
            ],
        )
        output.remove_rest()
    return sorted(written), checked, problems


def _seeded(checked: Checked, made: list[Case], found: list[Finding]) -> Checked:
    """Return what was checked with the cases that were made in place of the images'."""
    return replace(
        checked,
        layout=replace(checked.layout, cases=tuple(made)),
        rules=replace(
            checked.rules, channels=(*checked.rules.channels, CHANNEL), labels=LABELS, regions=()
        ),
        findings=(*checked.findings, *found),
    )


def _write(case: Case, image: Scan, label: Scan, out: Path, to: Target) -> tuple[list[str], str]:
    """Write a case, and return the names of its image files and of its label file.

    Cases that are kept apart for testing go to folders of their own, which are read so.
    """
    case_id, tested = case.id, case.split == "test"
    if to == "nnunet":
        folders = ("imagesTs", "labelsTs") if tested else ("imagesTr", "labelsTr")
    else:
        folders = ("images_test", "labels_test") if tested else ("images", "labels")
    # nnU-Net takes the channels of a volume from a file each, colours of a 2D image from one; no
    # other channels of a 2D image have a file together.
    flat = image.affine is None
    apart = len(image.array) not in (1, 3) if flat else to == "nnunet"
    parts = [image.holding(c[None]) for c in image.array] if apart else [image]
    images = []
    for number, part in enumerate(parts):
        suffix, content = encode(part)
        ending = f"_{number:04d}" if to == "nnunet" or apart else ""
        images.append(f"{folders[0]}/{case_id}{ending}{suffix}")
        write_bytes(below(out, images[-1]), content)
    suffix, content = encode(label)
    name = f"{folders[1]}/{case_id}{suffix}"
    write_bytes(below(out, name), content)
    return images, name


def _numbered(ids: np.ndarray) -> np.ndarray:
    """Return numbers of objects in the smallest of uint8 and uint16, `_VOID` where ignored.

    Raises:
        DataError: OUT_TYPE for more objects than those can number.
    """
    ignored = ids == IGNORED
    most = int(ids.max(initial=0, where=~ignored))
    if most >= _VOID:
        found = f"{most} objects, which 16 bits cannot number"
        raise DataError("OUT_TYPE", found, "cut the image into parts")
    kind = np.min_scalar_type(_VOID if ignored.any() else most)
    return np.where(ignored, _VOID, ids).astype(kind)


def _describe(
    checked: Checked, written: dict[str, tuple[list[str], str]], out: Path, to: Target
) -> None:
    rules = checked.rules
    objects = rules.instances is not None
    void = _VOID if objects and rules.void is not None else rules.void
    labels: dict[str, Any] = with_ignored(rules.stated if objects else rules.labels, void)
    order: dict[str, Any] = {}
    if rules.regions:  # as nnU-Net declares them, which names no classes
        regions = {region.name: list(region.classes) for region in rules.regions}
        labels = with_ignored({"background": 0}, rules.void) | regions
        order = {"regions_class_order": [region.painted for region in rules.regions]}
    if to == "folders":
        _list(checked, written, out)
        channels = {str(i): name for i, name in enumerate(rules.channels)}
        named = {} if rules.channels == UNNAMED else {"channel_names": channels}
        write_json(out / "dataset.json", named | {"labels": labels} | order)
    elif to == "nnunet":
        endings = Counter(suffix_of(label) for _, label in written.values())
        write_json(
            out / "dataset.json",
            {
                "channel_names": {str(i): name for i, name in enumerate(rules.channels)},
                "labels": labels,
                "numTraining": sum("imagesTr/" in images[0] for images, _ in written.values()),
                "file_ending": endings.most_common(1)[0][0],
            }
            | order,
        )
        _list_folds(checked, written, out)
    elif to == "monai":
        splits = {case.id: case.split for case in checked.layout.cases}
        told = {case.id: case.group for case in checked.layout.cases}
        lists: dict[str, list[dict]] = {"training": [], "test": []}
        for id_, (images, label) in sorted(written.items()):
            record: dict = {"image": images if images[1:] else images[0], "label": label}
            if isinstance(splits[id_], int):
                record["fold"] = splits[id_]
            if told[id_]:
                record["group"] = told[id_]
            lists["test" if splits[id_] == "test" else "training"].append(record)
        numbered = {str(number): name for name, number in labels.items()}
        described = order | {
            "labels": labels if rules.regions else numbered,
            "modality": {str(i): name for i, name in enumerate(rules.channels)},
        }
        write_json(out / "datalist.json", described | lists)


def _other_endings(written: dict[str, tuple[list[str], str]]) -> list[DataError]:
    """Return an error for each case whose files end in another way than most: nnU-Net reads one."""
    of_case = {
        id_: {suffix_of(n) for n in (*images, label)} for id_, (images, label) in written.items()
    }
    ((usual, _),) = Counter(e for ends in of_case.values() for e in ends).most_common(1)
    return [
        DataError(
            "OUT_TYPE",
            f"it is written as {' and '.join(sorted(ends))}, others as {usual}: nnU-Net reads one",
            "convert its image to the type of the others, or take another layout",
            case=id_,
        )
        for id_, ends in of_case.items()
        if ends != {usual}
    ]


def _list(checked: Checked, written: dict[str, tuple[list[str], str]], out: Path) -> None:
    """Write `cases.csv`, where folders cannot tell of folds, groups and files of channels."""
    cases = [case for case in checked.layout.cases if case.id in written]
    several = any(len(images) > 1 for images, _ in written.values())
    if not several and not any(case.group or isinstance(case.split, int) for case in cases):
        return
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(("image", "label", "id", "group", "fold"))
    for case in cases:
        images, label = written[case.id]
        fold = "" if case.split is None else case.split
        rows.writerow(("|".join(images), label, case.id, case.group or "", fold))
    write_bytes(out / "cases.csv", text.getvalue().encode())


def _list_folds(checked: Checked, written: dict[str, tuple[list[str], str]], out: Path) -> None:
    """Write `splits_final.json`, nnU-Net's list of folds, where the dataset has several."""
    cases = [case for case in checked.layout.cases if case.id in written]
    folds = {case.id: case.split for case in cases if isinstance(case.split, int)}
    if len(set(folds.values())) > 1:
        write_json(out / "splits_final.json", given_folds(folds))


def lost_of(checked: Checked, to: Target) -> list[Finding]:
    """Return a warning of what the layout that was written cannot tell."""
    findings = Findings()
    grouped = sum(case.group is not None for case in checked.layout.cases)
    if to == "nnunet" and grouped:
        found = f"groups of {grouped} cases, such as patients, are not in what nnU-Net reads"
        findings.warn("SPLIT_LOST", found, "make folds by group, or write monai or folders")
    return findings.found
