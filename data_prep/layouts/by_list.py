"""Layouts told by a list in the dataset: JSON of the Decathlon, nnU-Net 1 or MONAI."""

import re
from codecs import BOM_UTF8
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Literal

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import room
from data_prep.core.parse import MAX_BYTES, parse_json, usable, whole
from data_prep.core.values.channel_names import CHANNEL
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import stem, suffix_of
from data_prep.layouts.by_dicom import kind_of_label, series_in
from data_prep.layouts.cases import (
    Case,
    Layout,
    alike,
    duplicate,
    groups_in,
    inside,
    kept_apart,
    layout_of,
    no_channel,
    no_image,
)
from data_prep.layouts.lists.declared import declared, regions_of
from data_prep.layouts.lists.in_vain import keys_in_vain
from data_prep.layouts.lists.records import ids_of, split_and_fold, with_parts
from data_prep.layouts.words import by_role, names_validation, role_of, split_of, test_of

_LISTS = ("training", "validation", "test", "testing")
_START = 1 << 20  # bytes that tell whether a file is a list, if it is too large to be read


def listed(tree: Tree) -> Layout | None:
    """JSON with a list `training` of `image` and `label`: Decathlon, nnU-Net 1, MONAI datalist."""
    found = description(tree, "training", list)
    if found is None:
        return None
    name, described = found
    root = PurePosixPath(name).parent
    decathlon = PurePosixPath(name).name == "dataset.json"
    results: list[Case | DataError | None] = []
    with usable("LAY_JSON", name, "repair the list"):
        labels, channels = declared(described)
        regions = regions_of(described)
        tests = [*described.get("test", []), *described.get("testing", [])]
        apart = [*described.get("validation", []), *tests]
        if not described["training"] and not apart:
            raise ValueError("no cases")
        for key, value in described.items():
            if key not in _LISTS and isinstance(value, list) and _names_images(value):
                raise ValueError(f"a list {key!r} of images; call it one of {', '.join(_LISTS)}")
        training, told = with_parts(described["training"], apart, name)
        ids, told_of_ids = ids_of(training, apart, name)
        for record, id_ in zip(training, ids, strict=False):
            results.append(_of_record(tree, root, name, record, id_, test=False))
        tests_found = [
            _of_record(tree, root, name, record, id_, test=True)
            for record, id_ in zip(apart, ids[len(training) :], strict=True)
        ]
        hidden = [case for case in tests_found if isinstance(case, Case) and not case.labels]
        results += [case for case in tests_found if case not in hidden]
        results = _without_tested(results, {name for case in hidden for name in case.files})
        validating = sum(names_validation(*split_and_fold(r)) for r in training)
        validating += len(described.get("validation", []))
        counts = {"numTraining": len(described["training"]), "numTest": len(tests)}
        results += miscounted(name, described, counts | {"numValidation": validating})
    kind = "decathlon" if decathlon else "monai datalist"
    layout = sorted_layout(kind, results, labels, channels)
    findings = kept_apart(validating, name)
    findings += (*told, *told_of_ids, *keys_in_vain(described, _LISTS, name, layout.ids))
    return replace(layout, listed_in=name, findings=findings, apart=tuple(hidden), regions=regions)


def _names_images(records: list) -> bool:
    return any(isinstance(record, dict) and "image" in map(role_of, record) for record in records)


def _of_record(
    tree: Tree, root: PurePosixPath, name: str, record: Any, id_: str | None, *, test: bool
) -> Case | DataError:
    """Return the case of a record, or what is wrong with it."""
    named_by = PurePosixPath(name).name
    if test and isinstance(record, str):
        record = {"image": record}
    if not isinstance(record, dict):
        raise ValueError(f"a record that is no object with image and label: {record!r:.80}")
    images = _images_in(tree, root, named_by, record)
    label = _label_in(record)
    label = None if label is None else inside(tree, root, label, named_by)
    try:
        split = (test_of if test else split_of)(*split_and_fold(record))
    except ValueError as error:
        case, fix = id_ or _id_of(tree, images, label), "number folds 0, 1, ..."
        fix = "say one of them" if test else fix
        return DataError("LAY_FOLD", str(error), fix, case=case, file=name)
    if label is None and test:
        return pair(tree, images, None, "test", id_)  # whose reference others keep
    return pair(tree, images, label, split, id_, groups_in(record))


