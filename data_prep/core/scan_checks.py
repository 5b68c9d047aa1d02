"""Checks of one case, before anything is made of it."""

from dataclasses import replace

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan, times

# Half a hundredth of a millimetre: above header rounding, below anything that shifts a voxel.
_AFFINE_TOLERANCE_MM = 5e-3


def check_image(scan: Scan, findings: Findings | None = None) -> Scan:
    """Refuse an image no network can use; return it with what is accepted repaired.

    Raises:
        DataError: INT_NONFINITE, INT_RANGE or INT_CONSTANT.
    """
    array, findings = scan.array, findings or Findings()
    finite = np.isfinite(array)
    bad = int(np.size(array) - finite.sum())
    if bad == array.size:
        raise DataError("INT_NONFINITE", "no finite voxel", "export the image again")
    if bad:
        findings.ask("INT_NONFINITE", f"{bad} NaN or infinite voxels", "repair the image")
        array = np.where(finite, array, array[finite].min())
    largest = float(np.abs(array).max()) if array.dtype.kind == "f" else 0.0
    if largest > 1e30:
        raise DataError("INT_RANGE", f"values up to {largest:.3g}", "export again")
    if array.min() == array.max():
        raise DataError(
            "INT_CONSTANT", f"every voxel is {array.flat[0]}", "remove the case or export again"
        )
    return replace(scan, array=array)


def check_same_grid(image: Scan, label: Scan, what: str = "label", on: str = "image") -> None:
    """Refuse a label (named `what`) that does not lie on the grid of its image (named `on`).

    Raises:
        DataError: GEO_SHAPE or GEO_AFFINE.
    """
    if image.size != label.size:
        raise DataError(
            "GEO_SHAPE",
            f"{on} {times(image.size)}, {what} {times(label.size)}",
            f"export the {what} on the grid of the {on}",
        )
    if image.affine is None or label.affine is None:
        return
    corners = np.indices((2, 2, 2)).reshape(3, -1) * np.array(image.size)[:, None]
    shift = ((image.affine - label.affine)[:3] @ np.vstack([corners, np.ones(8)])).T
    distance = float(np.linalg.norm(shift, axis=1).max())
    if distance > _AFFINE_TOLERANCE_MM:
        raise DataError(
            "GEO_AFFINE",
            f"{what} lies up to {distance:.3g} mm away from the {on}",
            f"export the {what} on the grid of the {on}",
        )
