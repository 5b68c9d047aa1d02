"""DICOM images: the slices of one series become one volume, or the series is refused.

No step of the standard's geometry is guessed: slices are ordered by position, and whatever keeps
them from being one even stack (a gap, a second phase, a turned slice, a tilt) is named.
Source: DICOM PS3.3, C.7.6.2 (image plane), C.11.1 (modality LUT), C.7.6.16 (multi-frame).
"""

import io
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial

from data_prep.core.errors import DataError, named_errors, words_of
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import check_size
from data_prep.core.scan import Scan
from data_prep.formats.dicom.bounds import check_lengths, check_unpacked
from data_prep.formats.dicom.frame import (
    Frame,
    alike_of,
    geometry_of,
    renamed_in,
    said_of,
    vector,
)
from data_prep.formats.dicom.groups import check_parts, groups_of, part_of, value_of
from data_prep.formats.dicom.one_image import ALIKE, check_alike
from data_prep.formats.dicom.pixels import pixels_of
from data_prep.formats.dicom.stack import stack
from data_prep.formats.dicom.tables.lookup import tables_of
from data_prep.formats.dicom.tables.modality import modality_table
from data_prep.formats.dicom.tables.palette import palette_of, tell_of_supplement
from data_prep.formats.header_fields import agreed, scaled

# Modalities whose 2D images often show the patient's name in their pixels.
_BURNING = ("US", "XA", "XC", "ES", "OT", "SC")
_SLICED = ("CT", "MR", "PT", "NM")
_WITH_UNITS = ("CT", "PT", "NM")
_NO_UNITS = ("", "US")  # RescaleType of values in no unit
_RATIO = 0.02  # whole numbers tell it
_COUNTS = ("ImagesInAcquisition", "NumberOfSeriesRelatedInstances", "NumberOfSlices")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422")  # that pydicom brings to RGB
_PACKED_COLOURS = ("YBR_ICT", "YBR_RCT")  # that decoders do
_PALETTE = "PALETTE COLOR"
_SERIES = 0x0020000E  # tag of SeriesInstanceUID
_AGAIN = "export the series again"


def is_dicom(data: bytes) -> bool:
    """Tell by its first bytes whether a file is DICOM, with or without a preamble."""
    if data[128:132] == b"DICM":
        return True
    # Without: group 0002 or 0008, little endian, then a value representation or a short length.
    return data[:2] in (b"\x02\x00", b"\x08\x00") and data[2:4] in (b"\x00\x00", b"\x05\x00")


def parse(data: bytes, *, pixels: bool = True) -> Dataset:
    """Parse one file.

    Raises:
        DataError: IO_TRUNCATED, IO_DAMAGED, IO_MEMORY.
    """
    check_unpacked(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values; those that are used are checked
            found = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=not pixels)
            found.get("SOPClassUID")
            check_lengths(data, little=found.original_encoding[1] is not False)
            return found
    except DataError:
        raise
    except (EOFError, InvalidDicomError) as error:
        raise DataError(
            "IO_TRUNCATED", f"the file ends early: {words_of(error)}", _AGAIN
        ) from error
    # pydicom raises many kinds of error for what it cannot make sense of.
    except Exception as error:
        raise DataError("IO_DAMAGED", words_of(error), _AGAIN) from error


def start_of(data: bytes) -> Dataset:
    """Return what a file says up to its series, unless that is cut; what follows may be damaged.

    Raises:
        DataError: IO_DAMAGED.
    """
    check_unpacked(data)
    with named_errors(fix=_AGAIN):
        found = read_partial(io.BytesIO(data), lambda tag, *_: tag > _SERIES, force=True)
        series = found.get_item(_SERIES) if _SERIES in found else None
        # The start of an identifier is that of another series.
        if isinstance(series, RawDataElement) and len(series.value or b"") != series.length:
            del found[_SERIES]
        return found


