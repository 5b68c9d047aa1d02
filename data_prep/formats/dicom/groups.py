"""What a multi-frame file says of a frame: apart, for all of its frames, or as other files do.

Source: DICOM PS3.3, C.7.6.16 (functional groups: each is shared or per frame, of one item).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from data_prep.core.findings import Findings
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


class Part(NamedTuple):
    """Which file of a concatenation, an image that is stored in several files, one is."""

    whole: str  # ConcatenationUID
    number: int  # from 1
    total: int  # parts that there are to be, at least


def part_of(one: Dataset) -> Part | None:
    """Return which part of a concatenation a file is; `None` if it is of none."""
    number = int(one.get("InConcatenationNumber") or 0)
    total = max(number, int(one.get("InConcatenationTotalNumber") or 0))
    return Part(str(one.get("ConcatenationUID") or ""), number, total) if total else None


def check_parts(parts: Iterable[Part | None], findings: Findings) -> None:
    """Refuse a concatenation that files are missing of.

    Raises:
        DataError: DCM_COUNT, unless accepted.

    Source: DICOM PS3.3, C.7.6.16 (concatenations).
    """
    wholes: dict[str, set[Part]] = defaultdict(set)
    for part in filter(None, parts):
        wholes[part.whole].add(part)
    for several in wholes.values():
        there, total = len({part.number for part in several}), max(part.total for part in several)
        if there < total:
            found = f"{there} of {total} parts of a concatenation"
            findings.ask("DCM_COUNT", found, "export the missing parts")


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
