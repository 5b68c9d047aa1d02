"""Layouts told by a list in the dataset: JSON of the Decathlon, nnU-Net or MONAI, or CSV."""

import csv
import io
import json
import re
from collections import defaultdict
from pathlib import PurePosixPath

from data_prep.errors import DataError
from data_prep.layouts.cases import Case, Layout, duplicate, inside, layout_of, no_image
from data_prep.reading import is_scan_name, stem, suffix_of
from data_prep.tree import Tree

_MAX_LIST_BYTES = 64 << 20
_CHANNEL = re.compile(r"_(\d{4})$")
_CSV_GROUPS = ("group", "patient", "patient_id", "subject", "site")


def listed(tree: Tree) -> Layout | None:
    """JSON with a list `training` of `image` and `label`: Decathlon, nnU-Net 1, MONAI datalist."""
    found = _description(tree, "training", list)
    if found is None:
        return None
    name, described = found
    root = PurePosixPath(name).parent
    decathlon = PurePosixPath(name).name == "dataset.json"
    cases, problems = [], []
    try:
        labels, channels = _declared(described)
        records = [(record, None) for record in described["training"]]
        for split in ("validation", "test", "testing"):
            records += [(r, "test") for r in described.get(split, []) if isinstance(r, dict)]
        for record, split in records:
            images = record["image"]
            images = [images] if isinstance(images, str) else list(images)
            images = [inside(root, image, PurePosixPath(name).name) for image in images]
            label = record.get("label")
            if label is None and split == "test":
                continue  # hidden references: images alone are no cases to learn from
            label = None if label is None else inside(root, label, PurePosixPath(name).name)
            split = split if split else record.get("fold")
            if split is not None and split != "test":
                split = int(split)
            case, problem = _pair(tree, images, label, split)
            (cases if case else problems).append(case or problem)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(name, error) from error
    kind = "decathlon" if decathlon else "monai datalist"
    return layout_of(kind, cases, problems, labels, channels)


def nnunet(tree: Tree) -> Layout | None:
    """nnU-Net raw: `imagesTr/x_0000.nii.gz`, a file a channel, and `labelsTr/x.nii.gz`."""
    found = _description(tree, "channel_names", dict) or _description(tree, "modality", dict)
    if found is None:
        return None
    name, described = found
    root = PurePosixPath(name).parent
    images, labels = defaultdict(dict), {}
    for file in filter(is_scan_name, tree.names):
        path = PurePosixPath(file)
        if path.parent == root / "imagesTr" and (channel := _CHANNEL.search(stem(file))):
            images[stem(file)[: channel.start()]][int(channel[1])] = file
        elif path.parent == root / "labelsTr":
            labels[stem(file)] = file
    if not images:
        return None
    try:
        declared, channels = _declared(described)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(name, error) from error
    count = len(channels) if channels else max(map(len, images.values()))
    cases, problems = [], []
    for id_, files in images.items():
        missing = sorted(set(range(count)) - set(files))
        if missing:
            any_file = next(iter(files.values()))
            problems.append(no_image(id_, any_file, f"{id_}_{missing[0]:04d}"))
        else:
            scans = tuple((files[i],) for i in range(count))
            label = (labels[id_],) if id_ in labels else ()
            cases.append(Case(id_, scans, label, wanted=f"labelsTr/{id_}"))
    problems += [
        no_image(id_, file, f"imagesTr/{id_}_0000")
        for id_, file in labels.items()
        if id_ not in images
    ]
    return layout_of("nnunet", cases, problems, declared, channels)


