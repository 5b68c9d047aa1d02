"""Layouts told by the names of folders and files."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import is_scan_name, stem
from data_prep.formats.structure_names import classes_called
from data_prep.layouts.cases import (
    Case,
    LabelKind,
    Layout,
    duplicate,
    kept_apart,
    layout_of,
    no_image,
)
from data_prep.layouts.folders.labels import (
    LABEL_FOLDERS,
    in_several,
    is_label_folder,
    label_folder_of,
)
from data_prep.layouts.folders.stems import (
    OBSERVER,
    key_of,
    key_without_number,
    rest_of,
    words_of_stem,
)
from data_prep.layouts.split_folders import (
    folders_below,
    kept_for_testing,
    of_no_part,
    shared_folders,
)
from data_prep.layouts.words import (
    LABEL_WORDS,
    begins_with,
    called,
    is_split,
    part_of_folders,
    split_of_part,
    without_part,
)
from data_prep.planning.classes import is_ignore

IMAGE_FOLDERS = (
    *("image", "images", "img", "imgs", "imagestr", "imagests", "scan", "scans", "original"),
    *("volume", "volumes"),
)
_SILENT = {"", "imaging", "image", "img", "scan", "volume", "vol", "orig", "original", "data"}


def folder_pairs(
    tree: Tree, label_folder: str | None = None, *, need_labels: bool = True
) -> Layout | None:
    """A folder of images and a folder of labels, such as `images/x.png` and `masks/x_mask.png`.

    Folders for training, validation and testing, above or beside, as in `test/images` or
    `images_test`, say so: what is for validation or testing is kept apart. Images for testing may
    all be without labels. Of several folders of labels, `label_folder` names the one that is taken.

    Raises:
        DataError: LAY_LABELS, where labels are needed, if an image has labels in several folders.
    """
    images: dict[str, list[str]] = defaultdict(list)  # by the part of the split
    labels: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))  # and folder
    problems: list[DataError] = []
    parts: dict[str, str | None] = {}
    names = [name for name in tree.names if is_scan_name(name)]
    shared = shared_folders(names)
    below = folders_below(names)
    for name in names:
        folders = PurePosixPath(name).parts[shared:-1]
        labelled = label_folder_of(folders, label_folder)
        kinds = {folder.lower() for folder in folders} | set(map(without_part, folders))
        other = labelled is None and any(map(is_label_folder, folders))  # than the one named
        if other or not (labelled or kinds & set(IMAGE_FOLDERS)):
            continue
        try:
            told = part_of_folders(below[name])
        except ValueError as error:
            problems.append(DataError("LAY_FOLD", str(error), "rename the folders", file=name))
            continue
        (labels[told or "train"][labelled] if labelled else images[told or "train"]).append(name)
        if not labelled:
            parts[name] = told
    if not images or not labels:
        return None
    # Where folders of images for training are not told as such, their labels are.
    parted = is_split(images) or (images.keys() < labels.keys() and is_split(labels))
    twice = in_several(_images_by_folder(images, labels, parted=parted))
    if twice and need_labels:
        raise twice
    of_part = {} if twice else {part: _all(several) for part, several in labels.items()}
    if not parted:
        images, of_part = {"train": _all(images)}, {"train": _all(of_part)}
    layout = _parted(images, of_part, problems)
    findings = of_no_part(parts)
    return replace(layout, findings=(*layout.findings, *findings))


def _images_by_folder(
    images: Mapping[str, list[str]],
    labels: Mapping[str, Mapping[str, list[str]]],
    *,
    parted: bool,
) -> dict[str, list[str]]:
    """Return the images that each folder of labels has a label of."""
    found: dict[str, list[str]] = defaultdict(list)
    for part, folders in labels.items():
        own = images.get(part, []) if parted else _all(images)
        for folder, names in folders.items() if len(folders) > 1 else ():
            cases, _ = _paired(own, names, "")
            found[folder] += [case.image for case in cases if case.labels]
    return found


def _all(several: Mapping[str, list[str]]) -> list[str]:
    return [name for names in several.values() for name in names]


def _parted(
    images: Mapping[str, list[str]], labels: Mapping[str, list[str]], problems: list[DataError]
) -> Layout:
    """Pair within each part of a split; ids that several parts have begin with the part's name."""
    cases: dict[str, list[Case]] = {}
    for part in sorted({*images, *labels}):
        own = images.get(part, []), labels.get(part, [])
        cases[part], wrong = _paired(*own, "the folder of masks")
        problems += wrong
    ids = Counter(case.id for found in cases.values() for case in found)
    split = {
        part: [
            replace(
                case,
                id=f"{part}_{case.id}" if ids[case.id] > 1 else case.id,
                split=split_of_part(part),
            )
            for case in found
        ]
        for part, found in cases.items()
    }
    hidden = [] if labels.get("test") else split.pop("test", [])
    layout = layout_of("folder pairs", [c for found in split.values() for c in found], problems)
    findings = kept_apart(len(split.get("validation", [])), "the folders for validation")
    tested = [case.image for case in split.get("test", []) if case.labels]
    findings += kept_for_testing(tested, sum(map(len, split.values())))
    return replace(layout, unlabelled=(*layout.unlabelled, *hidden), findings=findings)


