"""What a multi-frame file says of a frame: apart, for all of its frames, or as other files do.

Source: DICOM PS3.3, C.7.6.16 (functional groups: each is shared or per frame, of one item).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from data_prep.formats.header_fields import agreed

_SHARED, _APART = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
# What decides where a frame lies and what it holds: how far apart two ways to say it may lie, as
# a share and as such.
_ALIKE = {
    "ImageOrientationPatient": (0, 1e-3),
    "ImagePositionPatient": (0, 1e-3),
    "PixelSpacing": (1e-3, 0),
    "ReferencedSegmentNumber": (0, 0),
    "RescaleIntercept": (1e-6, 0),
    "RescaleSlope": (1e-6, 0),
    "RescaleType": (0, 0),
    "SliceThickness": (1e-3, 0),
    "SpacingBetweenSlices": (1e-3, 0),
}
# Of a file of several frames these are often those of the first.
_OF_THE_FIRST = ("ImagePositionPatient", "SliceThickness", "SpacingBetweenSlices")


def groups_of(one: Dataset) -> list[Dataset]:
    """Return what a file says of each of its frames apart; nothing if it does not do so."""
    return list(one.get(_APART) or [])


def value_of(one: Dataset, group: Dataset | None, sequence: str, name: str) -> Any:
    """Return what a file says of a frame; `None` if it says nothing.

    Args:
        one: the file.
        group: what it says of the frame apart.
        sequence: the functional group that holds the value.
        name: of the value.

    Raises:
        DataError: HDR_CONFLICT if it says different things of where the frame lies or what it
            holds.
    """
    ways = {}
    for whose, groups in (("the frame", [group]), ("all frames", one.get(_SHARED) or [])):
        items = [item for part in groups if part is not None for item in part.get(sequence) or []]
        for number, item in enumerate(items, 1):
            ways[f"{name} of {whose}" + f", item {number}" * (len(items) > 1)] = item.get(name)
    ways = {way: value for way, value in ways.items() if value is not None and value != ""}
    top = one.get(name)
    if not ways:
        return top
    if top is not None and top != "" and name not in _OF_THE_FIRST:
        ways[f"{name} of the file"] = top
    if name in _ALIKE and len(ways) > 1:
        _check_alike(ways, *_ALIKE[name])
    return next(iter(ways.values()))


def _check_alike(ways: Mapping[str, Any], share: float, distance: float) -> None:
    first, *others = told = {way: _plain(value) for way, value in ways.items()}
    for other in others:
        one, two = told[first], told[other]
        near = not isinstance(one, str) and not isinstance(two, str) and one.shape == two.shape
        if not (near and np.allclose(one, two, rtol=share, atol=distance)):
            agreed({first: one, other: two})


def _plain(value: Any) -> np.ndarray | str:
    return value.strip() if isinstance(value, str) else np.atleast_1d(np.array(value, float))
