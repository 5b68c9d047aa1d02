"""DICOM images: the slices of one series become one volume, or the series is refused.

No step of the standard's geometry is guessed: slices are ordered by position, and whatever keeps
them from being one even stack (a gap, a second phase, a turned slice, a tilt) is named.
Source: DICOM PS3.3, C.7.6.2 (image plane), C.11.1 (modality LUT), C.7.6.16 (multi-frame).
"""

import io
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels import pixel_array

from data_prep.errors import DataError
from data_prep.findings import Findings
from data_prep.geometry import check_affine, from_lps, shear_of
from data_prep.limits import check_size
from data_prep.scan import SCANNER_CODES, Scan, in_order

# Modalities whose pictures often show the patient's name in their pixels.
_BURNING = ("US", "XA", "XC", "ES", "OT", "SC")
_WITH_UNITS = ("CT", "MR", "PT", "NM")
_SAME_DIRECTION = 1e-3
_SAME_PLACE_MM = 1e-3
_EVEN = 1e-2  # of the distance between slices
_ROUNDING_MM = 0.02  # twice what positions written to 0.01 mm leave
_TILT = 1e-3
_AGAIN = "export the series again"


@dataclass(frozen=True)
class _Frame:
    """One slice: pixels in their unit, and where it lies in LPS millimetres."""

    pixels: np.ndarray
    position: np.ndarray | None
    axes: np.ndarray | None  # (2, 3): along a row, along a column
    spacing: tuple[float, float] | None  # between rows, between columns
    thickness: float | None
    rescaled: bool
    modality: str


def is_dicom(data: bytes) -> bool:
    """Tell by its first bytes whether a file is DICOM, with or without a preamble."""
    if data[128:132] == b"DICM":
        return True
    # Without: group 0002 or 0008, little endian, then a value representation or a short length.
    return data[:2] in (b"\x02\x00", b"\x08\x00") and data[2:4] in (b"\x00\x00", b"\x05\x00")


def parse(data: bytes, *, pixels: bool = True) -> Dataset:
    """Parse one file.

    Raises:
        DataError: IO_TRUNCATED or IO_DAMAGED.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values; those that are used are checked
            found = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=not pixels)
            found.get("SOPClassUID")
            return found
    except (EOFError, InvalidDicomError) as error:
        raise DataError("IO_TRUNCATED", f"the file ends early: {error}", _AGAIN) from error
    # pydicom raises many kinds of error for what it cannot make sense of.
    except Exception as error:
        raise DataError("IO_DAMAGED", f"{type(error).__name__}: {error}", _AGAIN) from error


@contextmanager
def named_errors() -> Iterator[None]:
    """Give the errors of reading values a name; pydicom reads them when they are asked for.

    Raises:
        DataError: IO_DAMAGED for whatever else is raised inside.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    # It raises many kinds for values it cannot make sense of.
    except Exception as error:
        raise DataError("IO_DAMAGED", f"{type(error).__name__}: {error}"[:200], _AGAIN) from error


def read_series(
    files: Iterable[tuple[str, bytes]], findings: Findings, count: int | None = None
) -> Scan:
    """Read the files of one series to `(1, X, Y, Z)`, or `(C, H, W)` for a picture without place.

    Args:
        files: names and contents, fetched one after the other.
        findings: what is noticed is added to it.
        count: how many files there are, if known: a series too large is refused at the first.

    Raises:
        DataError: IO_MEMORY, see `memory_within`; DCM_... for a series that is not one even stack;
            IO_..., GEO_...
    """
    frames: list[_Frame] = []
    for name, data in files:
        try:
            with named_errors():
                frames += _frames(parse(data), findings)
                slices = max(count or 0, len(frames))
                check_size(slices * frames[0].pixels.size, frames[0].pixels.itemsize)
        except DataError as error:
            raise error.at(file=name) from error.__cause__
    if len({frame.pixels.shape for frame in frames}) > 1:
        shapes = sorted({frame.pixels.shape for frame in frames})
        raise DataError("DCM_MIXED", f"slices of sizes {shapes[:4]}", "split the series")
    if any(f.rescaled for f in frames) != all(f.rescaled for f in frames):
        missing = sum(not f.rescaled for f in frames)
        raise DataError("DCM_RESCALE", f"{missing} of {len(frames)} slices have no rescale", _AGAIN)
    if frames[0].modality == "CT" and not frames[0].rescaled:
        findings.ask("DCM_NO_RESCALE", "a CT without rescale to Hounsfield units", _AGAIN)
    placed = [frame for frame in frames if frame.position is not None]
    if not placed and len(frames) == 1 and frames[0].modality not in _WITH_UNITS:
        return Scan(in_order(np.moveaxis(frames[0].pixels, -1, 0)))
    if len(placed) != len(frames) or any(f.axes is None or f.spacing is None for f in frames):
        raise DataError(
            "DCM_PLACE",
            f"{len(frames) - len(placed)} of {len(frames)} slices without position, "
            "orientation or spacing",
            "export the series with its geometry",
        )
    if frames[0].pixels.shape[-1] != 1:
        raise DataError("DCM_COLOR", "a stack in colours", "give a series of grey values")
    return _stack(frames, findings)