def labels_alone(names: list[str]) -> Layout:
    """The labels of one folder, as cases without an image."""
    by_id = defaultdict(list)
    for name in names:
        by_id[stem(name)].append(name)
    cases = [Case(id_, (), (files[0],)) for id_, files in by_id.items() if len(files) == 1]
    several = [duplicate(id_, files) for id_, files in by_id.items() if len(files) > 1]
    return layout_of("labels", cases, several)


def file_pairs(tree: Tree) -> Layout | None:
    """Labels beside their images: `x.png` with `x_mask.png`, `img_1.tif` with `mask_1.tif`.

    Those called `x_masks` number their objects, as Cellpose writes them.
    """
    names = [name for name in tree.names if is_scan_name(name)]
    labels = [name for name in names if set(words_of_stem(stem(name))) & set(LABEL_WORDS)]
    images = [name for name in names if name not in set(labels)]
    if not images or not labels:
        return None
    numbered = {key_of(stem(name)) for name in labels if stem(name).lower().endswith("_masks")}
    # Which Cellpose writes beside, for itself.
    own = [n for n in labels if n.lower().endswith("_seg.npy") and key_of(stem(n)) in numbered]
    labels = [name for name in labels if name not in own]
    cases, problems = _paired(images, labels, "a file of its name with _mask or _seg")
    cases = [
        replace(case, kind="numbered")
        if any(stem(name).lower().endswith("_masks") for name in case.labels)
        else case
        for case in cases
    ]
    layout = layout_of("file pairs", cases, problems)
    return layout if layout.cases else None


def _paired(
    images: list[str], labels: list[str], wanted: str
) -> tuple[list[Case], list[DataError]]:
    """Pair by equal stems where there are such, else by stems without the words for either.

    Of labels called by who drew them, numbers of observers and words for parts are left out, too.
    A case with a label and another one of a number, `x_mask` and `x_mask_1`, has several.
    """
    by_image = defaultdict(list)
    for file in images:
        by_image[stem(file)].append(file)
    by_key, by_rest = defaultdict(list), defaultdict(list)
    for id_ in by_image:
        by_key[key_of(id_)].append(id_)
        by_rest[rest_of(id_)].append(id_)
    by_label = defaultdict(list)
    for file in labels:
        # An image may itself be called x_mask; only what has no such image is the mask of x.
        exact = stem(file)
        ids = by_key[key_of(exact)]
        if not ids and OBSERVER.search(exact.lower()):
            ids = by_rest[rest_of(exact)]
        by_label[exact if exact in by_image or len(ids) != 1 else ids[0]].append(file)
    for exact in [name for name in by_label if name not in by_image]:
        key = key_without_number(exact)
        ids = by_key[key] if key is not None else []
        if len(ids) == 1 and by_label.get(ids[0]):
            by_label[ids[0]] += by_label.pop(exact)
    cases, problems = [], []
    for id_, files in by_image.items():
        if len(files) > 1 or len(by_label[id_]) > 1:
            problems.append(duplicate(id_, [*files, *by_label[id_]]))
        else:
            cases.append(Case(id_, ((files[0],),), tuple(by_label[id_]), wanted=wanted))
    problems += [no_image(id_, files[0]) for id_, files in by_label.items() if id_ not in by_image]
    return cases, problems


