"""One slice of a series, with what it says of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from data_prep.core.errors import DataError
from data_prep.formats.dicom.groups import Part

# By name of an attribute, the group of enhanced files that holds it, and its name there. PS3.3,
# C.7.6.16.2 and C.8.13 to C.8.15.
_ENHANCED = {
    "AcquisitionNumber": ("FrameContentSequence", "FrameAcquisitionNumber"),
    "ContrastBolusAgent": ("ContrastBolusUsageSequence", "ContrastBolusAgentAdministered"),
    "ConvolutionKernel": ("CTReconstructionSequence", "ConvolutionKernel"),
    "DiffusionBValue": ("MRDiffusionSequence", "DiffusionBValue"),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "ImageType": ("MRImageFrameTypeSequence", "FrameType"),
    "InStackPositionNumber": ("FrameContentSequence", "InStackPositionNumber"),
    "InversionTime": ("MRModifierSequence", "InversionTimes"),
    "TemporalPositionIdentifier": ("FrameContentSequence", "TemporalPositionIndex"),
} | {
    name: (sequence, name)
    for sequence, names in {
        "CTXRayDetailsSequence": ("KVP",),
        "MRArterialSpinLabelingSequence": ("ASLContext",),
        "MRDiffusionSequence": ("DiffusionDirectionality",),
        "MRImageFrameTypeSequence": ("AcquisitionContrast", "ComplexImageComponent"),
        "MRImagingModifierSequence": ("BloodSignalNulling", "MagnetizationTransfer", "Tagging"),
        "MRModifierSequence": (
            *("InversionRecovery", "SpectrallySelectedExcitation"),
            *("SpectrallySelectedSuppression", "T2Preparation"),
        ),
        "MRTimingAndRelatedParametersSequence": ("FlipAngle", "RepetitionTime"),
        "MRVelocityEncodingSequence": (
            "VelocityEncodingDirection",
            "VelocityEncodingMaximumValue",
        ),
        "MultienergyCTCharacteristicsSequence": ("MonoenergeticEnergyEquivalent",),
    }.items()
    for name in names
}
# Of frames that are one image, by the group that holds it. PS3.3, C.7.6.16.
_ALIKE = {
    "RescaleType": "PixelValueTransformationSequence",
    "StackID": "FrameContentSequence",
    "NominalPercentageOfCardiacPhase": "CardiacSynchronizationSequence",
    "NominalCardiacTriggerDelayTime": "CardiacSynchronizationSequence",
    "RespiratoryTriggerDelayTime": "RespiratorySynchronizationSequence",
}
_KINDS = ("CTImageFrameTypeSequence", "PETFrameTypeSequence", "XRay3DFrameTypeSequence")
_OF_FILE = ("SOPClassUID", "EchoNumbers", "Manufacturer", "PatientPosition", "PatientSex")
_ALONE = ("InstanceNumber", "SliceLocation")  # of files of one slice
# Where files converted from slices keep what those said and no other group holds.
_CONVERTED = "UnassignedPerFrameConvertedAttributesSequence"
# What tells where a frame lies, by the group that holds it, and of how many numbers it is.
_PLACES = {
    "ImagePositionPatient": ("PlanePositionSequence", 3),
    "ImageOrientationPatient": ("PlaneOrientationSequence", 6),
    "PixelSpacing": ("PixelMeasuresSequence", 2),
}
_AGAIN = "export the series again"


class Place(NamedTuple):
    """Where a slice lies, in LPS millimetres."""

    position: np.ndarray
    axes: np.ndarray  # (2, 3): along a row, along a column
    spacing: tuple[float, float]  # between rows, between columns


@dataclass(frozen=True)
class Frame:
    """One slice: pixels in their unit, and where it lies in LPS millimetres."""

    pixels: np.ndarray
    position: np.ndarray | None
    axes: np.ndarray | None  # (2, 3): along a row, along a column
    spacing: tuple[float, float] | None  # between rows, between columns
    thickness: float | None
    between: float | None  # SpacingBetweenSlices
    rescaled: bool
    modality: str
    uid: str  # SOPInstanceUID
    renamed: tuple[str, ...]  # see `renamed_in`
    number: int  # of the frame in its file
    alike: dict[str, str]  # what all slices of a series say alike
    said: dict[str, tuple]  # other values by name of attribute, numbers where they are
    declared: int  # how many images there are to be, 0 if it is not said
    part: Part | None  # of a concatenation, that its file is

    @property
    def place(self) -> Place:
        """Where it lies.

        Raises:
            ValueError: if it does not say so.
        """
        if self.position is None or self.axes is None or self.spacing is None:
            raise ValueError("a slice without a place")
        return Place(self.position, self.axes, self.spacing)


def geometry_of(
    of: Callable[[str, str], Any],
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return position, axes `(2, 3)` and spacing of a frame, `None` for what it does not say.

    Args:
        of: returns a value of a group of this frame, or of the file.

    Raises:
        DataError: DCM_PLACE for what are no numbers, or axes that are not of length 1 and at right
            angles; HDR_SPACING for pixels without extent.
    """
    position, cosines, spacing = (
        vector(of(sequence, name), length) for name, (sequence, length) in _PLACES.items()
    )
    axes = None if cosines is None else cosines.reshape(2, 3)
    if axes is not None and np.abs(axes @ axes.T - np.eye(2)).max() > 1e-2:
        raise DataError("DCM_PLACE", f"directions {axes.flatten().tolist()}", _AGAIN)
    if spacing is not None and not (spacing > 0).all():
        raise DataError("HDR_SPACING", f"spacing {spacing.tolist()} mm", "set the true spacing")
    return position, axes, spacing


