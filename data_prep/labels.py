"""Class numbers: from what files hold to what the classes are called."""

from collections.abc import Mapping

import numpy as np

from data_prep.checks import check_same_grid
from data_prep.errors import DataError
from data_prep.layouts import Case
from data_prep.reading import read_label
from data_prep.scan import Scan
from data_prep.tree import Tree


def read_case_label(
    tree: Tree, case: Case, labels: Mapping[str, int], label_map: Mapping[int, int]
) -> Scan:
    """Read the label of a case as class numbers, uint8 or uint16, `(1, ...)`.

    Raises:
        DataError: LBL_... if a value is no class, as `read_label` otherwise.
    """
    if case.objects:
        return _union(tree, case)
    scan = read_label(tree, case.labels[0])
    try:
        array = to_classes(scan.array, labels, label_map)
    except DataError as error:
        raise error.at(file=case.labels[0]) from None
    return Scan(array, scan.affine, scan.codes)


def to_classes(
    array: np.ndarray, labels: Mapping[str, int], label_map: Mapping[int, int]
) -> np.ndarray:
    """Return class numbers in the smallest of uint8 and uint16.

    Float values are taken if they are whole up to 1e-3, the noise that scaled headers leave.

    Raises:
        DataError: LBL_NONFINITE, LBL_INTERPOLATED, LBL_UNKNOWN.
    """
    values, counts = np.unique(array, return_counts=True)
    if not np.isfinite(values).all():
        raise DataError("LBL_NONFINITE", "NaN or infinite label values", "export the label again")
    whole = np.rint(values.astype(np.float64))
    if (np.abs(values - whole) > 1e-3).any():
        raise DataError(
            "LBL_INTERPOLATED",
            f"{len(values)} values such as {values[values != whole][:3].tolist()}",
            "resample labels by nearest neighbour only",
        )
    classes = np.array([label_map.get(int(number), int(number)) for number in whole])
    unknown = ~np.isin(classes, list(labels.values()))
    if unknown.any():
        raise DataError(
            "LBL_UNKNOWN",
            _unknown(whole[unknown], counts[unknown], labels),
            f"declare it in dataset.labels, or map it: dataset.label_map: "
            f"{{{int(whole[unknown][0])}: {max(labels.values())}}}",
        )
    dtype = np.uint8 if max(labels.values()) < 256 else np.uint16
    return classes.astype(dtype)[np.searchsorted(values, array)]


def _unknown(values: np.ndarray, counts: np.ndarray, labels: Mapping[str, int]) -> str:
    known = ", ".join(f"{number} {name}" for name, number in labels.items())
    several = ", ".join(
        f"{int(value)} ({count} times)"
        for value, count in list(zip(values, counts, strict=True))[:5]
    )
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return f"unknown label value {several}{more}, classes are {known}"


def _union(tree: Tree, case: Case) -> Scan:
    """Join masks of one object each into one mask."""
    first = read_label(tree, case.labels[0])
    union = np.zeros(first.array.shape, np.uint8)
    for name in case.labels:
        mask = read_label(tree, name)
        try:
            check_same_grid(first, mask, "mask", "first mask")
            values = np.unique(mask.array)
            if len(values[values != 0]) > 1:
                raise DataError(
                    "LBL_OBJECT",
                    f"several values {values[:5].tolist()} in the mask of one object",
                    "give each object a mask, or one mask of all in a folder masks/",
                )
        except DataError as error:
            raise error.at(file=name) from None
        union |= mask.array != 0
    return Scan(union, first.affine, first.codes)