def _frames(one: Dataset, findings: Findings) -> list[_Frame]:
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        if not isinstance(one.get(name), int):
            raise DataError("DCM_PIXELS", f"no {name}", _AGAIN)
    _check_pixels_are_free_of_names(one, findings)
    pixels = pixels_of(one)
    shared = (one.get("SharedFunctionalGroupsSequence") or [None])[0]
    apart = one.get("PerFrameFunctionalGroupsSequence") or [None] * len(pixels)
    if len(apart) != len(pixels):
        raise DataError(
            "DCM_FRAMES", f"{len(pixels)} frames, {len(apart)} descriptions of frames", _AGAIN
        )
    return [
        _frame(one, plane, group, shared, findings)
        for plane, group in zip(pixels, apart, strict=True)
    ]


def _frame(
    one: Dataset,
    plane: np.ndarray,
    apart: Dataset | None,
    shared: Dataset | None,
    findings: Findings,
) -> _Frame:
    def of(sequence: str, name: str) -> object:
        for group in (apart, shared):
            if group is not None and sequence in group and name in group[sequence][0]:
                return group[sequence][0][name].value
        return one.get(name)

    plane = _upright_grey(one, plane, findings)
    slope = of("PixelValueTransformationSequence", "RescaleSlope")
    intercept = of("PixelValueTransformationSequence", "RescaleIntercept")
    rescaled = slope is not None or intercept is not None
    if rescaled:
        if slope is None or intercept is None:
            raise DataError("DCM_RESCALE", f"slope {slope}, intercept {intercept}", _AGAIN)
        slope, intercept = float(slope), float(intercept)
        if not slope or not np.isfinite([slope, intercept]).all():
            raise DataError("DCM_RESCALE", f"rescale slope {slope}", _AGAIN)
        plane = _rescaled(plane, slope, intercept)
    elif "ModalityLUTSequence" in one:
        raise DataError("DCM_RESCALE", "a modality lookup table", "export rescaled values")
    position = _vector(of("PlanePositionSequence", "ImagePositionPatient"), 3)
    cosines = _vector(of("PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing = _vector(of("PixelMeasuresSequence", "PixelSpacing"), 2)
    thickness = of("PixelMeasuresSequence", "SliceThickness")
    axes = None if cosines is None else cosines.reshape(2, 3)
    if axes is not None and np.abs(axes @ axes.T - np.eye(2)).max() > 1e-2:
        raise DataError("DCM_PLACE", f"directions {cosines.tolist()}", _AGAIN)
    if spacing is not None and not (spacing > 0).all():
        raise DataError("HDR_SPACING", f"spacing {spacing.tolist()} mm", "set the true spacing")
    return _Frame(
        plane,
        position,
        axes,
        None if spacing is None else (float(spacing[0]), float(spacing[1])),
        float(thickness) if thickness else None,
        rescaled,
        str(one.get("Modality") or ""),
    )


def _upright_grey(one: Dataset, plane: np.ndarray, findings: Findings) -> np.ndarray:
    """Turn MONOCHROME1 over, unless its values have a unit: then only its display is inverted."""
    if one.get("PhotometricInterpretation") != "MONOCHROME1":
        return plane
    if one.get("Modality") in _WITH_UNITS:
        return plane
    findings.note("DCM_INVERTED", "MONOCHROME1, whose low values are white, turned over")
    top = 2 ** int(one.BitsStored) - 1 if one.PixelRepresentation == 0 else -1
    return (top - plane.astype(np.int32)).astype(plane.dtype)


def pixels_of(one: Dataset) -> np.ndarray:
    """Return the stored values of all frames, `(frames, rows, columns, samples)`."""
    if "PixelData" not in one:
        raise DataError("DCM_PIXELS", "no pixels", "give images, not reports or contours")
    frames = int(one.get("NumberOfFrames") or 1)
    samples = int(one.get("SamplesPerPixel") or 1)
    total = check_size(frames * one.Rows * one.Columns * samples, -(-one.BitsAllocated // 8))
    if not total:
        raise DataError("DCM_PIXELS", f"{one.Rows} x {one.Columns} pixels", _AGAIN)
    if one.HighBit != one.BitsStored - 1 or not 0 < one.BitsStored <= one.BitsAllocated:
        bits = f"{one.BitsStored} of {one.BitsAllocated} bits, the highest {one.HighBit}"
        raise DataError("DCM_PIXELS", bits, _AGAIN)
    if "TransferSyntaxUID" not in getattr(one, "file_meta", {}):
        raise DataError("DCM_SYNTAX", "no transfer syntax", _AGAIN)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # decoders warn where they fill in what is missing
            array = pixel_array(one)
    except MemoryError as error:
        raise DataError("IO_TOO_LARGE", "more than the memory holds", "split it") from error
    # Decoders raise whatever their libraries report.
    except Exception as error:
        syntax = one.file_meta.TransferSyntaxUID.name
        if "plugin" in str(error) or "missing dependencies" in str(error).lower():
            raise DataError(
                "DCM_SYNTAX",
                f"compressed as {syntax}, for which no decoder is installed",
                "pip install sdunet[dicom]; JPEG lossless also needs pylibjpeg-libjpeg",
            ) from error
        raise DataError("IO_DAMAGED", f"pixels ({syntax}): {error}", _AGAIN) from error
    return array.reshape(frames, one.Rows, one.Columns, samples)


def _rescaled(plane: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Return values in their unit: whole numbers stay whole, so that CT stays exact."""
    if slope.is_integer() and intercept.is_integer() and abs(slope) < 2**15 > abs(intercept):
        return plane.astype(np.int32) * int(slope) + int(intercept)
    return (plane.astype(np.float64) * slope + intercept).astype(np.float32)


def _check_pixels_are_free_of_names(one: Dataset, findings: Findings) -> None:
    burned = str(one.get("BurnedInAnnotation", "")).upper()
    if burned == "YES" or (burned != "NO" and one.get("Modality") in _BURNING):
        findings.ask(
            "DCM_PHI",
            f"pixels may show the patient's name (modality {one.get('Modality')!r}, "
            f"BurnedInAnnotation {burned!r})",
            "look at the pixels, and remove what identifies",
        )


def _stack(frames: list[_Frame], findings: Findings) -> Scan:
    axes = frames[0].axes
    if any(np.abs(f.axes - axes).max() > _SAME_DIRECTION for f in frames):
        raise DataError("DCM_MIXED", "slices of several orientations", "split the series")
    if any(np.abs(np.subtract(f.spacing, frames[0].spacing)).max() > 1e-4 for f in frames):
        raise DataError("DCM_MIXED", "slices of several pixel spacings", "split the series")
    normal = np.cross(axes[0], axes[1])
    frames = sorted(frames, key=lambda frame: float(frame.position @ normal))
    frames = _without_copies(frames, normal, findings)
    places = np.array([frame.position for frame in frames])
    along = places @ normal
    frames, step = _evened(frames, along, findings)
    across = (places - places[0]) - (along - along[0])[:, None] * normal
    lean = across[-1] / (along[-1] - along[0]) if len(along) > 1 else np.zeros(3)
    if np.abs(across - np.outer(along - along[0], lean)).max() > 0.1 * min(frames[0].spacing):
        raise DataError("DCM_MIXED", "slices that are shifted sideways", "split the series")
    direction = (normal + lean) * step
    rows, columns = frames[0].spacing
    affine = from_lps(np.column_stack([axes[0] * columns, axes[1] * rows, direction]), places[0])
    if shear_of(affine) > _TILT:
        angle = np.degrees(np.arctan(np.linalg.norm(lean)))
        findings.ask("DCM_TILT", f"a gantry tilted by {angle:.3g} degrees", "resample the series")
        findings = Findings({*findings.accept, "GEO_SHEAR"})
    check_affine(affine, findings)
    volume = np.stack([frame.pixels[..., 0] for frame in frames])  # (Z, Y, X)
    return Scan(in_order(volume.transpose(2, 1, 0))[None], affine, SCANNER_CODES)


def _without_copies(frames: list[_Frame], normal: np.ndarray, findings: Findings) -> list[_Frame]:
    """Drop slices that are there twice; refuse two different ones at one place."""
    at = defaultdict(list)
    for frame in frames:
        at[round(float(frame.position @ normal) / (10 * _SAME_PLACE_MM))].append(frame)
    several = {place: group for place, group in at.items() if len(group) > 1}
    for group in several.values():
        if any(not np.array_equal(group[0].pixels, frame.pixels) for frame in group[1:]):
            raise DataError(
                "DCM_PHASES",
                f"{len(several)} places with several different slices, up to "
                f"{max(map(len, several.values()))}: phases, echoes or acquisitions",
                "split the series by acquisition",
            )
    if several:
        findings.note("DCM_COPY", f"{len(frames) - len(at)} slices were there twice")
    return [group[0] for group in at.values()]


def _evened(
    frames: list[_Frame], along: np.ndarray, findings: Findings
) -> tuple[list[_Frame], float]:
    """Return slices at even distances, interpolated where that is accepted, and the distance."""
    if len(frames) == 1:
        if frames[0].thickness is None:
            raise DataError("DCM_PLACE", "one slice without thickness", _AGAIN)
        return frames, frames[0].thickness
    steps = np.diff(along)
    _check_gaps(along, steps)
    mean = float((along[-1] - along[0]) / len(steps))
    even = along[0] + mean * np.arange(len(frames))
    if np.abs(along - even).max() <= max(_EVEN * mean, _ROUNDING_MM):
        return frames, mean
    findings.ask(
        "DCM_UNEVEN",
        f"distances between slices from {steps.min():.4g} to {steps.max():.4g} mm",
        "resample the series",
    )
    step = float(np.median(steps))
    return _interpolated(frames, along, np.arange(along[0], along[-1] + step / 2, step)), step


def _check_gaps(along: np.ndarray, steps: np.ndarray) -> None:
    ratios = steps / np.median(steps)
    wide = (np.round(ratios) > 1) & (np.abs(ratios - np.round(ratios)) < 0.05)
    # Many wide steps are a second thickness, not gaps.
    if 0 < wide.sum() <= max(1, len(steps) // 5):
        places = ", ".join(f"{place:.4g}" for place in along[:-1][wide][:5])
        raise DataError(
            "DCM_GAP",
            f"slices are missing after {places} mm (step {np.median(steps):.4g} mm)",
            "export the missing slices",
        )


def _interpolated(frames: list[_Frame], along: np.ndarray, at: np.ndarray) -> list[_Frame]:
    out = []
    for place in at:
        above = int(np.clip(np.searchsorted(along, place), 1, len(along) - 1))
        share = (place - along[above - 1]) / (along[above] - along[above - 1])
        low, high = (frames[i].pixels.astype(np.float32) for i in (above - 1, above))
        share = float(np.clip(share, 0, 1))
        out.append(replace(frames[above - 1], pixels=low * (1 - share) + high * share))
    return out


def _vector(value: object, length: int) -> np.ndarray | None:
    if value is None or value == "":
        return None
    try:
        numbers = np.array([float(n) for n in value], np.float64)
    except (TypeError, ValueError) as error:
        raise DataError("DCM_PLACE", f"geometry {value!r}", _AGAIN) from error
    if len(numbers) != length or not np.isfinite(numbers).all():
        raise DataError("DCM_PLACE", f"geometry {value!r}", _AGAIN)
    return numbers
