"""Layouts told by the names of folders and files."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.cases import Case, Layout, duplicate, kept_apart, layout_of, no_image
from data_prep.layouts.split_folders import kept_for_testing, of_no_part, shared_folders
from data_prep.layouts.words import is_split, part_of_folders, split_of_part, without_part

LABEL_FOLDERS = (
    *("mask", "masks", "label", "labels", "labelstr", "labelsts", "gt", "groundtruth"),
    *("ground truth", "ground_truth", "seg", "segmentation", "segmentations", "annotations"),
)
IMAGE_FOLDERS = (
    *("image", "images", "img", "imgs", "imagestr", "imagests", "scan", "scans", "original"),
    *("volume", "volumes"),
)
_LABEL_WORDS = (
    *("mask", "masks", "label", "labels", "seg", "segmentation", "gt", "groundtruth"),
    *("labelmap", "annotation", "manual"),
)
_IMAGE_WORDS = ("image", "img", "scan", "volume", "vol", "orig", "original", "ct", "mr", "mri")


def dsb2018(tree: Tree) -> Layout | None:
    """A folder a case: `x/images/x.png` and one mask a nucleus in `x/masks/`."""
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
        alike = defaultdict(list)
        for mask in masks[id_]:
            alike[stem(mask)].append(mask)
        twice = next((found for found in (names, *alike.values()) if len(found) > 1), None)
        if twice:
            problems.append(duplicate(id_, twice))
        elif not masks[id_]:
            cases.append(Case(id_, ((names[0],),), wanted=f"{id_}/masks/"))
        else:
            cases.append(Case(id_, ((names[0],),), tuple(masks[id_]), kind="objects"))
    problems += [no_image(id_, names[0]) for id_, names in masks.items() if id_ not in images]
    return layout_of("dsb2018", cases, problems)


def folder_pairs(tree: Tree) -> Layout | None:
    """A folder of images and a folder of labels, such as `images/x.png` and `masks/x_mask.png`.

    Folders for training, validation and testing, above or beside, as in `test/images` or
    `images_test`, say so: what is for validation or testing is kept apart. Images for testing may
    all be without labels.
    """
    images: dict[str, list[str]] = defaultdict(list)  # by the part of the split
    labels: dict[str, list[str]] = defaultdict(list)
    problems: list[DataError] = []
    silent, training = [], 0
    names = [name for name in tree.names if is_scan_name(name)]
    shared = shared_folders(names)
    for name in names:
        folders = PurePosixPath(name).parts[shared:-1]
        kinds = {folder.lower() for folder in folders} | set(map(without_part, folders))
        if not kinds & {*LABEL_FOLDERS, *IMAGE_FOLDERS}:
            continue
        try:
            told = part_of_folders(folders)
        except ValueError as error:
            problems.append(DataError("LAY_FOLD", str(error), "rename the folders", file=name))
            continue
        labelled = bool(kinds & set(LABEL_FOLDERS))
        (labels if labelled else images)[told or "train"].append(name)
        silent += [] if labelled or told else [name]
        training += told == "train"
    if not images or not labels:
        return None
    if not is_split(images):
        images = {"train": [name for names in images.values() for name in names]}
        labels = {"train": [name for names in labels.values() for name in names]}
    layout = _parted(images, labels, problems)
    findings = of_no_part(silent, training)
    return replace(layout, findings=(*layout.findings, *findings))


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


def lits(tree: Tree) -> Layout | None:
    """`volume-N.nii` with `segmentation-N.nii`, in any folders."""
    images, labels = {}, {}
    for name in filter(is_scan_name, tree.names):
        if found := re.fullmatch(r"(volume|segmentation)-(\d+)", stem(name)):
            (images if found[1] == "volume" else labels).setdefault(found[2], []).append(name)
    if not images or not labels:
        return None
    cases, problems = [], []
    for number, names in images.items():
        found = labels.get(number, [])
        if len(names) > 1 or len(found) > 1:
            problems.append(duplicate(f"volume-{number}", [*names, *found]))
        else:
            wanted = f"segmentation-{number}"
            cases.append(Case(f"volume-{number}", ((names[0],),), tuple(found), wanted=wanted))
    problems += [
        no_image(f"volume-{number}", names[0], f"volume-{number}")
        for number, names in labels.items()
        if number not in images
    ]
    return layout_of("lits", cases, problems)


def file_pairs(tree: Tree) -> Layout | None:
    """Labels beside their images: `x.png` with `x_mask.png`, `img_1.tif` with `mask_1.tif`."""
    names = [name for name in tree.names if is_scan_name(name)]
    labels = [name for name in names if set(_words(stem(name))) & set(_LABEL_WORDS)]
    images = [name for name in names if name not in set(labels)]
    if not images or not labels:
        return None
    cases, problems = _paired(images, labels, "a file of its name with _mask or _seg")
    layout = layout_of("file pairs", cases, problems)
    return layout if layout.cases else None


def _paired(
    images: list[str], labels: list[str], wanted: str
) -> tuple[list[Case], list[DataError]]:
    """Pair by equal stems where there are such, else by stems without the words for either."""
    by_image = defaultdict(list)
    for file in images:
        by_image[stem(file)].append(file)
    by_key = defaultdict(list)
    for id_ in by_image:
        by_key[_key(id_)].append(id_)
    by_label = defaultdict(list)
    for file in labels:
        # An image may itself be called x_mask; only what has no such image is the mask of x.
        exact, ids = stem(file), by_key[_key(stem(file))]
        by_label[exact if exact in by_image or len(ids) != 1 else ids[0]].append(file)
    cases, problems = [], []
    for id_, files in by_image.items():
        if len(files) > 1 or len(by_label[id_]) > 1:
            problems.append(duplicate(id_, [*files, *by_label[id_]]))
        else:
            cases.append(Case(id_, ((files[0],),), tuple(by_label[id_]), wanted=wanted))
    problems += [no_image(id_, files[0]) for id_, files in by_label.items() if id_ not in by_image]
    return cases, problems


def _words(text: str) -> list[str]:
    return re.split(r"[_\-. ]+", text.lower())


def _key(text: str) -> str:
    """Return a stem without the words that say whether it is an image or a label."""
    return "_".join(w for w in _words(text) if w not in _LABEL_WORDS + _IMAGE_WORDS)
