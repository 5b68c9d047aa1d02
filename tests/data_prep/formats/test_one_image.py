"""Slices of one series that are several images are refused; what scanners write loosely is told."""

import numpy as np
import pytest
from dicom_files import STORED, encode, multi_frame, new_slice, series
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.dicom.series import read_series

CONVERTED = "UnassignedPerFrameConvertedAttributesSequence"
USED = "ContrastBolusUsageSequence"


def read(slices):
    findings = Findings()
    scan = read_series([(f"{i:02}", encode(one)) for i, one in enumerate(slices)], findings)
    return scan, [f"{f.level} {f.code}: {f.found}" for f in findings.found]


def slices_with(name, values):
    """The series, each slice with the value of its number; `None` leaves the attribute out."""
    slices = series()
    for z, one in enumerate(slices):
        value = values(z)
        if value is not None:
            setattr(one, name, value)
    return slices


def one_uid(z):
    return "1.2.3.4"


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("StudyInstanceUID", lambda z: "1.2" if z != 5 else "1.9", "DCM_MIXED: slices of 2 Study"),
        ("EchoTime", lambda z: 10 * (z % 2 + 1), "DCM_MIXED: slices of several EchoTime, 10 and"),
        ("EchoTime", lambda z: 10 if z < 5 else 80, "DCM_MIXED: slices of several EchoTime"),
        ("EchoNumbers", lambda z: z % 2 + 1, "DCM_MIXED: slices of several EchoNumbers, 1 and 2"),
        ("DiffusionBValue", lambda z: 1000.0 * (z % 2), "DCM_MIXED: slices of several Diffusion"),
        ("TemporalPositionIdentifier", lambda z: z % 2 + 1, "DCM_MIXED: slices of several Tempor"),
        ("ConvolutionKernel", lambda z: ["B30f", "B70f"][z % 2], "DCM_MIXED: .* Convolution"),
        ("ComplexImageComponent", lambda z: ["MAGNITUDE", "PHASE"][z % 2], "DCM_MIXED: .* Complex"),
        ("AcquisitionContrast", lambda z: ["T1", "T2"][z // 5], "DCM_MIXED: .* AcquisitionContr"),
        (
            "ImageType",
            lambda z: ["ORIGINAL", "PRIMARY", "AXIAL" if z != 5 else "LOCALIZER"],
            "DCM_MIXED: slices of several ImageType: others, LOCALIZER",
        ),
        (
            "ImageType",
            lambda z: ["ORIGINAL", "PRIMARY", "M" if z % 2 else "P", "ND"],
            "DCM_MIXED: slices of several ImageType: M, P",
        ),
        ("SOPInstanceUID", one_uid, "DCM_UID: 10 slices of one SOPInstanceUID"),
        ("SOPInstanceUID", lambda z: f"1.2.3.{z // 2}", "DCM_UID: 2 slices of one SOPInstanceUID"),
    ],
)
def test_several_images_in_one_series_are_refused(name, values, message):
    slices = slices_with(name, values)
    for one in slices:
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    with pytest.raises(DataError, match=message):
        read(slices)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        (
            "PatientPosition",
            lambda z: ["HFS", "FFS"][z % 2],
            ["warning DCM_VARIES: slices of several PatientPosition, 'FFS' and 'HFS'"],
        ),
        ("PatientPosition", lambda z: "HFS" if z else None, []),
        ("InstanceNumber", lambda z: 1, ["warning DCM_ORDER: 10 slices have 1 InstanceNumbers"]),
        ("InstanceNumber", lambda z: z // 2, ["warning DCM_ORDER: 10 slices have 5 InstanceNum"]),
        ("SliceLocation", lambda z: 100 - 2 * z, ["note DCM_ORDER: SliceLocation runs against"]),
        ("SliceLocation", lambda z: (z * 3) % 10, ["warning DCM_ORDER: SliceLocation is of anoth"]),
        ("SliceLocation", lambda z: 7, ["warning DCM_ORDER: SliceLocation is of another order"]),
        ("FlipAngle", lambda z: 10 + 20 * (z % 2), ["warning DCM_VARIES: slices of several Flip"]),
        ("KVP", lambda z: 80 + 60 * (z % 2), ["warning DCM_VARIES: slices of several KVP, 140"]),
        ("PatientSex", lambda z: "FM"[z // 5], ["warning DCM_VARIES: slices of several PatientS"]),
        ("Manufacturer", lambda z: f"m{z % 2}", ["warning DCM_VARIES: slices of several Manufac"]),
        ("RepetitionTime", lambda z: [500, 4000][z % 2], ["warning DCM_VARIES: slices of several"]),
        (
            "ImageType",
            lambda z: ["DERIVED" if z == 5 else "ORIGINAL", "PRIMARY", "AXIAL"],
            ["warning DCM_VARIES: slices of several ImageType, 9 ORIGINAL and 1 DERIVED"],
        ),
        (
            "ImageType",
            lambda z: ["DERIVED", "SECONDARY" if z < 3 else "PRIMARY", "AXIAL"],
            ["warning DCM_VARIES: slices of several ImageType, 7 PRIMARY and 3 SECONDARY"],
        ),
        (
            "ContrastBolusAgent",
            lambda z: "ioversol" if z < 4 else None,
            ["warning DCM_VARIES: slices of several ContrastBolusAgent, 4 with and 6 without"],
        ),
        (
            "AcquisitionNumber",
            lambda z: 1 + (z == 5),
            ["warning DCM_VARIES: 1 of 10 slices are of another acquisition, 2, than those arou"],
        ),
        # What ordinary scanners write:
        ("AcquisitionNumber", lambda z: z % 2, []),
        ("AcquisitionNumber", lambda z: z, []),
        ("AcquisitionNumber", lambda z: 1 + (z == 9), []),
        ("AcquisitionNumber", lambda z: None if z == 4 else 1, []),
        ("ContrastBolusAgent", lambda z: "ioversol", []),
        ("ContrastBolusAgent", lambda z: "", []),
        ("InstanceNumber", lambda z: 10 - z, []),
        ("InstanceNumber", lambda z: None if z == 4 else z, []),
        ("SliceLocation", lambda z: 2 * z - 400.5, []),
        ("SliceLocation", lambda z: None if z == 4 else 2 * z, []),
        ("EchoTime", lambda z: 10 + 0.01 * z, []),
        ("EchoTime", lambda z: None if z == 4 else 10, []),
        ("DiffusionBValue", lambda z: 1000.0 + z, []),
        ("RepetitionTime", lambda z: 800 + 20 * z, []),  # triggered by the heart
        ("AcquisitionContrast", lambda z: ["T1", "UNKNOWN"][z % 2], []),
        ("PatientSex", lambda z: "F" if z else "", []),
        ("Manufacturer", lambda z: ["SIEMENS", "Siemens "][z % 2], []),
        ("ContrastBolusAgent", lambda z: "NO" if z else None, []),
        ("ImageType", lambda z: ["ORIGINAL", "PRIMARY", "AXIAL", f"CT_SOM5 {'SPI'[z % 3]}"], []),
        (
            "ImageType",
            lambda z: ["DERIVED", "SECONDARY", "LOCALIZER"],
            ["warning DCM_KIND: ImageType LOCALIZER"],
        ),
        (
            "SOPClassUID",
            lambda z: MRImageStorage,
            ["warning DCM_KIND: Modality CT, stored as slices of MR"],
        ),
        (
            "SOPClassUID",
            lambda z: MRImageStorage if z == 3 else EnhancedCTImageStorage,
            ["warning DCM_KIND: Modality CT, stored as slices of MR"],
        ),
        ("SOPClassUID", lambda z: SecondaryCaptureImageStorage, []),
        ("AcquisitionNumber", lambda z: z % 3, []),
        ("AcquisitionTime", lambda z: f"1200{z:02}", []),
        ("ConvolutionKernel", lambda z: ["Qr40f", "3"], []),
    ],
)
def test_what_slices_say_loosely_is_told_and_read(name, values, said):
    scan, found = read(slices_with(name, values))
    np.testing.assert_array_equal(scan.array[0], STORED.transpose(2, 1, 0).astype(int) - 1024)
    assert len(found) == len(said)
    assert all(f.startswith(s) for f, s in zip(found, said, strict=True)), found


@pytest.mark.parametrize("name", ["InstanceNumber", "SliceLocation", "EchoTime"])
def test_a_value_that_cannot_be_read_says_nothing(name):
    slices = [encode(one) for one in slices_with(name, lambda z: 7654321)]
    findings = Findings()
    broken = [data.replace(b"7654321", b"..x..yz") for data in slices]
    assert read_series(enumerate(map(bytes, broken)), findings).size == (8, 6, 10)
    assert not findings.found


def renamed(one, value, other):
    """A file whose head has another value than its data."""
    head, uid, rest = encode(one).partition(value.encode())
    return head + uid.replace(value.encode(), other.encode()) + rest


CT, MR = str(CTImageStorage), str(MRImageStorage)


@pytest.mark.parametrize("placed", [True, False])
def test_files_that_were_renamed_without_their_head_are_told_once(placed):
    slices = slices_with("SOPInstanceUID", lambda z: f"1.2.3.{z}")[: 10 if placed else 1]
    if not placed:
        slices = [new_slice(0, STORED[0], Modality="DX", ImagePositionPatient=None)]
        slices[0].SOPInstanceUID = "1.2.3.0"
    files, classes = [], []
    for z, one in enumerate(slices):
        files.append((f"{z}", renamed(one, f"1.2.3.{z}", f"1.2.4.{z}")))
        classes.append((f"{z}", renamed(one, CT, MR)))
    for some, name in ((files, "SOPInstanceUID"), (classes, "SOPClassUID")):
        findings = Findings()
        read_series(some, findings)
        told = [f"{f.level} {f.code}: {f.found}" for f in findings.found]
        n = len(slices)
        assert told == [f"warning DCM_UID: {n} of {n} slices have another {name} in their head"]


def test_a_copy_of_a_slice_has_its_uid():
    slices = series()
    _, found = read([*slices, slices[3]])
    assert found == ["note DCM_COPY: 1 slices were there twice"]


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("MREchoSequence", "EffectiveEchoTime", lambda z: 10.0 * (z % 2 + 1)),
        ("MRDiffusionSequence", "DiffusionBValue", lambda z: 1000.0 * (z % 2)),
        ("FrameContentSequence", "TemporalPositionIndex", lambda z: z % 2 + 1),
        ("CTReconstructionSequence", "ConvolutionKernel", lambda z: ["A", "B"][z % 2]),
        ("MRImageFrameTypeSequence", "ComplexImageComponent", lambda z: ["REAL", "PHASE"][z % 2]),
        ("MRImageFrameTypeSequence", "AcquisitionContrast", lambda z: ["T1", "T2"][z // 5]),
        ("MRArterialSpinLabelingSequence", "ASLContext", lambda z: ["LABEL", "CONTROL"][z % 2]),
        ("MRDiffusionSequence", "DiffusionDirectionality", lambda z: ["NONE", "ISOTROPIC"][z % 2]),
        (
            "MRVelocityEncodingSequence",
            "VelocityEncodingMaximumValue",
            lambda z: 50.0 + 50 * (z % 2),
        ),
        ("MRVelocityEncodingSequence", "VelocityEncodingDirection", lambda z: [z % 2, 0.0, 1.0]),
        (CONVERTED, "EchoTime", lambda z: 10 + 70 * (z % 2)),
        (CONVERTED, "EchoNumbers", lambda z: 1 + z % 2),
    ],
)
def test_frames_of_several_images_in_one_file_are_refused(group, name, value):
    for values, refused in ((value, True), (lambda z: value(0), False)):
        one = multi_frame()
        for z, part in enumerate(one.PerFrameFunctionalGroupsSequence):
            item = Dataset()
            setattr(item, name, values(z))
            setattr(part, group, [item])
        if refused:
            with pytest.raises(DataError, match="DCM_MIXED: slices of several"):
                read([one])
        else:
            assert read([one])[0].size == (8, 6, 10)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("CTXRayDetailsSequence", "KVP", lambda z: 80 + 60 * (z % 2)),
        (CONVERTED, "KVP", lambda z: 80 + 60 * (z % 2)),
        (
            "MultienergyCTCharacteristicsSequence",
            "MonoenergeticEnergyEquivalent",
            lambda z: 40.0 + 30 * (z % 2),
        ),
        (USED, "ContrastBolusAgentAdministered", lambda z: ["NO", "YES"][z // 5]),
        ("MRTimingAndRelatedParametersSequence", "FlipAngle", lambda z: 10.0 + 20 * (z % 2)),
        (
            "MRTimingAndRelatedParametersSequence",
            "RepetitionTime",
            lambda z: 500.0 + 3500 * (z % 2),
        ),
        ("MRModifierSequence", "InversionTimes", lambda z: [100.0 + 100 * (z % 2), 300.0]),
        *(
            ("MRModifierSequence", name, lambda z: ["NONE", "FAT"][z % 2])
            for name in ("SpectrallySelectedExcitation", "SpectrallySelectedSuppression")
        ),
        *(
            (group, name, lambda z: ["NO", "YES"][z % 2])
            for group, name in (
                ("MRModifierSequence", "InversionRecovery"),
                ("MRModifierSequence", "T2Preparation"),
                ("MRImagingModifierSequence", "BloodSignalNulling"),
            )
        ),
        ("MRImagingModifierSequence", "MagnetizationTransfer", lambda z: ["NONE", "FREE"][z % 2]),
        ("MRImagingModifierSequence", "Tagging", lambda z: ["NONE", "GRID"][z % 2]),
        ("FrameContentSequence", "FrameAcquisitionNumber", lambda z: 1 + (z == 5)),
    ],
)
def test_frames_of_several_settings_in_one_file_are_told(group, name, value):
    for values, told in ((value, True), (lambda z: value(0), False)):
        one = multi_frame()
        for part in one.PerFrameFunctionalGroupsSequence:
            z = round((part.PlanePositionSequence[0].ImagePositionPatient[2] - 11) / 2)
            item = Dataset()
            setattr(item, name, values(z))
            setattr(part, group, [item])
        _, found = read([one])
        assert [f.partition(":")[0] for f in found] == ["warning DCM_VARIES"] * told, found


def test_a_direction_of_frames_may_be_rounded():
    one = multi_frame()
    for z, part in enumerate(one.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        item.VelocityEncodingDirection = [0.0, 1e-6 * z, 1.0]
        part.MRVelocityEncodingSequence = [item]
    assert read([one])[1] == []


@pytest.mark.parametrize("name", ["PatientPosition", "Manufacturer", "PatientSex"])
def test_files_of_frames_are_held_to_each_other(name):
    one, other = multi_frame(), multi_frame()
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "1.6.2"
    for part in other.PerFrameFunctionalGroupsSequence:
        part.PlanePositionSequence[0].ImagePositionPatient[2] += 20
    for file, value in ((one, "HFS"), (other, "FFS")):
        setattr(file, name, value)
    assert [f.partition(",")[0] for f in read([one, other])[1]] == [
        f"warning DCM_VARIES: slices of several {name}"
    ]


@pytest.mark.parametrize(
    "group", ["MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"]
)
def test_derived_frames_among_original_ones_are_told(group):
    one = multi_frame()
    one.ImageType = ["MIXED", "PRIMARY", "VOLUME", "NONE"]
    for z, part in enumerate(one.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        item.FrameType = ["DERIVED" if z == 3 else "ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        setattr(part, group, [item])
    _, found = read([one])
    assert found == [
        "warning DCM_VARIES: slices of several ImageType, 9 ORIGINAL and 1 DERIVED",
    ]


@pytest.mark.parametrize("word", ["PROJECTION IMAGE", "MIP", "SCREEN SAVE"])
def test_images_that_are_no_slices_are_refused_unless_accepted(word):
    slices = slices_with("ImageType", lambda z: ["DERIVED", "SECONDARY", word])
    with pytest.raises(DataError, match=f"DCM_KIND: ImageType {word}"):
        read(slices)
    accepted = Findings(["DCM_KIND"])
    read_series([(f"{i:02}", encode(one)) for i, one in enumerate(slices)], accepted)
    assert [(f.level, f.code) for f in accepted.found] == [("note", "DCM_KIND")]


@pytest.mark.parametrize("count", [1, 10])
def test_tiles_of_a_volume_are_no_slices(count):
    slices = slices_with("ImageType", lambda z: ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    with pytest.raises(DataError, match="DCM_MOSAIC"):
        read(slices[:count])


@pytest.mark.parametrize("word", ["AXIAL", "REFORMATTED", "MPR", "M", "AVERAGE"])
def test_slices_of_usual_kinds_are_read(word):
    assert not read(slices_with("ImageType", lambda z: ["ORIGINAL", "PRIMARY", word]))[1]


@pytest.mark.parametrize("more", [2, 4, 50])
def test_zeros_after_the_pixels_are_dropped_and_told_once(more):
    slices = slices_with("PixelData", lambda z: STORED[z].tobytes() + bytes(more))
    scan, found = read(slices)
    np.testing.assert_array_equal(scan.array, read(series())[0].array)
    assert found == [f"note DCM_PADDED: {more} bytes of 0 after the pixels, dropped"]


@pytest.mark.parametrize("more", [b"\0\1", bytes(STORED[0].nbytes)])
def test_what_may_be_pixels_is_not_dropped(more):
    with pytest.raises(DataError, match="IO_DAMAGED"):
        read(slices_with("PixelData", lambda z: STORED[z].tobytes() + more))


@pytest.mark.parametrize("colours", ["HSV", "YBR_ICT", "YBR_PARTIAL_420", "CMYK"])
def test_colours_that_nothing_brings_to_rgb_are_refused(colours):
    (one,) = series(1)
    one.SamplesPerPixel, one.PlanarConfiguration, one.PhotometricInterpretation = 3, 0, colours
    one.BitsAllocated = one.BitsStored = 8
    one.HighBit, one.PixelData = 7, bytes(range(6 * 8 * 3))
    with pytest.raises(DataError, match=f"DCM_COLOR: 3 samples a pixel as '{colours}'"):
        read([one])
