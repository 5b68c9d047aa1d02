"""Numbers of objects, such as cells: a label of ids, or a mask of each object."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.core.scan_checks import tell_turned_apart
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import read_label
from data_prep.layouts import Case
from data_prep.preprocessing.grid import fit_label
from data_prep.preprocessing.instances import IGNORED, inside_and_boundary
from data_prep.reading.whole_numbers import nearest_whole

_ONE_CLASS = 2  # with the background
_LOOKED_AT = 50  # objects, whether they are in one piece
_PIECES = 2  # of a single object, as where something lies over it; a class has more


def tells_objects(case: Case, rules: Rules) -> bool:
    """Tell whether the label of a case numbers objects.

    So do a mask an object, all labels where `Rules.instances` says so, and else those that are
    called so, where settings say no classes and ignore nothing.
    """
    if case.kind == "objects" or rules.instances is not None:
        return True
    one_class = len(rules.labels) == _ONE_CLASS and rules.ignored is None
    return case.kind == "numbered" and one_class and not rules.label_map


def objects_as_classes(ids: np.ndarray, rules: Rules) -> np.ndarray:
    """Return class numbers of a `(1, ...)` label of ids, uint8: inside and boundary, or one class.

    Args:
        ids: see `read_objects`.
        rules: with `instances`, the classes are those of `inside_and_boundary`.
    """
    if rules.instances is not None:
        return inside_and_boundary(ids[0], rules.void)[None]
    return (ids != 0).astype(np.uint8)


def read_objects(tree: Tree, case: Case, findings: Findings, rules: Rules | None = None) -> Scan:
    """Read the objects of a case as a label of their numbers, `(1, ...)`, from 1, without gaps.

    Masks of one object each give uint16; where they overlap, the later one stands. A label of ids
    gives uint32, and `IGNORED` where `Rules.ignored` says so.

    Args:
        tree: where the files are.
        case: the case.
        findings: what is noticed is added to it.
        rules: say how masks are stored. Default: each is read by itself.

    Raises:
        DataError: LBL_OBJECT if a mask holds several values, an id is below 0, or the value that is
            ignored may be an id; LBL_NUMBERED if values are in pieces, as classes are, or the
            label is of classes that have names; as `fit_label` and `nearest_whole`.
    """
    if case.kind == "objects":
        return _read_masks(tree, case, findings, rules)
    if case.kind in ("class masks", "contours", "segments"):
        found = f"{case.kind} with names, which are of classes, where numbers of objects are due"
        fix = "leave dataset.instances out, or give a label of ids, or a mask an object"
        raise DataError("LBL_NUMBERED", found, fix, file=case.labels[0])
    name = case.labels[0]
    scan = read_label(tree, name, findings, rules)
    try:
        return scan.holding(as_ids(scan.array, findings, rules or Rules((), {})))
    except DataError as error:
        raise error.at(file=name) from None


def as_ids(array: np.ndarray, findings: Findings, rules: Rules) -> np.ndarray:
    """Return the numbers of objects of a `(1, ...)` label of ids, see `read_objects`.

    Raises:
        DataError: as `read_objects`.
    """
    if len(array) > 1:
        found = f"{len(array)} layers, where each voxel is of one object"
        raise DataError("LBL_OBJECT", found, "save one label of ids")
    there, places = np.unique(array, return_inverse=True)
    values, whole = np.unique(nearest_whole(there), return_inverse=True)
    ids = [int(value) for value in values if value not in (0, rules.ignored)]
    _check_ids(ids, rules.ignored if rules.ignored in values else None)
    new = {value: number for number, value in enumerate(ids, start=1)}
    if rules.ignored is not None:
        new[rules.ignored] = IGNORED
    numbers = np.array([new.get(int(value), 0) for value in values], np.uint32)
    numbered = numbers[whole[places]].reshape(array.shape)
    _check_pieces(numbered[0], ids, asked=rules.instances is not None)
    if len(ids) > 1 and rules.instances is None:
        findings.note("LBL_NUMBERED", f"{len(ids)} values are numbers of objects of one class")
    return numbered


def _check_ids(ids: Sequence[int], ignored: int | None) -> None:
    """Refuse ids below 0, and an ignored value that may be one of them.

    Raises:
        DataError: LBL_OBJECT.
    """
    if ids and ids[0] < 0:
        found = f"values {ids[:5]}, where objects are numbered from 1"
        raise DataError("LBL_OBJECT", found, "save whole numbers, 0 for none")
    if ignored is not None and ids and 0 <= ignored <= ids[-1] + 1:
        found = f"{ignored} is ignored, and may be the id of an object: ids go up to {ids[-1]}"
        raise DataError("LBL_OBJECT", found, "ignore a number far above all ids, or -1")


def _check_pieces(numbered: np.ndarray, ids: Sequence[int], *, asked: bool) -> None:
    """Refuse values that are in several pieces each, as those of classes are.

    Raises:
        DataError: LBL_NUMBERED.
    """
    boxes = ndimage.find_objects(np.where(numbered == IGNORED, 0, numbered).astype(np.int64))
    looked_at = min(len(ids), _LOOKED_AT)
    pieces = [_pieces(numbered[boxes[n]] == n + 1) for n in range(looked_at)]
    in_pieces = sum(count > 1 for count in pieces)
    if len(ids) > 1 and 2 * in_pieces > looked_at:
        found = f"{in_pieces} of {len(ids)} values are in several pieces each, as classes are"
    elif asked and len(ids) == 1 and pieces[0] > _PIECES:
        found = f"all is of the value {ids[0]}, in {pieces[0]} pieces, as the mask of a class is"
    else:
        return
    fix = "number each object, or leave dataset.instances out"
    raise DataError("LBL_NUMBERED", found, fix if asked else "name the classes in dataset.labels")


def _pieces(mask: np.ndarray) -> int:
    return ndimage.label(mask, np.ones((3,) * mask.ndim))[1]


def _read_masks(tree: Tree, case: Case, findings: Findings, rules: Rules | None) -> Scan:
    first = read_label(tree, case.labels[0], findings, rules)
    numbered, several = np.zeros(first.array.shape, np.uint16), np.zeros(first.array.shape, bool)
    for number, name in enumerate(case.labels, start=1):
        mask = first if number == 1 else read_label(tree, name, findings, rules)
        since = len(findings.found)
        try:
            tell_turned_apart(first, mask, "first mask", f"mask of object {number}", findings)
            mask = fit_label(first, mask, findings, "mask", "first mask")
            findings.place(since, file=name)
            values = np.unique(mask.array)
            if len(values[values != 0]) > 1 or len(mask.array) > 1:
                raise DataError(
                    "LBL_OBJECT",
                    f"several values {values[:5].tolist()} in the mask of one object",
                    "give each object a mask, or one mask of all in a folder masks/",
                )
        except DataError as error:
            raise error.at(file=name) from None
        inside = mask.array != 0
        several |= inside & (numbered != 0)
        numbered[inside] = number
    shared = np.count_nonzero(several)
    if shared and rules is not None and rules.instances is not None:  # else all are foreground
        found = f"{shared} voxels are in the masks of several objects, and count for the last"
        findings.warn("LBL_OVERLAP", found, "cut the masks so that none overlaps another")
    covered = sorted({*range(1, len(case.labels) + 1)} - {*np.unique(numbered).tolist()})
    if covered:
        names = ", ".join(case.labels[number - 1] for number in covered[:3])
        findings.warn(
            "LBL_LOST",
            f"{len(covered)} of {len(case.labels)} objects are left without a voxel: {names}",
            "look whether masks are empty, or cover each other",
        )
    return first.holding(numbered)
