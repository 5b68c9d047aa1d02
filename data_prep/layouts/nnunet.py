"""Raw datasets of nnU-Net, and the list of folds that lies beside them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Question
from data_prep.core.parse import MAX_BYTES, parse_json, read_json, usable
from data_prep.core.values.channel_names import CHANNEL
from data_prep.files.file_tree import Tree
from data_prep.formats.images_2d import SUFFIXES
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.by_list import (
    description,
    miscounted,
    pair,
    sorted_layout,
)
from data_prep.layouts.cases import (
    Case,
    Layout,
    duplicate,
    groups_in,
    inside,
    kept_apart,
    no_channel,
    no_image,
)
from data_prep.layouts.lists.declared import declared, regions_of
from data_prep.layouts.lists.in_vain import keys_in_vain
from data_prep.layouts.lists.records import split_and_fold, with_parts
from data_prep.layouts.words import part_of_folders, split_of, without_part
from data_prep.planning.splits import fold_of

_FOLDS = "splits_final.json"
_DESCRIPTION = "dataset.json"
_TOLD = ("labels", "channel_names", "modality")
_COLOURS = 3
_FIX = "give it by dataset.split_file, or remove it"


def _folds_beside(
    tree: Tree, root: PurePosixPath, ids: Collection[str]
) -> tuple[dict[str, int], tuple[Finding, ...]]:
    """Return the fold that validates each case, if `splits_final.json` says so of all of them.

    Returns:
        case id to number of its fold, and a warning if the file is there and is not used.

    Raises:
        DataError: SPLIT_FILE if it is no list of folds, or names cases that are in neither side;
            as `Tree.read` if it cannot be read.
    """
    name = (root / _FOLDS).as_posix()
    if name not in tree.names:
        return {}, ()
    data = tree.read(name, MAX_BYTES + 1)
    with usable("SPLIT_FILE", name, "give a list of folds with train and val"):
        folds = [fold_of(fold) for fold in parse_json(data, list)]
        validating = {id_: n for n, fold in enumerate(folds) for id_ in fold["val"]}
        whole = len(folds) > 1 and all(_is_partition(fold, set(ids)) for fold in folds)
    times = sum(len(fold["val"]) for fold in folds)
    if whole and validating.keys() == set(ids) and times == len(validating):
        return validating, ()
    found = "its folds do not validate each case of imagesTr once, so they are not used"
    return {}, (Question("warning", "LAY_UNUSED", found, _FIX, file=name, about=("split",)),)


def _is_partition(fold: Mapping[str, Any], ids: set[str]) -> bool:
    sides = [*fold["train"], *fold["val"]]
    return len(sides) == len(ids) and set(sides) == ids


def nnunet(tree: Tree) -> Layout | None:
    """nnU-Net raw: `imagesTr/x_0000.nii.gz`, a file a channel, and `labelsTr/x.nii.gz`.

    `dataset.json` may be missing; if it has a key `dataset`, that names the files of the training
    cases. A 2D image in colours is one file. Cases of `imagesTs` with a label in `labelsTs` are
    the test set, and with them those for validation, in folders such as `imagesVa`. Folds are
    those of `splits_final.json`, if it lies beside.
    """
    found = description(tree, "channel_names", dict) or description(tree, "modality", dict)
    name, described = found or ("", {})
    roots = {PurePosixPath(name).parent} if found else _roots(tree)
    if len(roots) != 1:
        return None
    (root,) = roots
    ending = str(described.get("file_ending") or "")
    images, labels = _training_and_testing(tree, root, ending)
    named = described.get("dataset")
    if not (named or any(images.values())) or not (found or labels["Tr"]):
        return None
    results: list[Case | DataError | None] = []
    told: tuple[Finding, ...] = ()
    with usable("LAY_JSON", name, "repair the list"):
        labels_declared, channels = declared(described)
        if named:
            count = len(channels or ())
            records, told = with_parts(list(named.values()), [], name)
            results += [
                _of_record(tree, name, id_, record, count)
                for id_, record in zip(named, records, strict=True)
            ]
            del images["Tr"], labels["Tr"]
        training = list(map(str, named or images["Tr"]))
        counts = {"numTraining": len(training), "numTest": len(images["Ts"])}
        counts |= {"numValidation": len(images["Va"])}
        results += miscounted(name, described, counts)
        regions = regions_of(described)
    results += _other_ending(tree, root, name, ending)
    count = len(channels or max(images.get("Tr", {}).values(), key=len, default=()))
    apart: list[Case] = []
    for part, by_id in images.items():
        for id_, files in by_id.items():
            case = _of_channels(id_, files, labels[part].get(id_, []), count, part)
            # Of tests without labels only images are there, which are no cases to learn from.
            alone = part == "Ts" or (part == "Va" and not labels["Va"])
            if alone and isinstance(case, Case) and not case.labels:
                apart.append(case)
            else:
                results.append(case)
        results += [
            no_image(id_, files[0], f"images{part}/{id_}_0000")
            for id_, files in labels[part].items()
            if id_ not in by_id
        ]
    validating = sum(bool(labels["Va"].get(id_)) for id_ in images["Va"])
    folds, findings = _folds_beside(tree, root, training)
    results = [
        replace(case, split=folds[case.id])
        if isinstance(case, Case) and case.split is None and case.id in folds
        else case
        for case in results
    ]
    layout = sorted_layout("nnunet", results, labels_declared, channels)
    return replace(
        layout,
        listed_in=name,
        apart=tuple(apart),
        findings=(
            *findings,
            *kept_apart(validating, "imagesVa or its like"),
            *told,
            *keys_in_vain(described, ("dataset",) if named else (), name, layout.ids),
        ),
        regions=regions,
        read=((root / _FOLDS).as_posix(),),
    )


def described_beside(tree: Tree, layout: Layout) -> Layout:
    """Return a layout with the classes and channels that a `dataset.json` beside it declares.

    What names of files tell of channels stands.

    Raises:
        DataError: LAY_JSON if it cannot be used.
    """
    if layout.listed_in == _DESCRIPTION or _DESCRIPTION not in tree.names:
        return layout
    with usable("LAY_JSON", _DESCRIPTION, "repair it, or take it out"):
        content = parse_json(tree.read(_DESCRIPTION, MAX_BYTES + 1), object)
        content = content if isinstance(content, dict) else {}
        told = {key: content[key] for key in _TOLD if isinstance(content.get(key), dict)}
        labels, channels = declared(told)
        order = content.get("regions_class_order")
        regions = regions_of(told | {"regions_class_order": order})
    return replace(
        layout,
        findings=(*layout.findings, *keys_in_vain(content, (), _DESCRIPTION, layout.ids)),
        labels=layout.labels or labels,
        channels=layout.channels or channels,
        regions=layout.regions or regions,
        described_in=_DESCRIPTION if told else "",
    )


def several_sets(tree: Tree) -> None:
    """Refuse a folder of several raw datasets without a list.

    Raises:
        DataError: LAY_LISTS.
    """
    labelled = {PurePosixPath(n).parent.parent for n in tree.names if "labelsTr/" in n}
    several = sorted(root.as_posix() for root in _roots(tree) & labelled)
    if len(several) > 1:
        found = f"several datasets of nnU-Net: {', '.join(several[:4])}"
        raise DataError("LAY_LISTS", found, "give the folder of one dataset as DATA")


def _of_record(tree: Tree, name: str, id_: str, record: Any, count: int) -> Case | DataError:
    """Return the case that the key `dataset` names the files of, or what is wrong with it."""
    root = PurePosixPath(name).parent
    images = [inside(tree, root, str(image), name) for image in record["images"]]
    if not images or not isinstance(record["images"], list):
        raise ValueError(f"case {id_!r:.80} names no list of images")
    label = inside(tree, root, str(record["label"]), name)
    try:
        split = split_of(*split_and_fold(record))
    except ValueError as error:
        return DataError("LAY_FOLD", str(error), "number folds 0, 1, ...", case=str(id_), file=name)
    case = pair(tree, images, label, split, str(id_), groups_in(record))
    if isinstance(case, Case) and len(case.scans) != count and not _in_colours(images, count):
        found = f"files of {len(case.scans)} channels, {count} declared"
        return DataError("CH_COUNT", found, "name a file for each channel", case=str(id_))
    return case


def _in_colours(files: list[str], count: int) -> bool:
    """Tell whether one 2D image may hold all channels; nnU-Net takes its colours for them."""
    return len(files) == 1 and count == _COLOURS and files[0].lower().endswith(SUFFIXES)


def joined_channels(layout: Layout, count: int | None = None, root: Path | None = None) -> Layout:
    """Return a layout of images alone, a case of each `x_0000`, `x_0001` ... as nnU-Net has them.

    Args:
        layout: of images; any other is returned as it is, as are images of other names, and those
            that are numbered from 1 on.
        count: of channels. Default: as many as the case of most.
        root: where they are; a `dataset.json` beside this folder names the channels.

    Raises:
        DataError: LAY_JSON if that cannot be used.
    """
    channels = [CHANNEL.search(case.id) for case in layout.cases]
    first = any(found and int(found[1]) == 0 for found in channels)
    if layout.name != "images" or not all(channels) or not first:
        return layout
    by_id: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for case, channel in zip(layout.cases, channels, strict=True):
        if channel:
            by_id[case.id[: channel.start()]][int(channel[1])].append(case.image)
    count = count or max(len(files) for files in by_id.values())
    found = [_of_channels(id_, files, [], count, "Ts") for id_, files in by_id.items()]
    cases = tuple(replace(case, split=None) for case in found if isinstance(case, Case))
    problems = [error for error in found if isinstance(error, DataError)]
    named = layout.channels or (None if root is None else _channels_above(root))
    return replace(layout, cases=cases, problems=(*layout.problems, *problems), channels=named)


def _channels_above(folder: Path) -> tuple[str, ...] | None:
    """Return the channels that the set says of which a folder like `imagesTs` was given alone."""
    path = folder.resolve().parent / _DESCRIPTION
    if not _kind_and_part(folder.resolve().name)[0] or not path.is_file():
        return None
    with usable("LAY_JSON", path, "repair it, or take it out"):
        content = read_json(path)
        told = {key: content[key] for key in _TOLD[1:] if isinstance(content.get(key), dict)}
        return declared(told)[1] if told else None


def _roots(tree: Tree) -> set[PurePosixPath]:
    """Return the folders that hold images as nnU-Net names them."""
    paths = (PurePosixPath(name) for name in tree.names if CHANNEL.search(stem(name)))
    return {path.parent.parent for path in paths if path.parent.name == "imagesTr"}


def _training_and_testing(
    tree: Tree, root: PurePosixPath, ending: str
) -> tuple[dict[str, dict[str, dict[int, list[str]]]], dict[str, dict[str, list[str]]]]:
    """Return the files of `imagesTr` and its like by part, case and channel, and those of labels.

    Only those of the ending that is declared, as nnU-Net reads them, if there are any.
    """
    files = list(filter(is_scan_name, tree.names))
    files = [file for file in files if file.endswith(ending)] or files
    images: dict[str, dict[str, dict[int, list[str]]]]
    images = {part: defaultdict(lambda: defaultdict(list)) for part in ("Tr", "Va", "Ts")}
    labels: dict[str, dict[str, list[str]]]
    labels = {part: defaultdict(list) for part in ("Tr", "Va", "Ts")}
    for file in files:
        path = PurePosixPath(file)
        channel = CHANNEL.search(stem(file))
        kind, part = _kind_and_part(path.parent.name) if path.parent.parent == root else ("", "")
        if kind == "images" and channel:
            images[part][stem(file)[: channel.start()]][int(channel[1])].append(file)
        elif kind == "labels":
            labels[part][stem(file)].append(file)
    return images, labels


def _kind_and_part(folder: str) -> tuple[str, str]:
    """Return what a folder holds, `images` or `labels`, and of which part; empty for any other.

    That of training is called as nnU-Net calls it; others as people do: `imagesVal`, `imagesTest`.
    """
    kind = next((kind for kind in ("images", "labels") if without_part(folder) == kind), "")
    if not kind or folder in ("imagesTr", "labelsTr"):
        return kind, "Tr" if kind else ""
    part = {"validation": "Va", "test": "Ts"}.get(part_of_folders([folder]) or "", "")
    return (kind, part) if part else ("", "")


def _of_channels(
    id_: str, files: dict[int, list[str]], labels: list[str], count: int, part: str
) -> Case | DataError:
    several = [found for found in (*files.values(), labels) if len(found) > 1]
    if several:
        return duplicate(id_, several[0])
    split: Literal["test"] | None = None if part == "Tr" else "test"
    wanted = f"labels{part}/{id_}"
    if set(files) == {0} and _in_colours(files[0], count):
        return Case(id_, ((files[0][0],),), tuple(labels), split=split, wanted=wanted)
    missing = sorted(set(range(count)) - set(files))
    if missing:
        file = next(iter(files.values()))[0]
        return no_channel(id_, file, missing[0], f"{id_}_{missing[0]:04d}")
    if len(files) > count:
        found = f"files of {len(files)} channels, {count} declared"
        return DataError("CH_COUNT", found, "declare all channels, or remove files", case=id_)
    scans = tuple((files[i][0],) for i in range(count))
    return Case(id_, scans, tuple(labels), split=split, wanted=wanted)


def _other_ending(tree: Tree, root: PurePosixPath, name: str, ending: str) -> list[DataError]:
    """Return an error if no file ends as declared."""
    own = [n for n in filter(is_scan_name, tree.names) if root in PurePosixPath(n).parents]
    if not own or any(file.endswith(ending) for file in own):
        return []
    return [
        DataError(
            "LAY_JSON",
            f"file_ending {ending!r} declared, {own[0]} found",
            "correct the ending, or add the files that are meant",
            file=name,
        )
    ]
