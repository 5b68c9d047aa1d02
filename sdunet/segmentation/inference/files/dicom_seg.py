"""A prediction as a DICOM Segmentation, which viewers lay over the series it was made of.

Source: DICOM PS3.3, A.51 and C.8.20 (segmentation), written by highdicom.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from data_prep.core.errors import DataError, words_of
from data_prep.core.values.regions import Region, inside, masks_of
from data_prep.prepared.rendering import bytes_of_colour
from sdunet.segmentation.inference.files.class_codes import ClassCodes, Term
from sdunet.segmentation.inference.files.source_series import (
    NAME,
    PURPOSE,
    SERIES_NUMBER,
    Maker,
    SourceSeries,
)

_FAMILY = Term("123110", "DCM", "Artificial Intelligence")  # of algorithms, CID 7162


def check_highdicom() -> None:
    """Refuse to begin where what writes the file is not there.

    Raises:
        DataError: EXTRA_MISSING.
    """
    if find_spec("highdicom") is None:
        fix = "pip install 'sdunet[dicom-seg]', or leave --dicom-seg out"
        raise DataError("EXTRA_MISSING", "a DICOM Segmentation needs highdicom", fix)


def dicom_seg(
    label: np.ndarray,
    segments: Sequence[Region],
    codes: Mapping[str, ClassCodes],
    source: SourceSeries,
    maker: Maker,
) -> bytes:
    """Return the file: a segment of each class or region, of bits, on the slices of the series.

    Frames in which a segment is nowhere are left out, unless one lies between others of it: that
    would look like a frame that was lost.

    Args:
        label: class numbers `(X, Y, Z)`, on the grid of the scan.
        segments: classes or regions; these may overlap.
        codes: of each by its name.
        source: the series.
        maker: named in the file.

    Raises:
        DataError: PRED_DICOM if the series tells what no segmentation can refer to.
    """
    import highdicom
    from highdicom.color import CIELabColor
    from pydicom.sr.coding import Code

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=NAME,
        family=Code(*_FAMILY),
        version=maker.version,
        parameters={"weights_sha256": ",".join(maker.models)},
    )
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=one.name,
            segmented_property_category=Code(*codes[one.name].category),
            segmented_property_type=Code(*codes[one.name].kind),
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            display_color=CIELabColor.from_rgb(*bytes_of_colour(one.painted)),
        )
        for number, one in enumerate(segments, 1)
    ]
    in_ascii = all(one.name.isascii() for one in segments)
    letters: dict[str, Any] = {} if in_ascii else {"specific_character_set": "ISO_IR 192"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values of the series, which are kept
            made = highdicom.seg.Segmentation(
                source_images=source.images,
                pixel_array=_frames(label, segments, source),
                segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
                segment_descriptions=described,
                series_instance_uid=highdicom.UID(),
                series_number=SERIES_NUMBER,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                manufacturer=NAME,
                manufacturer_model_name=NAME,
                software_versions=maker.version,
                device_serial_number=maker.serial,
                content_label="SDUNET",
                content_description=f"Prediction, {PURPOSE}",
                series_description=f"{NAME}, {PURPOSE}",
                omit_empty_frames=bool(label.any()) and not _has_gaps(label, segments),
                **letters,
            )
            buffer = io.BytesIO()
            made.save_as(buffer, enforce_file_format=True)
    # highdicom raises many kinds of error for series that it cannot refer to.
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fix = "leave --dicom-seg out, and report this"
        raise DataError("PRED_DICOM", words_of(error), fix) from error
    return buffer.getvalue()


def _has_gaps(label: np.ndarray, segments: Sequence[Region]) -> bool:
    """Tell whether a segment is nowhere in a slice between others that it is in."""
    for one in segments:
        there = np.flatnonzero(inside(label, one.classes).any((0, 1)))
        if len(there) and len(there) <= there[-1] - there[0]:
            return True
    return False


def _frames(label: np.ndarray, segments: Sequence[Region], source: SourceSeries) -> np.ndarray:
    """Return numbers of segments `(Z, rows, columns)`, or masks `(Z, rows, columns, segments)`.

    In the order of the frames, where they are of one file.
    """
    label = label.transpose(2, 1, 0)
    if source.slices:
        label = label[list(source.slices)]
    if any(len(one.classes) > 1 for one in segments):
        return np.moveaxis(masks_of(label, segments), 0, -1).astype(np.uint8)
    numbers = np.zeros(int(label.max()) + 1, np.uint8 if len(segments) < 256 else np.uint16)
    for number, one in enumerate(segments, 1):
        if one.classes[0] < len(numbers):
            numbers[one.classes[0]] = number
    return numbers[label]
