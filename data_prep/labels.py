"""Class numbers: from what files hold to what the classes are called."""

from collections.abc import Mapping

import numpy as np

from data_prep.errors import DataError
from data_prep.layouts import Case
from data_prep.reading import read_label
from data_prep.scan import Scan, times
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
    union = None
    for name in case.labels:
        mask = read_label(tree, name).array != 0
        if union is None:
            union = np.zeros(mask.shape, np.uint8)
        if mask.shape != union.shape:
            raise DataError(
                "GEO_SHAPE",
                f"mask {times(mask.shape[1:])}, the masks before {times(union.shape[1:])}",
                "export all masks on the image's grid",
                file=name,
            )
        union |= mask
    return Scan(union)