def read_series(
    files: Iterable[tuple[str, bytes]], findings: Findings, count: int | None = None
) -> Scan:
    """Read the files of one series to `(1, X, Y, Z)`, or `(C, H, W)` for a 2D image without place.

    Args:
        files: names and contents, fetched one after the other.
        findings: what is noticed is added to it.
        count: how many files there are, if known: a series too large is refused at the first.

    Raises:
        DataError: IO_MEMORY, see `memory_within`; DCM_... for a series that is not one even stack;
            IO_..., GEO_...
    """
    frames: list[Frame] = []
    for name, data in files:
        with named_errors(name, _AGAIN):
            frames += _frames(parse(data), findings)
            slices = max(count or 0, len(frames))
            check_size(slices * frames[0].pixels.size, frames[0].pixels.itemsize)
    check_alike(frames, findings)
    _check_count(frames, findings)
    if len({frame.pixels.shape for frame in frames}) > 1:
        sizes = sorted({frame.pixels.shape[:2] for frame in frames})
        shown = " and ".join(f"{rows} x {columns}" for rows, columns in sizes[:4])
        raise DataError("DCM_MIXED", f"slices of sizes {shown}", "split the series")
    if any(f.rescaled for f in frames) != all(f.rescaled for f in frames):
        missing = sum(not f.rescaled for f in frames)
        raise DataError("DCM_RESCALE", f"{missing} of {len(frames)} slices have no rescale", _AGAIN)
    if frames[0].modality == "CT" and not frames[0].rescaled:
        findings.ask("DCM_NO_RESCALE", "a CT without rescale to Hounsfield units", _AGAIN)
    placed = [frame for frame in frames if frame.position is not None]
    if not placed and len(frames) == 1 and frames[0].modality not in _SLICED:
        return Scan(np.moveaxis(frames[0].pixels, -1, 0))
    if len(placed) != len(frames) or any(f.axes is None or f.spacing is None for f in frames):
        raise DataError(
            "DCM_PLACE",
            f"{len(frames) - len(placed)} of {len(frames)} slices without position, "
            "orientation or spacing",
            "export the series with its geometry",
        )
    if frames[0].pixels.shape[-1] != 1:
        raise DataError("DCM_COLOR", "a stack in colours", "give a series of grey values")
    return stack(frames, findings)


def _check_count(frames: list[Frame], findings: Findings) -> None:
    declared = max(frame.declared for frame in frames)
    if len(frames) < declared:
        findings.ask(
            "DCM_COUNT", f"{len(frames)} of {declared} images", "export the missing images"
        )
    check_parts((frame.part for frame in frames), findings)


def _frames(one: Dataset, findings: Findings) -> list[Frame]:
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        if not isinstance(one.get(name), int):
            raise DataError("DCM_PIXELS", f"no {name}", _AGAIN)
    _check_pixels_are_free_of_names(one, findings)
    samples, colours = one.get("SamplesPerPixel") or 1, str(one.get("PhotometricInterpretation"))
    packed = getattr(one.file_meta.get("TransferSyntaxUID"), "is_compressed", False)
    known = (*_COLOURS, *_PACKED_COLOURS * packed)
    grey = colours.startswith("MONOCHROME") or colours == _PALETTE
    fits = grey if samples == 1 else colours in known
    if colours != "None" and not fits:
        raise DataError(
            "DCM_COLOR", f"{samples} samples a pixel as {colours!r}", "export grey values"
        )
    if colours.startswith("YBR_FULL") and one.BitsAllocated != 8:
        found = f"{colours} of {one.BitsAllocated} bits, known for 8"
        raise DataError("DCM_COLOR", found, "export RGB or grey values")
    pixels = pixels_of(one, findings)
    if colours == _PALETTE:
        palette = palette_of(one)
        pixels = palette.of(pixels)
    else:
        tell_of_supplement(one, pixels, findings)
    said: list[Dataset | None] = [*groups_of(one)]
    apart = said or [None] * len(pixels)
    if len(apart) != len(pixels):
        raise DataError(
            "DCM_FRAMES", f"{len(pixels)} frames, {len(apart)} descriptions of frames", _AGAIN
        )
    return [
        _frame(one, number, plane, group, findings)
        for number, (plane, group) in enumerate(zip(pixels, apart, strict=True))
    ]


def _frame(
    one: Dataset,
    number: int,
    plane: np.ndarray,
    group: Dataset | None,
    findings: Findings,
) -> Frame:
    of = partial(value_of, one, group)
    plane, rescaled = _measured(one, plane, of, findings)
    position, axes, spacing = geometry_of(of)
    thickness = of("PixelMeasuresSequence", "SliceThickness")
    between = of("PixelMeasuresSequence", "SpacingBetweenSlices")
    _hold_to_ratio(one, spacing)
    frames = one.get("NumberOfFrames") or 1
    return Frame(
        plane,
        position,
        axes,
        None if spacing is None else (float(spacing[0]), float(spacing[1])),
        float(thickness) if thickness else None,
        abs(float(between)) if between else None,
        rescaled,
        str(one.get("Modality") or ""),
        str(one.get("SOPInstanceUID") or ""),
        renamed_in(one),
        number,
        {name: str(one.get(name, "")) for name in ALIKE}
        | alike_of(of)
        | tables_of(one)
        | _sign_of_slope(of),
        said_of(one, frames, of),
        max(int(one.get(name) or 0) for name in _COUNTS),
        part_of(one),
    )