def _images_in(tree: Tree, root: PurePosixPath, named_by: str, record: dict) -> list[str]:
    roles, _ = by_role([key for key in record if role_of(key) == "image"])
    images = record[roles["image"]]
    images = [images] if isinstance(images, str) else list(images)
    return [inside(tree, root, image, named_by) for image in images]


def _label_in(record: dict) -> Any:
    """Return the label of a record, by its usual names; `None` if it has none.

    Raises:
        ValueError: if it has several.
    """
    roles, _ = by_role([key for key in record if role_of(key) == "label"])
    return record[roles["label"]] if roles else None


def _without_tested(
    results: list[Case | DataError | None], hidden: set[str]
) -> list[Case | DataError | None]:
    """Return the results, an error for each case with an image that the test set holds, too."""
    return [
        DataError(
            "SPLIT_LEAK",
            "its image is listed for test, too",
            "remove it from one of the lists",
            case=result.id,
            file=result.image,
        )
        if isinstance(result, Case) and hidden & {name for files in result.scans for name in files}
        else result
        for result in results
    ]


def _id_of(tree: Tree, images: list[str], label: str | None) -> str:
    """Return the name of an image, without nnU-Net's number of its channel if it has one.

    One that ends in `_0001` may as well be the second of many images.
    """
    name = stem(images[0])
    whole = CHANNEL.sub("", name)
    second = images[0].replace(f"{whole}_0000", f"{whole}_0001")
    of_channels = len(images) > 1 or (
        stem(label) == whole if label else name == f"{whole}_0000" and second not in tree.names
    )
    return whole if of_channels else name


def pair(
    tree: Tree,
    images: list[str],
    label: str | None,
    split: Literal["test"] | int | None,
    id_: str | None = None,
    groups: tuple[str | None, str | None] = (None, None),
) -> Case | DataError:
    """Return the case of listed files, or what is wrong with it.

    Args:
        tree: where the files are.
        images: a file or the folder of a DICOM series, or one a channel.
        label: file of the label, if one is listed.
        split: `test`, the number of a fold, or nothing.
        id_: id of the case. Default: from the name of its image.
        groups: its group and its patient, see `groups_in`.
    """
    id_ = (id_ or "").strip()
    if len(images) == 1 and images[0] not in tree.names:
        id_ = id_ or CHANNEL.sub("", stem(images[0]))
        images = _channels_of(tree, images[0]) or images  # as nnU-Net 1 lists them
    id_ = id_ or _id_of(tree, images, label)
    if len(set(images)) != len(images):
        return duplicate(id_, images)
    scans: list[tuple[str, ...]] = []
    modalities: list[str] = []
    for image in images:
        series = None if image in tree.names else series_in(tree, image)
        if isinstance(series, DataError):
            series.case = id_  # in place of the one by its folder
            return series
        if image not in tree.names and series is None and len(images) > 1:
            return no_channel(id_, label or images[0], images.index(image), image)
        if image not in tree.names and series is None:
            return no_image(id_, label or images[0], image)
        scans.append(series.scans[0] if series else (image,))
        modalities += series.channels or () if series else ()
    labels = (label,) if label in tree.names else ()
    return Case(
        id_,
        tuple(scans),
        labels,
        kind_of_label(tree, labels[0]) if labels else "classes",
        *groups,
        split=split,
        wanted=label or "a label in the list",
        channels=tuple(modalities) if len(modalities) == len(scans) else None,
    )


def sorted_layout(
    kind: str,
    results: list[Case | DataError | None],
    labels: dict[str, int] | None,
    channels: tuple[str, ...] | None,
) -> Layout:
    """Return the layout of cases, and of what is wrong with others."""
    cases = [result for result in results if isinstance(result, Case)]
    problems = [result for result in results if isinstance(result, DataError)]
    return layout_of(kind, cases, problems, labels, channels or alike(cases))


def _channels_of(tree: Tree, image: str) -> list[str]:
    suffix = suffix_of(image)
    start = image[: len(image) - len(suffix)]
    pattern = re.compile(re.escape(start) + r"_\d{4}" + re.escape(suffix))
    return sorted(name for name in tree.names if pattern.fullmatch(name))


