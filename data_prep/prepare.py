"""Prepare a raw dataset: read and check every case, plan, preprocess, split, write."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.checks import check_image, check_same_grid
from data_prep.config import DataConfig, Plan
from data_prep.dataset import SCHEMA, CaseRecord, Dataset, load_dataset, save_dataset
from data_prep.display import thumbnail
from data_prep.errors import DataError
from data_prep.labels import read_case_label
from data_prep.layouts import Case, find_layout
from data_prep.plan import classes_of, fit_plan
from data_prep.preprocess import grid_of, intensity_of, to_grid
from data_prep.progress import Progress, silent
from data_prep.reading import read_scan
from data_prep.scan import Scan, fit_channels, spacing_of
from data_prep.splits import group_of, make_folds
from data_prep.tree import Tree, check_output, open_tree
from data_prep.writer import write_array, write_bytes

_PREVIOUS = "previous.json"  # the description of what was here, while it is prepared anew


@dataclass(frozen=True)
class _Seen:
    """What the plan needs to know of a case."""

    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    source: dict[str, str]
    foreground: bool


def prepare(
    data: str | Path, out: str | Path, config: DataConfig, progress: Progress = silent
) -> tuple[Dataset, list[DataError]]:
    """Prepare the raw dataset at `data` into the folder `out`.

    Cases with an error are left out and reported; the others are prepared. Cases already in
    `out` are used again when neither their files nor anything they depend on has changed.

    Args:
        data: a folder, zip or tar in a known layout, see `find_layout`.
        out: folder to write to; made if missing.
        config: the user's decisions.
        progress: wraps each loop over cases, given a title.

    Returns:
        The dataset, and one error for each case left out.

    Raises:
        DataError: if nothing can be prepared; then nothing is written.
    """
    tree = open_tree(data)
    check_output(out, tree, data)
    layout = find_layout(tree)
    labels = classes_of(config, layout.labels)
    channels = config.channels or layout.channels or ("image",)
    problems = list(layout.problems)

    seen: dict[str, _Seen] = {}
    for case in progress(layout.cases, "checking"):
        try:
            seen[case.id] = _look(tree, case, channels, labels, config)
        except DataError as error:
            problems.append(error.at(case=case.id))
    if not seen:
        raise _nothing_left(problems)
    if not any(s.foreground for s in seen.values()):
        raise DataError(
            "LBL_ALL_EMPTY", "no case has any foreground", "check the labels and dataset.label_map"
        )
    sizes, spacings = [s.size for s in seen.values()], [s.spacing for s in seen.values()]
    plan = fit_plan(config, labels, channels, sizes, spacings)
    groups = {case_id: group_of(case_id, config.group_pattern) for case_id in seen}
    make_folds(groups, config.folds, config.seed)  # refuses before anything is written

    out = Path(out)
    before = _cases_before(out)
    # While arrays change, the folder must not pass for a dataset.
    if (out / "dataset.json").exists():
        (out / "dataset.json").replace(out / _PREVIOUS)
    records = {}
    for case in progress([case for case in layout.cases if case.id in seen], "preparing"):
        record = _unchanged(out, before.get(case.id), seen[case.id], plan, groups[case.id])
        try:
            records[case.id] = record or _write_case(
                tree, case, out, plan, groups[case.id], seen[case.id]
            )
        except DataError as error:
            problems.append(error.at(case=case.id))
    groups = {case_id: group for case_id, group in groups.items() if case_id in records}
    folds = make_folds(groups, config.folds, config.seed)
    dataset = Dataset(out, layout.name, plan, records, folds)
    save_dataset(dataset)
    (out / _PREVIOUS).unlink(missing_ok=True)
    return dataset, problems


def _look(
    tree: Tree, case: Case, channels: tuple[str, ...], labels: dict[str, int], config: DataConfig
) -> _Seen:
    image, label = _read(tree, case, channels, labels, config.label_map)
    grid = grid_of(image, None)
    spacing = None if grid.turned_affine is None else spacing_of(grid.turned_affine)
    source = {name: hashlib.sha256(tree.read(name)).hexdigest() for name in _files(case)}
    return _Seen(grid.turned_size, spacing, source, bool(label.array.any()))


def _files(case: Case) -> tuple[str, ...]:
    return (case.image, *case.labels)


def _read(
    tree: Tree,
    case: Case,
    channels: tuple[str, ...],
    labels: dict[str, int],
    label_map: dict[int, int],
) -> tuple[Scan, Scan]:
    image = read_scan(tree, case.image)
    try:
        image = fit_channels(image, channels)
        check_image(image)
    except DataError as error:
        raise error.at(file=case.image) from None
    label = read_case_label(tree, case, labels, label_map)
    check_same_grid(image, label)
    return image, label


def _write_case(
    tree: Tree, case: Case, out: Path, plan: Plan, group: str, seen: _Seen
) -> CaseRecord:
    image, label = _read(tree, case, plan.channels, plan.labels, plan.label_map)
    grid = grid_of(image, plan.spacing)
    image_array = to_grid(image.array, grid)
    label_array = to_grid(label.array, grid, label=True)
    if label.array.any() and not label_array.any():
        raise DataError(
            "LBL_LOST", f"no label is left at {plan.spacing} mm", "give a finer dataset.spacing"
        )
    shift, scale = intensity_of(image.array, plan)
    image_name, label_name = f"images/{case.id}.npy", f"labels/{case.id}.npy"
    sha256 = {
        image_name: write_array(out / image_name, image_array),
        label_name: write_array(out / label_name, label_array),
    }
    write_bytes(out / f"qc/{case.id}.png", thumbnail(image_array, label_array))
    voxels = np.bincount(label_array.ravel(), minlength=plan.num_classes).tolist()
    return CaseRecord(
        case.id,
        group,
        image_name,
        label_name,
        grid.size,
        shift,
        scale,
        voxels,
        sha256,
        seen.source,
        _made_with(plan),
    )


def _made_with(plan: Plan) -> str:
    """Hash what the arrays of a case depend on besides its files."""
    used = asdict(plan)
    del used["why"], used["patch_size"]
    text = json.dumps([SCHEMA, used], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _unchanged(
    out: Path, before: CaseRecord | None, seen: _Seen, plan: Plan, group: str
) -> CaseRecord | None:
    """Return the case's record if its arrays can be used as they are."""
    if before is None or before.source != seen.source or before.made_with != _made_with(plan):
        return None
    for name, sha256 in before.sha256.items():
        path = out / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            return None
    return replace(before, group=group)


def _cases_before(out: Path) -> dict[str, CaseRecord]:
    for described in ("dataset.json", _PREVIOUS):
        try:
            return load_dataset(out, described).cases
        except DataError:
            continue  # none there, or from another version: prepared anew
    return {}


def _nothing_left(problems: list[DataError]) -> DataError:
    if not problems:
        return DataError("LAY_EMPTY", "no cases", "check the folder")
    return DataError(
        "SET_EMPTY",
        f"none of {len(problems)} cases can be used, the first: {problems[0]}",
        "repair the cases",
    )
