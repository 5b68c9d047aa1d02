"""Find the cases of a raw dataset from the names of its files.

Layouts: folder pairs (`images/x.png` and `masks/x.png`), DSB2018 (`x/images/x.png` and one mask
a nucleus in `x/masks/`), Medical Segmentation Decathlon (`dataset.json` and NIfTI).
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from data_prep.errors import DataError
from data_prep.reading import is_scan_name, stem
from data_prep.tree import Tree

LABEL_FOLDERS = ("masks", "mask", "labels", "label", "labelstr", "gt", "groundtruth")
IMAGE_FOLDERS = ("images", "image", "imgs", "imagestr")
_MAX_ID_BYTES = 200  # leaves room for suffixes and temporary names in 255
_LABEL_ENDINGS = re.compile(r"[_-](mask|masks|label|labels|seg|gt)$", re.IGNORECASE)


@dataclass(frozen=True)
class Case:
    """One image with its labels, by file name in the tree.

    Attributes:
        id: name of the case, unique in its dataset.
        image: file of the image.
        labels: files of the label; empty where the case has none.
        objects: whether each label file is the mask of one object, its nonzero values.
    """

    id: str
    image: str
    labels: tuple[str, ...] = ()
    objects: bool = False


@dataclass(frozen=True)
class Layout:
    """The cases found, and what the dataset says of itself.

    Attributes:
        name: name of the layout.
        cases: those that are complete, by id.
        problems: one for each case that is not.
        labels: class names to numbers, where the dataset declares them.
        channels: channel names, where the dataset declares them.
    """

    name: str
    cases: tuple[Case, ...]
    problems: tuple[DataError, ...] = ()
    labels: dict[str, int] | None = None
    channels: tuple[str, ...] | None = None


def find_layout(tree: Tree, *, need_labels: bool = True) -> Layout:
    """Find the layout of a raw dataset and its cases.

    Without `need_labels`, images alone are cases, and any tree of images is a layout.

    Raises:
        DataError: LAY_UNKNOWN if no layout fits, with what was found instead.
    """
    for find in (_decathlon, _dsb2018, _folder_pairs):
        layout = find(tree)
        if layout is not None:
            return layout if need_labels else _without_label_problems(layout)
    images = [name for name in tree.names if is_scan_name(name)]
    if images and not need_labels:
        return _unique("images", [Case(stem(name), name) for name in images], [])
    raise DataError(
        "LAY_UNKNOWN",
        f"no known layout in {tree.root.name}: {_sample(tree.names)}",
        "give folders images/ and masks/ with equal file names, a DSB2018 folder or zip, or a "
        "Medical Segmentation Decathlon folder or tar",
    )


def choose(cases: Iterable[Case], only: set[str] | None) -> list[Case]:
    """Return the cases asked for.

    Raises:
        DataError: CASE_NONE if there are none, CASE_UNKNOWN if one asked for is not there.
    """
    cases = list(cases)
    if not cases or (only is not None and not only):
        raise DataError("CASE_NONE", "no case to work on", "check the folder or the list of cases")
    if only is None:
        return cases
    unknown = sorted(only - {case.id for case in cases})
    if unknown:
        raise DataError(
            "CASE_UNKNOWN",
            f"{len(unknown)} cases asked for are not there: {', '.join(unknown[:5])}",
            "check the list of cases",
        )
    return [case for case in cases if case.id in only]


def _without_label_problems(layout: Layout) -> Layout:
    known = {case.id for case in layout.cases}
    unlabelled = [
        Case(error.case, error.file)
        for error in layout.problems
        if error.code == "PAIR_NO_LABEL" and error.case not in known
    ]
    cases = tuple(sorted((*layout.cases, *unlabelled), key=lambda case: case.id))
    problems = tuple(e for e in layout.problems if e.code not in ("PAIR_NO_LABEL", "PAIR_NO_IMAGE"))
    return Layout(layout.name, cases, problems, layout.labels, layout.channels)


def _dsb2018(tree: Tree) -> Layout | None:
    images, masks = defaultdict(list), defaultdict(list)
    for name in filter(is_scan_name, tree.names):
        parts = PurePosixPath(name).parts
        if len(parts) >= 3 and parts[-2] in ("images", "masks"):
            (images if parts[-2] == "images" else masks)[parts[-3]].append(name)
    if not any(masks[id_] for id_ in images):
        return None
    # Folders images/ and masks/ inside one named folder look alike, but not their file names.
    if 2 * sum(stem(names[0]) == id_ for id_, names in images.items()) < len(images):
        return None
    cases, problems = [], []
    for id_, names in images.items():
        if len(names) > 1:
            problems.append(_duplicate(id_, names))
        elif not masks[id_]:
            problems.append(_no_label(id_, names[0], f"{id_}/masks/"))
        else:
            cases.append(Case(id_, names[0], tuple(masks[id_]), objects=True))
    problems += [_no_image(id_, names[0]) for id_, names in masks.items() if id_ not in images]
    return _unique("dsb2018", cases, problems)


def _folder_pairs(tree: Tree) -> Layout | None:
    images, labels, found = defaultdict(list), defaultdict(list), []
    for name in filter(is_scan_name, tree.names):
        parts = [part.lower() for part in PurePosixPath(name).parts[:-1]]
        if set(parts) & set(LABEL_FOLDERS):
            found.append(name)
        elif set(parts) & set(IMAGE_FOLDERS):
            images[stem(name)].append(name)
    if not images or not found:
        return None
    for name in found:
        # An image may itself be called x_mask; only what has no such image is the mask of x.
        exact = stem(name)
        labels[exact if exact in images else _LABEL_ENDINGS.sub("", exact)].append(name)
    cases, problems = [], []
    for id_, names in images.items():
        if len(names) > 1 or len(labels[id_]) > 1:
            problems.append(_duplicate(id_, [*names, *labels[id_]]))
        elif not labels[id_]:
            problems.append(_no_label(id_, names[0], "the folder of masks"))
        else:
            cases.append(Case(id_, names[0], tuple(labels[id_])))
    problems += [_no_image(id_, names[0]) for id_, names in labels.items() if id_ not in images]
    return _unique("folder pairs", cases, problems)


def _decathlon(tree: Tree) -> Layout | None:
    lists = [name for name in tree.names if PurePosixPath(name).name == "dataset.json"]
    if len(lists) != 1:
        return None
    try:
        described = json.loads(tree.read(lists[0]))
        records = described["training"]
        pairs = [(record["image"], record["label"]) for record in records]
        labels = {str(name): int(number) for number, name in described["labels"].items()}
        channels = tuple(str(name) for _, name in sorted(described["modality"].items()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            "LAY_JSON",
            f"dataset.json is not of the Decathlon's form: {type(error).__name__} {error}",
            "it needs training, labels and modality",
            file=lists[0],
        ) from error
    root = PurePosixPath(lists[0]).parent
    cases, problems = [], []
    for image, label in ((_inside(root, a), _inside(root, b)) for a, b in pairs):
        id_ = stem(image)
        if image not in tree.names:
            problems.append(_no_image(id_, label, wanted=image))
        elif label not in tree.names:
            problems.append(_no_label(id_, image, label))
        else:
            cases.append(Case(id_, image, (label,)))
    layout = _unique("decathlon", cases, problems)
    return Layout(layout.name, layout.cases, layout.problems, labels, channels)


def _inside(root: PurePosixPath, name: str) -> str:
    path = PurePosixPath(str(name))
    if path.is_absolute() or ".." in path.parts:
        raise DataError("LAY_PATH", f"dataset.json names {name!r}", "name files inside the dataset")
    return (root / path).as_posix()


def _unique(name: str, cases: list[Case], problems: list[DataError]) -> Layout:
    """Sort the cases, and turn those that share an id into problems."""
    by_id = defaultdict(list)
    for case in cases:
        by_id[case.id.casefold()].append(case)
    for case in [case for case in cases if len(case.id.encode()) > _MAX_ID_BYTES]:
        problems.append(
            DataError("CASE_NAME", f"a name of over {_MAX_ID_BYTES} bytes", "rename", case=case.id)
        )
        del by_id[case.id.casefold()]
    alone = sorted((group[0] for group in by_id.values() if len(group) == 1), key=lambda c: c.id)
    for group in by_id.values():
        if len(group) > 1:
            problems.append(_duplicate(group[0].id, [case.image for case in group]))
    return Layout(name, tuple(alone), tuple(problems))


def _no_label(id_: str, image: str, wanted: str) -> DataError:
    return DataError(
        "PAIR_NO_LABEL",
        f"no label, looked for {wanted}",
        "add it, or remove the image",
        case=id_,
        file=image,
    )


def _no_image(id_: str, label: str, wanted: str = "the folder of images") -> DataError:
    return DataError(
        "PAIR_NO_IMAGE",
        f"no image, looked for {wanted}",
        "add it, or remove the label",
        case=id_,
        file=label,
    )


def _duplicate(id_: str, names: list[str]) -> DataError:
    return DataError(
        "PAIR_DUPLICATE",
        f"several files for one case: {_sample(names)}",
        "keep one, or rename",
        case=id_,
    )


def _sample(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
