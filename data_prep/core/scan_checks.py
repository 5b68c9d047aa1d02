"""Checks of one case, before anything is made of it."""

from dataclasses import replace

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.geometry import ROUNDED, SAME_PLACE, voxels_apart
from data_prep.core.scan import UNNAMED, Scan, times

_SWAPPING = (5, 6, 7, 8)  # EXIF orientations that swap rows and columns


def check_image(scan: Scan, findings: Findings | None = None) -> Scan:
    """Refuse an image no network can use; return it with what is accepted repaired.

    Raises:
        DataError: INT_NONFINITE, INT_RANGE, INT_CONSTANT or INT_CHANNEL.
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
    if scan.affine is not None and len(array) > 1:  # colours may be alike
        _check_channels(array, findings)
    return replace(scan, array=array)


def _check_channels(array: np.ndarray, findings: Findings) -> None:
    """Refuse a channel that says nothing, unless that is accepted."""
    for number, channel in enumerate(array):
        if channel.min() == channel.max():
            found = f"channel {number} is {channel.flat[0]} in every voxel"
            findings.ask("INT_CHANNEL", found, "export it again")
        for other in range(number):
            if np.array_equal(channel, array[other]):
                found = f"channel {number} is a copy of channel {other}"
                findings.ask("INT_CHANNEL", found, "export it again")


def order_of_channels(
    declared: tuple[str, ...] | None, wanted: tuple[str, ...], findings: Findings
) -> list[int]:
    """Return which channel of a dataset is each one that a model wants, by their names.

    Args:
        declared: names that the dataset gives its channels, `None` if it gives none.
        wanted: names that those have which the model was trained on.
        findings: take a note of another order.

    Raises:
        DataError: CH_OTHER for other names, unless accepted.
    """
    there = [name.strip().casefold() for name in declared or ()]
    asked = [name.strip().casefold() for name in wanted]
    if not there or there == asked or wanted == UNNAMED:
        return [*range(len(asked))]
    told = f"{', '.join(declared or ())}, the model's {', '.join(wanted)}"
    if sorted(there) == sorted(asked) and len(set(there)) == len(there):
        findings.note("CH_ORDER", f"channels are in the order {told}; taken by their names")
        return [there.index(name) for name in asked]
    findings.ask("CH_OTHER", f"channels are {told}", "predict with a model of these channels")
    return [*range(len(asked))]


def tell_turned_apart(on: Scan, other: Scan, where: str, what: str, findings: Findings) -> None:
    """Warn, once a case, of two scans that different EXIF orientations turned upright.

    One may have been drawn or saved without heed of the orientation. Where that would show in their
    sizes, and does not, none was.

    Args:
        on: a scan.
        other: one of the same size, which lies on it.
        where: what the first is called.
        what: what the other is called.
        findings: take the warning, PAIR_TURNED.
    """
    size = (on if on.turned != 1 else other).size
    swapped = (on.turned in _SWAPPING) != (other.turned in _SWAPPING)
    if on.turned == other.turned or (swapped and len(set(size)) > 1):
        return
    if any(finding.code == "PAIR_TURNED" for finding in findings.found):
        return

    def told(scan: Scan) -> str:
        return f"is turned by its EXIF orientation, {scan.turned}" if scan.turned != 1 else "is not"

    found = f"the {where} {told(on)}, the {what} {told(other)}"
    if on.turned == 1:
        found = f"the {what} {told(other)}, the {where} {told(on)}"
    fix = "look at the pictures of the quality report, and save both the right way up"
    findings.warn("PAIR_TURNED", found, fix)


def check_same_grid(
    image: Scan,
    label: Scan,
    what: str = "label",
    on: str = "image",
    findings: Findings | None = None,
) -> None:
    """Refuse a label (named `what`) that does not lie on the grid of its image (named `on`).

    Both are one grid if no corner of it is further apart than a tenth of a voxel; `findings`
    take a note of what is more than rounding.

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
    apart = voxels_apart(image.affine, label.affine, image.size)
    if apart > SAME_PLACE:
        raise DataError(
            "GEO_AFFINE",
            f"{what} lies up to {distance:.3g} mm away from the {on}",
            f"export the {what} on the grid of the {on}",
        )
    if apart > ROUNDED and findings is not None:
        found = f"{what} lies up to {distance:.3g} mm away from the {on}, {apart:.2g} of a voxel"
        findings.note("GEO_AFFINE", f"{found}: taken to be the same place")
