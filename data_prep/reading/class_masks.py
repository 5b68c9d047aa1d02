"""A mask for each class in a file of its own, named by the class."""

from collections import defaultdict

import numpy as np

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.core.scan_checks import check_same_grid, tell_turned_apart
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import read_label
from data_prep.formats.structure_names import check_names, plain
from data_prep.layouts import Case
from data_prep.layouts.words import called
from data_prep.planning.classes import names_of

_SHOWN = 8


def read_class_masks(tree: Tree, case: Case, rules: Rules, findings: Findings) -> Scan:
    """Read masks of one class each as one label of class numbers, `(1, ...)`.

    Args:
        tree: where the files are.
        case: the case.
        rules: name the classes; masks called otherwise are left out, with a note.
        findings: what is noticed is added to it.

    Raises:
        DataError: DCM_STRUCTURES if no mask is called by a class; PAIR_DUPLICATE for several masks
            of one name; LBL_OBJECT for a mask of several
            values; LBL_OVERLAP; LBL_NEAR as `check_names`; as `check_same_grid`.
    """
    wanted = names_of(rules)
    classes = {plain(name): number for name, number in wanted.items() if number}
    names = {file: called(file) for file in case.labels}
    findings.held.update(map(plain, names.values()))
    check_names(names.values(), classes, findings)
    used = {file: classes[plain(name)] for file, name in names.items() if plain(name) in classes}
    by_name: dict[str, list[str]] = defaultdict(list)
    for file in used:
        by_name[plain(names[file])].append(file)
    for name, files in by_name.items():
        if len(files) > 1:
            found = f"several files of class {name!r}: {', '.join(sorted(files))}"
            raise DataError("PAIR_DUPLICATE", found, "remove one of them", file=files[0])
    unused = sorted(name for file, name in names.items() if file not in used)
    if not used:
        found = f"none of {len(names)} masks is called by a class: {unused[:_SHOWN]}"
        raise DataError("DCM_STRUCTURES", found, "name them: dataset.structures: {name: number}")
    if unused:
        findings.note("DCM_UNUSED", f"{len(unused)} masks are of no class: {unused[:_SHOWN]}")
    elif absent := sorted(set(classes.values()) - {*used.values(), rules.void}):
        lacking = [name for name, number in wanted.items() if number in absent]
        found = f"no file of {len(absent)} classes: {lacking[:_SHOWN]}"
        findings.warn("LBL_MISSING", found, "look whether they are nowhere, or not labelled")
    first, label = None, np.empty(0, np.uint16)
    for file, number in used.items():
        mask = read_label(tree, file, findings, rules)
        first = first or mask
        if label.size == 0:
            label = np.zeros(first.array.shape, np.uint8 if max(classes.values()) < 256 else "u2")
        try:
            check_same_grid(first, mask, "mask", "first mask")
            tell_turned_apart(first, mask, "first mask", f"mask of {names[file]}", findings)
            values = np.unique(mask.array)
            if len(values[values != 0]) > 1:
                found = f"several values {values[:5].tolist()} in the mask of class {names[file]!r}"
                raise DataError("LBL_OBJECT", found, "give each class a mask of 0 and one value")
            inside = mask.array != 0
            if overlap := int((inside & (label != 0) & (label != number)).sum()):
                found = f"{overlap} voxels of {names[file]!r} are in another class too"
                raise DataError("LBL_OVERLAP", found, "export masks that do not overlap")
        except DataError as error:
            raise error.at(file=file) from None
        label[inside] = number
    assert first is not None  # some mask is used
    return first.holding(label)
