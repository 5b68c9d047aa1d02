"""Segments that a NRRD header names, as 3D Slicer writes them (`.seg.nrrd`).

Form: https://slicer.readthedocs.io/en/latest/user_guide/modules/segmentations.html
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Segment, times

_FIELD = re.compile(r"Segment([0-9]{1,6})_(Name|LabelValue|Layer)")
_AGAIN = "save the segmentation again"


def segments_of(keys: Mapping[str, str], layers: int) -> tuple[Segment, ...]:
    """Return the segments that keys of a header name; none where it names none.

    Files of before Slicer 4.11 have a layer of zeros and ones for each segment.

    Args:
        keys: of the header, and their values.
        layers: volumes in the file.

    Raises:
        DataError: HDR_DAMAGED if a segment has no name, layer or value; HDR_CONFLICT if two have
            one value of one layer, or one is of a layer that is not there.
    """
    fields: dict[int, dict[str, str]] = {}
    for key, text in keys.items():
        if match := _FIELD.fullmatch(key):
            fields.setdefault(int(match[1]), {})[match[2]] = text
    old = not any(field.keys() - {"Name"} for field in fields.values())
    segments = []
    for number, field in sorted(fields.items()):
        if old:
            field = {"Layer": str(number), "LabelValue": "1", **field}
        try:
            one = Segment(field["Name"], int(field["Layer"]), int(field["LabelValue"]))
        except (KeyError, ValueError) as error:
            found = f"segment {number} is told by {sorted(field)} alone, or not by numbers"
            raise DataError("HDR_DAMAGED", found, _AGAIN) from error
        if not 0 <= one.layer < layers or not one.value:
            found = f"segment {number} is value {one.value} of layer {one.layer}, of {layers}"
            raise DataError("HDR_CONFLICT", found, _AGAIN)
        segments.append(one)
    for (layer, value), count in Counter((one.layer, one.value) for one in segments).items():
        if count > 1:
            found = f"{count} segments have value {value} of layer {layer}"
            raise DataError("HDR_CONFLICT", found, _AGAIN)
    return tuple(segments)


def check_extents(
    keys: Mapping[str, str], segments: Sequence[Segment], array: np.ndarray, findings: Findings
) -> None:
    """Warn of segments that are not where their extents say: other readers cut them off there.

    Args:
        keys: of the header, and their values; an extent is the first and last voxel of each axis.
        segments: as `segments_of` gives them.
        array: `(layers, X, Y, Z)`.
        findings: LBL_EXTENT is added to them.

    Raises:
        DataError: HDR_DAMAGED for an extent that is none.
    """
    numbers = sorted({int(match[1]) for key in keys if (match := _FIELD.fullmatch(key))})
    for number, one in zip(numbers, segments, strict=True):
        told = keys.get(f"Segment{number}_Extent")
        if told is None:
            continue
        try:
            ends = np.array([int(n) for n in told.split()]).reshape(3, 2)
        except ValueError as error:
            raise DataError("HDR_DAMAGED", f"extent {told[:60]!r}", _AGAIN) from error
        mask = array[one.layer] == one.value
        inside = tuple(slice(max(0, low), max(0, high + 1)) for low, high in ends)
        beyond = int(mask.sum() - mask[inside].sum())
        found = f"segment {one.name!r} of extent {told.strip()}"
        if beyond:
            found += f" has {beyond} voxels outside of it"
        elif (ends[:, 0] <= ends[:, 1]).all() and (
            (ends[:, 0] < 0) | (ends[:, 1] >= array.shape[1:])
        ).any():
            found += f", in a file of {times(array.shape[1:])}"
        else:
            continue
        findings.warn("LBL_EXTENT", found, "save the segmentation again in 3D Slicer")
