"""Whether the slices of a series are one image: what they must say alike, and what they may not.

What scanners write loosely (numbers of slices, their location) is told and not refused: slices are
ordered by position. Source: DICOM PS3.3, C.7.6.1 (image type), C.8.3.1 (MR), C.8.13 (enhanced MR).
"""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from pydicom import uid

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.dicom.frame import Frame

ALIKE = ("Modality", "PixelRepresentation", "PhotometricInterpretation", "RescaleType")
ALIKE = (*ALIKE, "FrameOfReferenceUID", "StudyInstanceUID", "SamplesPerPixel")
# Of what several images of one place differ by, the share by which slices of one image may.
_APART = dict.fromkeys(
    (
        *("ASLContext", "AcquisitionContrast", "ComplexImageComponent", "ConvolutionKernel"),
        *("DiffusionDirectionality", "EchoNumbers", "TemporalPositionIdentifier"),
    ),
    0.0,
)
_APART |= dict.fromkeys(("DiffusionBValue", "EchoTime"), 0.05)
_APART |= dict.fromkeys(("VelocityEncodingDirection", "VelocityEncodingMaximumValue"), 0.05)
_DOUBTFUL = dict.fromkeys(
    (
        *("BloodSignalNulling", "InversionRecovery", "MagnetizationTransfer", "Manufacturer"),
        *("PatientPosition", "PatientSex", "SpectrallySelectedExcitation"),
        *("SpectrallySelectedSuppression", "T2Preparation", "Tagging"),
    ),
    0.0,
)
_DOUBTFUL |= dict.fromkeys(("FlipAngle", "InversionTime"), 0.05)
_DOUBTFUL |= dict.fromkeys(("KVP", "MonoenergeticEnergyEquivalent"), 0.05)
_DOUBTFUL["RepetitionTime"] = 0.3  # that of the heart or the breath, where these trigger slices
_UNTOLD = {("MIXED",), ("UNKNOWN",)}  # words for nothing that is known
# Words of ImageType of which one image has the same in all slices.
_KINDS = {
    *("LOCALIZER", "PROJECTION IMAGE", "MPR", "ADC", "FA"),
    *("M", "P", "R", "I", "MAGNITUDE", "PHASE", "REAL", "IMAGINARY"),
    *("W", "F", "IP", "OP", "WATER", "FAT", "IN_PHASE", "OUT_PHASE", "OPP_PHASE"),
}
# Words of ImageType of what is no stack of slices.
_NO_SLICES = {
    *("SCREEN SAVE", "SCREENSAVE", "SCREENSHOT"),
    *("PROJECTION IMAGE", "MIP", "MINIP", "MIN_IP", "MAX_IP", "MIP_SUB"),
}
_NO = ("NO",)  # what enhanced files say of an agent that was not given
_MADE = ("ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY")  # first two words of ImageType
_STRAY = 4  # times as many slices as those of another acquisition between them
_COARSE = {"LOCALIZER", "SCOUT", "SURVEY", "TOPOGRAM"}  # slices, but seldom those that are meant
_SLICED = ("CT", "MR", "PT", "NM")  # modalities of slices
_STORED_AS = {
    uid.CTImageStorage: "CT",
    uid.EnhancedCTImageStorage: "CT",
    uid.LegacyConvertedEnhancedCTImageStorage: "CT",
    uid.MRImageStorage: "MR",
    uid.EnhancedMRImageStorage: "MR",
    uid.LegacyConvertedEnhancedMRImageStorage: "MR",
    uid.PositronEmissionTomographyImageStorage: "PT",
    uid.EnhancedPETImageStorage: "PT",
    uid.LegacyConvertedEnhancedPETImageStorage: "PT",
    uid.NuclearMedicineImageStorage: "NM",
}
_AGAIN = "export the series again"
_SPLIT = "split the series"


def check_alike(frames: Sequence[Frame], findings: Findings) -> None:
    """Refuse slices of several images in one series.

    Raises:
        DataError: DCM_MIXED; DCM_MOSAIC and DCM_KIND as `check_kind`.
    """
    for name in sorted({name for frame in frames for name in frame.alike}):
        values = sorted({frame.alike.get(name, "") for frame in frames})
        if len(values) > 1:
            shown = "" if name.endswith("UID") else f", {values[:4]}"
            raise DataError("DCM_MIXED", f"slices of {len(values)} {name}{shown}", _SPLIT)
    kinds = {tuple(sorted(_KINDS & set(frame.said.get("ImageType", ())))) for frame in frames}
    if len(kinds) > 1:
        found = ", ".join(" ".join(kind) or "others" for kind in sorted(kinds))
        raise DataError("DCM_MIXED", f"slices of several ImageType: {found}", _SPLIT)
    tell_renamed([frame.renamed for frame in frames], "slices", findings)
    check_kind(frames, findings)
    _tell_of_modality(frames, findings)
    for name, share in _APART.items():
        if values := _differing(frames, name, share):
            raise DataError("DCM_MIXED", f"slices of several {name}, {values}", _SPLIT)
    _tell_of_sorts(frames, findings)
    for name, share in _DOUBTFUL.items():
        if values := _differing(frames, name, share):
            found = f"slices of several {name}, {values}"
            findings.warn("DCM_VARIES", found, "look whether they are of one image")


def tell_renamed(renamed: Sequence[tuple[str, ...]], what: str, findings: Findings) -> None:
    """Warn of files whose head tells other identifiers than their data.

    Args:
        renamed: those of each file or frame, see `frame.renamed_in`.
        what: they are.
        findings: what is noticed is added to it.
    """
    for name, count in sorted(Counter(name for names in renamed for name in names).items()):
        found = f"{count} of {len(renamed)} {what} have another {name} in their head"
        findings.warn("DCM_UID", found, "look whether they were renamed without care")