def _hold_to_ratio(one: Dataset, spacing: np.ndarray | None) -> None:
    """Refuse pixels whose shape is told in two ways that differ.

    Raises:
        DataError: HDR_CONFLICT.
    """
    ratio = vector(one.get("PixelAspectRatio"), 2)
    if ratio is not None and spacing is not None and ratio[1]:
        shapes = {
            "PixelSpacing, rows to columns,": float(spacing[0] / spacing[1]),
            "PixelAspectRatio": float(ratio[0] / ratio[1]),
        }
        agreed(shapes, tolerance=_RATIO)


def _measured(
    one: Dataset, plane: np.ndarray, of: Callable[[str, str], Any], findings: Findings
) -> tuple[np.ndarray, bool]:
    """Return the values of a slice in their unit, and whether it says how they come by it."""
    slope = of("PixelValueTransformationSequence", "RescaleSlope")
    intercept = of("PixelValueTransformationSequence", "RescaleIntercept")
    rescaled = slope is not None or intercept is not None
    in_palette = one.get("PhotometricInterpretation") == _PALETTE
    if "ModalityLUTSequence" in one and (rescaled or in_palette):
        found = f"a modality lookup table beside a {'rescale' if rescaled else 'palette'}"
        raise DataError("DCM_RESCALE", found, "export rescaled values")
    if table := modality_table(one):
        return _upright_grey(one, table.of(plane), of, findings, table.bits), True
    plane = _upright_grey(one, plane, of, findings)
    if not rescaled:
        return plane, False
    if slope is None or intercept is None:
        raise DataError("DCM_RESCALE", f"slope {slope}, intercept {intercept}", _AGAIN)
    slope, intercept = float(slope), float(intercept)
    if not slope or not np.isfinite([slope, intercept]).all():
        raise DataError("DCM_RESCALE", f"rescale slope {slope}", _AGAIN)
    if not in_palette:
        return scaled(plane, slope, intercept), True
    if (slope, intercept) != (1, 0):
        found = f"slope {slope}, intercept {intercept} beside a palette"
        raise DataError("DCM_RESCALE", found, "export grey values")
    return plane, False


def _sign_of_slope(of: Callable[[str, str], Any]) -> dict[str, str]:
    """Return that a slice is turned over by its rescale, which all of an image are, or none."""
    slope = of("PixelValueTransformationSequence", "RescaleSlope")
    return {"signs of RescaleSlope": "below 0"} if slope and float(slope) < 0 else {}


def _upright_grey(
    one: Dataset,
    plane: np.ndarray,
    of: Callable[[str, str], Any],
    findings: Findings,
    unsigned: int = 0,
) -> np.ndarray:
    """Turn MONOCHROME1 over, unless its values have a unit: then only its display is inverted.

    MR has one in maps alone, such as of diffusion, which name it.
    """
    if one.get("PhotometricInterpretation") != "MONOCHROME1":
        return plane
    unit = str(of("PixelValueTransformationSequence", "RescaleType") or "").strip().upper()
    modality = one.get("Modality")
    if modality in _WITH_UNITS or (modality == "MR" and unit not in _NO_UNITS):
        return plane
    findings.note("DCM_INVERTED", "MONOCHROME1, whose low values are white, turned over")
    bits = unsigned or one.BitsStored  # those that a table gives, whatever the stored values
    top = 2 ** int(bits) - 1 if unsigned or one.PixelRepresentation == 0 else -1
    return (top - plane.astype(np.int64)).astype(plane.dtype)


def _check_pixels_are_free_of_names(one: Dataset, findings: Findings) -> None:
    burned = str(one.get("BurnedInAnnotation", "")).upper()
    if burned == "YES" or (burned != "NO" and one.get("Modality") in _BURNING):
        findings.ask(
            "DCM_PHI",
            f"pixels may show the patient's name (modality {one.get('Modality')!r}, "
            f"BurnedInAnnotation {burned!r})",
            "look at the pixels, and remove what identifies",
        )