def csv_list(tree: Tree) -> Layout | None:
    """The only CSV file, with a column `image`, perhaps `label`, `id`, `patient`, `split`."""
    lists = [name for name in tree.names if name.lower().endswith(".csv")]
    if len(lists) != 1:
        return None
    (name,) = lists
    try:
        text = tree.read(name, _MAX_LIST_BYTES).decode("utf-8-sig")
        dialect = _dialect(text)
        rows = list(csv.DictReader(io.StringIO(text), dialect=dialect, strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None  # some other table
    rows = [{(k or "").strip().lower(): (v or "") for k, v in row.items()} for row in rows]
    if not rows or "image" not in rows[0]:
        return None
    root = PurePosixPath(name).parent
    group_column = next((g for g in _CSV_GROUPS if g in rows[0]), None)
    cases, problems = [], []
    for row in rows:
        images = [inside(root, image, name) for image in re.split(r"\s*\|\s*", row["image"])]
        label = inside(root, row["label"], name) if row.get("label") else None
        split = row.get("split", row.get("fold", "")).strip().lower()
        split = "test" if split == "test" else int(split) if split.isdigit() else None
        case, problem = _pair(
            tree, images, label, split, row.get("id") or None, row.get(group_column or "") or None
        )
        (cases if case else problems).append(case or problem)
    return layout_of("csv", cases, problems)


def _dialect(text: str) -> type[csv.Dialect]:
    try:
        return csv.Sniffer().sniff(text[:4096], ",;\t")
    except csv.Error:  # a single column has no delimiter to be found
        return csv.excel


def _pair(
    tree: Tree,
    images: list[str],
    label: str | None,
    split: str | int | None,
    id_: str | None = None,
    group: str | None = None,
) -> tuple[Case | None, DataError | None]:
    """Return the case of listed files, or what is wrong with it."""
    if len(images) == 1 and images[0] not in tree.names:
        images = _channels_of(tree, images[0]) or images  # as nnU-Net 1 lists them
    id_ = id_ or _CHANNEL.sub("", stem(images[0]))
    missing = [image for image in images if image not in tree.names]
    if missing:
        return None, no_image(id_, label or images[0], missing[0])
    if len(set(images)) != len(images):
        return None, duplicate(id_, images)
    labels = (label,) if label in tree.names else ()
    wanted = label or "a label in the list"
    scans = tuple((image,) for image in images)
    return Case(id_, scans, labels, group=group, split=split, wanted=wanted), None


def _channels_of(tree: Tree, image: str) -> list[str]:
    suffix = suffix_of(image)
    start = image[: len(image) - len(suffix)]
    pattern = re.compile(re.escape(start) + r"_\d{4}" + re.escape(suffix))
    return sorted(name for name in tree.names if pattern.fullmatch(name))


def _description(tree: Tree, key: str, kind: type) -> tuple[str, dict] | None:
    """Return the JSON file that holds `key`: `dataset.json`, else the only one that does."""
    names = [name for name in tree.names if name.lower().endswith(".json")]
    named = [name for name in names if PurePosixPath(name).name == "dataset.json"]
    found = []
    for name in named or [n for n in names if len(PurePosixPath(n).parts) <= 2][:20]:
        try:
            content = json.loads(tree.read(name, _MAX_LIST_BYTES))
        except (ValueError, RecursionError) as error:
            if named:
                raise _unusable(name, error) from error
            continue
        if isinstance(content, dict) and isinstance(content.get(key), kind):
            found.append((name, content))
    return found[0] if len(found) == 1 else None


def _declared(described: dict) -> tuple[dict[str, int] | None, tuple[str, ...] | None]:
    """Return classes and channels, written either way round: by number or by name."""
    labels = described.get("labels")
    if labels is not None:
        by_number = all(str(key).isdigit() for key in labels)
        if not by_number and any(isinstance(value, list) for value in labels.values()):
            raise ValueError("labels of overlapping regions, which are not supported")
        pairs = ((n, k) if by_number else (k, n) for k, n in labels.items())
        labels = {str(name): int(number) for name, number in pairs}
        labels = {name: n for name, n in labels.items() if name != "ignore"}
    channels = described.get("channel_names", described.get("modality"))
    if channels is not None:
        channels = tuple(str(channels[key]) for key in sorted(channels, key=int))
    return labels, channels


def _unusable(name: str, error: Exception) -> DataError:
    return DataError(
        "LAY_JSON", f"{name} cannot be used: {type(error).__name__} {error}", "repair the list"
    )
