"""Segments that a NRRD header names, as 3D Slicer writes them (`.seg.nrrd`).

Form: https://slicer.readthedocs.io/en/latest/user_guide/modules/segmentations.html
"""

import re
from collections import Counter
from collections.abc import Mapping

from data_prep.core.errors import DataError
from data_prep.core.scan import Segment

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
    for (layer, value), times in Counter((one.layer, one.value) for one in segments).items():
        if times > 1:
            found = f"{times} segments have value {value} of layer {layer}"
            raise DataError("HDR_CONFLICT", found, _AGAIN)
    return tuple(segments)