@dataclass
class _Folder:
    """Files of one case, by what they are called besides it: images, labels, a file a class."""

    images: dict[str, list[str]]
    labels: dict[str, list[str]]
    classes: list[str]

    @property
    def files(self) -> list[str]:
        several = [*self.images.values(), *self.labels.values()]
        return [*(file for files in several for file in files), *self.classes]


def case_folders(tree: Tree) -> Layout | None:
    """A folder a case: `x/x_t1.nii.gz`, `x/x_t2.nii.gz` and `x/x_seg.nii.gz`.

    What most folders hold are the channels, by their names. A label that is called as one of them
    is of it alone. In place of a label there may be a file for each class, named by it, in a
    folder such as `x/segmentations/`.
    """
    folders = _folders_of_cases(tree)
    images = Counter(role for found in folders.values() for role in found.images)
    channels = sorted(role for role, times in images.items() if 2 * times > len(folders))
    if not channels or not any(found.labels or found.classes for found in folders.values()):
        return None
    labels = {role for found in folders.values() for role in found.labels}
    if "" not in labels and not labels & set(channels):
        _take_as_classes(folders.values(), single=len(labels) == 1)
        labels = {role for found in folders.values() for role in found.labels}
    whole = "" in labels or not labels
    shared = shared_folders(name for found in folders.values() for name in found.files)
    results: list[Case | DataError] = []
    for folder, found in folders.items():
        id_ = "_".join(folder.parts[shared:]) or folder.name
        if whole:
            own = found.labels.get("", [])
            more = [f for role, files in found.labels.items() if role.isdecimal() for f in files]
            results.append(_of_folder(id_, found, channels, [*own, *more] if own else []))
            continue
        for role in sorted(labels & set(channels)):
            case = _of_folder(f"{id_}_{role}", found, [role], found.labels.get(role, []))
            results.append(replace(case, group=id_) if isinstance(case, Case) else case)
    named = tuple(map(str.strip, channels)) if whole else ()
    if len(named) < 2 and set(named) <= _SILENT:
        named = ()
    cases = [case for case in results if isinstance(case, Case)]
    problems = [error for error in results if isinstance(error, DataError)]
    masks = Counter(called(f) for c in cases if c.kind == "class masks" for f in c.labels)
    if len(cases) > 1 and set(masks.values()) == {1}:  # names that are those of no class
        wanted = "masks that are called alike in all folders"
        cases = [replace(c, labels=(), kind="classes", wanted=wanted) for c in cases]
        masks.clear()
    names = classes_called([{*map(called, c.labels)} for c in cases if c.kind == "class masks"])
    names = sorted(names, key=is_ignore)  # last, as classes are numbered without a gap
    numbers = {name: n for n, name in enumerate(["background", *names])} if masks else None
    return layout_of("case folders", cases, problems, numbers, named or None)


