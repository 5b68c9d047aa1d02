"""Layouts of public datasets that have names of their own for folders or files."""

import re
from collections import defaultdict
from pathlib import PurePosixPath

from data_prep.files.file_tree import Tree
from data_prep.formats.registry import is_scan_name, stem
from data_prep.layouts.cases import Case, Layout, duplicate, layout_of, no_image


def dsb2018(tree: Tree) -> Layout | None:
    """A folder a case: `x/images/x.png` and one mask a nucleus in `x/masks/`."""
    images: dict[str, list[str]] = defaultdict(list)
    masks: dict[str, list[str]] = defaultdict(list)
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


def lits(tree: Tree) -> Layout | None:
    """`volume-N.nii` with `segmentation-N.nii`, in any folders."""
    images: dict[str, list[str]] = {}
    labels: dict[str, list[str]] = {}
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
