"""The frames of a DICOM-SEG file as masks, however it stores them.

Source: DICOM PS3.3, C.8.20.2 (segmentation types).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.dicom.groups import groups_of, value_of
from data_prep.formats.dicom.pixels import pixels_of

_AGAIN = "save it as BINARY"


@dataclass(frozen=True)
class SegmentFrame:
    """The voxels of one segment in one frame.

    Attributes:
        index: of the frame in the file.
        number: of the segment.
        mask: whether each voxel is in it, `(rows, columns)`.
    """

    index: int
    number: int
    mask: np.ndarray


def frames_of(one: Dataset, names: Mapping[int, str], findings: Findings) -> list[SegmentFrame]:
    """Return the masks of all frames.

    A voxel is in a segment of fractions if at least half of the largest fraction is stored for it.

    Args:
        one: the file.
        names: of the segments that it declares, by their numbers.
        findings: take a note of fractions.

    Raises:
        DataError: DCM_SEGMENT for another type, or a largest fraction that cannot be;
            HDR_CONFLICT for a value of a label map that is no segment, or a frame of two segments.
    """
    kind = str(one.get("SegmentationType") or "")
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise DataError("DCM_SEGMENT", f"type {kind!r}", _AGAIN)
    frames = pixels_of(one)[..., 0]
    if kind == "LABELMAP":
        return _of_label_map(one, frames, names)
    numbers = [_number(one, group) for group in groups_of(one)]
    least = 1.0
    if kind == "FRACTIONAL":
        largest = int(one.get("MaximumFractionalValue") or 0)
        if not 0 < frames.max(initial=0) <= largest and frames.any():
            found = f"fractions up to {frames.max()}, the largest is said to be {largest}"
            raise DataError("DCM_SEGMENT", found, _AGAIN)
        least = max(largest / 2, 0.5)
        between = int(((frames > 0) & (frames < largest)).sum())
        found = f"{between} voxels are in part in a segment: those of half or more are in it"
        findings.note("DCM_FRACTIONS", found)
    masks = (frame >= least for frame in frames)
    parts = zip(numbers, masks, strict=True)
    return [SegmentFrame(index, number, mask) for index, (number, mask) in enumerate(parts)]


def _of_label_map(one: Dataset, frames: np.ndarray, names: Mapping[int, str]) -> list[SegmentFrame]:
    """Return a mask of each segment in each frame, whose values are numbers of segments."""
    padding = {0, *([int(one.PixelPaddingValue)] if "PixelPaddingValue" in one else [])}
    unknown = sorted({*np.unique(frames).tolist()} - names.keys() - padding)
    if unknown:
        told = f"values {unknown[:8]}, of no segment that is declared"
        raise DataError("HDR_CONFLICT", told, "save the segmentation again")
    nowhere = np.zeros(frames.shape[1:], bool)
    found: list[SegmentFrame] = []
    for index, frame in enumerate(frames):
        there = {*np.unique(frame).tolist()}
        for number in names:  # a segment that is not in a frame was not forgotten there
            mask = frame == number if number in there else nowhere
            found.append(SegmentFrame(index, number, mask))
    return found


def _number(one: Dataset, group: Dataset) -> int:
    sequence = "SegmentIdentificationSequence"
    return int(value_of(one, group, sequence, "ReferencedSegmentNumber"))