def _tell_of_sorts(frames: Sequence[Frame], findings: Findings) -> None:
    """Warn of slices made in other ways than the rest: derived ones, or before a contrast agent."""
    kinds = [frame.said.get("ImageType", ()) for frame in frames]
    derived = Counter(k[i] for k in kinds for i in (0, 1) if len(k) > 1 and k[i] in _MADE)
    given = [frame.said.get("ContrastBolusAgent", _NO) != _NO for frame in frames]
    agents = Counter("with" if agent else "without" for agent in given)
    for what, words in (
        ("ImageType", ("ORIGINAL", "DERIVED")),
        ("ImageType", ("PRIMARY", "SECONDARY")),
        ("ContrastBolusAgent", ("with", "without")),
    ):
        counts = agents if what == "ContrastBolusAgent" else derived
        if all(counts[word] for word in words):
            found = f"slices of several {what}, " + " and ".join(f"{counts[w]} {w}" for w in words)
            findings.warn("DCM_VARIES", found, "look whether they are of one image")


def check_kind(frames: Sequence[Frame], findings: Findings) -> None:
    """Refuse images that are no slices, though they lie in one stack by what they say.

    Raises:
        DataError: DCM_MOSAIC for slices that are tiles of one image; DCM_KIND for projections and
            screenshots, unless accepted. Localizers are a warning.
    """
    words = {word for frame in frames for word in frame.said.get("ImageType", ())}
    if "MOSAIC" in words:
        found = "ImageType MOSAIC: each image shows all slices beside each other"
        raise DataError("DCM_MOSAIC", found, "convert it to NIfTI, as dcm2niix does")
    if frames[0].modality not in _SLICED:
        return
    if kinds := sorted(map(str, words & _NO_SLICES)):
        found = f"ImageType {', '.join(kinds)}, which is no stack of slices"
        findings.ask("DCM_KIND", found, "give the series of slices")
    if kinds := sorted(map(str, words & _COARSE)):
        found = f"ImageType {', '.join(kinds)}"
        findings.warn("DCM_KIND", found, "look whether this series is meant")


def _tell_of_modality(frames: Sequence[Frame], findings: Findings) -> None:
    """Warn of a modality, which names the channel, that is not that of the SOP class."""
    modality = frames[0].modality
    classes = {frame.said.get("SOPClassUID", ("",))[0] for frame in frames}
    for stored in sorted({_STORED_AS.get(sop_class, modality) for sop_class in classes}):
        if modality in _SLICED and modality != stored:
            found = f"Modality {modality}, stored as slices of {stored}"
            findings.warn("DCM_KIND", found, "look which it is: intensities are normalised by it")


def _differing(frames: Sequence[Frame], name: str, share: float) -> str:
    """Return what slices say of an attribute, if it is not the same; empty if it is."""
    values = sorted({f.said[name] for f in frames if name in f.said} - _UNTOLD, key=str)
    if len(values) < 2:
        return ""
    measured = all(isinstance(number, float) for value in values for number in value)
    if measured and len({len(value) for value in values}) == 1:
        numbers = np.array(values, float)
        if np.ptp(numbers, axis=0).max() <= share * np.abs(numbers).max():
            return ""
    texts = [" ".join(f"{n:g}" if isinstance(n, float) else repr(n) for n in v) for v in values]
    return " and ".join(texts[:4])


def check_identity(frames: Sequence[Frame]) -> None:
    """Refuse several slices of one name.

    Raises:
        DataError: DCM_UID.
    """
    named = Counter((frame.uid, frame.number) for frame in frames if frame.uid)
    most = max(named.values(), default=1)
    if most > 1:
        raise DataError("DCM_UID", f"{most} slices of one SOPInstanceUID", _AGAIN)


def check_order(frames: Sequence[Frame], along: np.ndarray, findings: Findings) -> None:
    """Tell where slices say of another order than their positions, which are used.

    Args:
        frames: slices in the order of their positions.
        along: those positions, in millimetres along the normal.
        findings: what is noticed is added to it.
    """
    numbers = _numbers(frames, "InstanceNumber")
    if len(set(numbers)) < len(numbers):
        found = f"{len(numbers)} slices have {len(set(numbers))} InstanceNumbers"
        findings.warn("DCM_ORDER", found, "look whether they are of one image")
    acquired = _numbers(frames, "AcquisitionNumber")
    runs, counts = [n for n, _ in groupby(acquired)], Counter(acquired)
    # Acquisitions taken in turns have as many slices each; strays are of another image.
    if len(runs) > len(counts) and _STRAY * min(counts.values()) < max(counts.values()):
        few = min(counts, key=lambda number: counts[number])
        found = f"{counts[few]} of {len(acquired)} slices are of another acquisition, {few:g}, "
        found += "than those around them"
        findings.warn("DCM_VARIES", found, "look whether they are of one image")
    for name in ("SliceLocation", "InStackPositionNumber"):
        places = _numbers(frames, name)
        if len(places) < len(along):
            continue
        steps = np.diff(places)
        if (steps < 0).all() and len(steps):
            findings.note("DCM_ORDER", f"{name} runs against the positions, which are used")
        elif not (steps > 0).all():
            found = f"{name} is of another order than the positions, which are used"
            findings.warn("DCM_ORDER", found, "look whether the slices lie where they should")


def _numbers(frames: Sequence[Frame], name: str) -> list[float]:
    """Return the numbers of an attribute, of those slices that have one."""
    values = [frame.said[name][0] for frame in frames if name in frame.said]
    return [value for value in values if isinstance(value, float)]