def description(tree: Tree, key: str, kind: type) -> tuple[str, dict] | None:
    """Return the only JSON file that holds `key`; of facts on channels, `dataset.json` is it.

    Raises:
        DataError: LAY_JSON if it cannot be used, LAY_LISTS if there are several; as `Tree.read` if
            it cannot be read.
    """
    names = [name for name in tree.names if name.lower().endswith(".json")]
    named = {name for name in names if PurePosixPath(name).name == "dataset.json"}
    near = {name for name in names if len(PurePosixPath(name).parts) <= 2}
    found = []
    for name in sorted(named | near if key == "training" else named or near):
        data = _bytes_of(tree, name, key, whole=name in named)
        if name not in named and not _holds(data, key):
            continue
        with usable("LAY_JSON", name, "repair the list"):
            content = parse_json(data)
            if key == "training" and key in content:
                _check_training(content[key], whole=name in named or _holds(data, "image"))
        if name in named and key == "channel_names" and not isinstance(content.get(key, {}), dict):
            wrong = f"channel_names is {content[key]!r:.80}"
            fix = 'number them, such as {"0": "CT"}'
            raise DataError("LAY_JSON", wrong, fix, file=name)
        if isinstance(content.get(key), kind):
            found.append((name, content))
    if len(found) > 1:
        raise several_lists([name for name, _ in found])
    return found[0] if found else None


def other_list(tree: Tree) -> str | None:
    """Return a JSON file that lists images and is read by no layout, if there is one."""
    for name in tree.names:
        if name.lower().endswith((".json", ".jsonl")) and name.count("/") < 2:
            data = _bytes_of(tree, name, "training", whole=False).removeprefix(BOM_UTF8)
            if not any(_holds(data, key) for key in ("image", "img", "scan")):
                continue
            if data.lstrip()[:1] == b"[" or re.match(rb"\s*\{[^\n]*\}\s*\n\s*\{", data):
                return name  # records alone, also a line each
            try:
                content = parse_json(data)
            except (ValueError, RecursionError):
                continue  # which is no list, whatever it is
            if "training" not in content and _lists_images(content):
                return name
    return None


def _lists_images(content: dict) -> bool:
    inner = [part for part in content.values() if isinstance(part, dict)]
    lists = [part for part in content.values() if isinstance(part, list)]
    return any(map(_names_images, lists)) or any(map(_lists_images, inner))


def _bytes_of(tree: Tree, name: str, key: str, *, whole: bool) -> bytes:
    """Return the content of a file; of one that cannot be read whole and is no list, nothing.

    Raises:
        DataError: as `Tree.read`, if it is a list by its name (`whole`) or its beginning.
    """
    try:
        return tree.read(name, MAX_BYTES + 1)
    except DataError as error:
        try:
            start = tree.read(name, min(_START, room(100)))
        except DataError:
            start = b""  # `find_layout` tells of it
        if whole or _holds(start, key):
            raise error from None
        return b""


def _holds(data: bytes, key: str) -> bool:
    return f'"{key}"'.encode() in data.replace(b"\0", b"")  # in UTF-16, too


def _check_training(found: Any, *, whole: bool) -> None:
    """Refuse as a list of cases what is none; settings may have that name, too.

    Args:
        found: what JSON holds for `training`.
        whole: whether the file is a list of cases for sure.

    Raises:
        ValueError: if it is none.
    """
    if not isinstance(found, list) and (whole or not found):
        raise ValueError(f"training must be a list of cases, got {type(found).__name__}")


def several_lists(names: list[str]) -> DataError:
    """Return the error of several lists of cases where one is due."""
    return DataError(
        "LAY_LISTS",
        f"several lists of cases: {', '.join(names[:4])}",
        "give the list, or the folder of one dataset, as DATA",
    )


def miscounted(name: str, described: dict, found: dict[str, int]) -> list[DataError]:
    """Return an error for each number declared that is not the number found."""
    declared = {key: whole(described[key]) for key in found if key in described}
    return [
        DataError(
            "SET_COUNT",
            f"{key} {number} declared, {found[key]} found",
            "add what is missing, or correct the number",
            file=name,
        )
        for key, number in declared.items()
        if number != found[key]
    ]