def joined_folders(layout: Layout, channels: Sequence[str]) -> Layout:
    """Return a layout of images alone, a case of each folder whose files are called as channels.

    Args:
        layout: of images; any other is returned as it is, as are images of other names.
        channels: names of those a case must have.
    """
    folders: dict[PurePosixPath, list[str]] = defaultdict(list)
    for case in layout.cases if layout.name == "images" else ():
        folders[PurePosixPath(case.image).parent].append(case.image)
    roles = {folder: roles_in(folder.name, files) for folder, files in folders.items()}
    wanted = [name.strip().lower() for name in channels]
    if not roles or not all(
        set(found) <= {*wanted} and folder.name for folder, found in roles.items()
    ):
        return layout
    shared = shared_folders(case.image for case in layout.cases)
    results = []
    for folder, files in folders.items():
        sorts = _Folder(defaultdict(list), {}, [])
        for role, file in zip(roles[folder], files, strict=True):
            sorts.images[role].append(file)
        id_ = "_".join(folder.parts[shared:]) or folder.name
        results.append(_of_folder(id_, sorts, wanted, []))
    cases = [case for case in results if isinstance(case, Case)]
    problems = [error for error in results if isinstance(error, DataError)]
    joined = layout_of("case folders", cases, [], channels=tuple(channels))
    problems += [error for error in joined.problems if error.code != "PAIR_NO_LABEL"]
    return replace(
        joined,
        cases=joined.unlabelled,
        unlabelled=(),
        problems=(*layout.problems, *problems),
        findings=layout.findings,
    )


def _take_as_classes(folders: Iterable[_Folder], *, single: bool) -> None:
    """Take labels called by more than a word for labels as files of a class each.

    Args:
        folders: of all cases, to be changed.
        single: whether all are called alike: then each is the label of its case.
    """
    for found in folders:
        files = [file for several in found.labels.values() for file in several]
        found.labels.clear()
        if single and not found.classes:
            found.labels[""] = files
        else:
            found.classes += files


def _folders_of_cases(tree: Tree) -> dict[PurePosixPath, _Folder]:
    direct: dict[PurePosixPath, list[str]] = defaultdict(list)
    below: dict[PurePosixPath, list[str]] = defaultdict(list)
    for name in filter(is_scan_name, tree.names):
        folder = PurePosixPath(name).parent
        if folder.name.lower() in LABEL_FOLDERS:
            below[folder.parent].append(name)
        else:
            direct[folder].append(name)
    found = {}
    for folder, files in direct.items():
        if not folder.name:
            continue  # of files that lie in no folder
        sorts = _Folder(defaultdict(list), defaultdict(list), below[folder])
        for role, file in zip(roles_in(folder.name, files), files, strict=True):
            kind = sorts.labels if set(words_of_stem(role)) & set(LABEL_WORDS) else sorts.images
            kind[key_of(role) if kind is sorts.labels else role].append(file)
        if len(sorts.classes) == 1 and not key_of(stem(sorts.classes[0])):
            sorts.labels[""] += [sorts.classes.pop()]  # `x/labels/seg.nii.gz`
        if sorts.images:
            found[folder] = sorts
    return found


def roles_in(folder: str, files: list[str]) -> list[str]:
    """Return what each file of a case is called, in lower case, besides the case's own name."""
    stems = [stem(file).lower() for file in files]
    start = folder.lower()
    if not all(begins_with(text, start) for text in stems):
        words = zip(*(re.split(r"(?<=[_\-. ])", text) for text in stems), strict=False)
        alike = [several[0] for several in takewhile(lambda w: len(set(w)) == 1, words)]
        start = "".join(alike) if len(stems) > 1 else ""
    return [text[len(start) :].strip("_-. ") for text in stems]


def _of_folder(
    id_: str, found: _Folder, channels: list[str], labels: list[str]
) -> Case | DataError:
    images = [found.images.get(role, []) for role in channels]
    if several := next((files for files in (*images, labels) if len(files) > 1), None):
        return duplicate(id_, several)
    missing = [role for role, files in zip(channels, images, strict=True) if not files]
    if missing:
        return no_image(id_, found.files[0], " and ".join(missing))
    kind: LabelKind = "classes" if labels else "class masks"
    masks = tuple(labels or found.classes)
    scans = tuple((files[0],) for files in images)
    return Case(id_, scans, masks, kind if masks else "classes", wanted="a label in its folder")