def place_of(of: Callable[[str, str], Any]) -> Place:
    """Return where a frame lies that has to say so.

    Raises:
        DataError: DCM_PLACE, naming what is missing; and as `geometry_of`.
    """
    told = geometry_of(of)
    for (name, (sequence, _)), value in zip(_PLACES.items(), told, strict=True):
        if value is None:
            raise DataError("DCM_PLACE", f"no {name} in {sequence} of a frame", _AGAIN)
    position, axes, (rows, columns) = (np.array(value) for value in told)
    return Place(position, axes, (float(rows), float(columns)))


def vector(value: Any, length: int) -> np.ndarray | None:
    """Return numbers of a header, `None` where there are none.

    Raises:
        DataError: DCM_PLACE if they are not so many finite numbers.
    """
    if value is None or value == "":
        return None
    try:
        numbers = np.array([float(n) for n in value], np.float64)
    except (TypeError, ValueError) as error:
        raise DataError("DCM_PLACE", f"geometry {value!r}", _AGAIN) from error
    if len(numbers) != length or not np.isfinite(numbers).all():
        raise DataError("DCM_PLACE", f"geometry {value!r}", _AGAIN)
    return numbers


def alike_of(of: Callable[[str, str], Any]) -> dict[str, str]:
    """Return what a frame of an enhanced file says that all frames of an image say alike."""
    found = {name: of(sequence, name) for name, sequence in _ALIKE.items()}
    return {name: str(value) for name, value in found.items() if value is not None}


def renamed_in(one: Dataset) -> tuple[str, ...]:
    """Return the identifiers of a file that its head tells otherwise than its data."""
    told = {
        name: (one.get(name), one.file_meta.get(f"MediaStorage{name}"))
        for name in ("SOPInstanceUID", "SOPClassUID")
    }
    return tuple(name for name, (uid, head) in told.items() if uid and head and uid != head)


def said_of(one: Dataset, frames: int, of: Callable[[str, str], Any]) -> dict[str, tuple]:
    """Return what a slice says of how it was taken; what is not said or cannot be read is not in.

    Args:
        one: the file.
        frames: how many it holds.
        of: returns a value of a group of this frame, or of the file.
    """
    found = {}
    for name in (*_ENHANCED, *_OF_FILE, *_ALONE * (frames == 1)):
        try:
            value = of(*_ENHANCED[name]) if name in _ENHANCED else None
            if name == "ImageType":
                others = (of(sequence, "FrameType") for sequence in _KINDS)
                value = next((other for other in others if other is not None), value)
            value = of(_CONVERTED, name) if value is None else value
        # pydicom raises several kinds of error for a text that is no number.
        except (ArithmeticError, TypeError, ValueError):
            continue
        values = [value] if np.isscalar(value) or isinstance(value, str) else [*(value or [])]
        if values and "" not in values:
            found[name] = tuple(map(_plain, values))
    return found


def _plain(value: Any) -> float | str:
    try:
        return float(value)
    except ValueError:
        return str(value).strip().upper()
