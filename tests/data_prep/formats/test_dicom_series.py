"""DICOM: a series is one even stack with its place, or is refused by name."""

import numpy as np
import pytest
import SimpleITK
from dicom_files import (
    OBLIQUE,
    RANDOM,
    STORED,
    box,
    encode,
    multi_frame,
    new_slice,
    series,
    structures,
)

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.dicom.series import read_series
from data_prep.layouts import find_layout
from data_prep.reading.image import read_case_image


def read(slices, accept=(), findings=None):
    findings = findings or Findings(accept)
    files = [(f"{i}.dcm", one if isinstance(one, bytes) else encode(one)) for i, one in
             enumerate(slices)]  # fmt: skip
    return read_series(files, findings)


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), OBLIQUE, (0, 1, 0, 0, 0, -1)])
def test_series_is_the_volume_another_reader_makes_of_it(tmp_path, orientation):
    slices = series(orientation=orientation)
    for i in RANDOM.permutation(10):
        (tmp_path / f"{i}.dcm").write_bytes(encode(slices[i]))
    scan = read([slices[i] for i in RANDOM.permutation(10)])
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    np.testing.assert_array_equal(scan.array[0], SimpleITK.GetArrayFromImage(image).T)
    assert scan.array.dtype == np.int32
    for cell in ((0, 0, 0), (7, 0, 0), (1, 5, 2), (0, 0, 9)):
        place = np.array(image.TransformIndexToPhysicalPoint(cell)) * (-1, -1, 1)
        np.testing.assert_allclose((scan.affine @ (*cell, 1))[:3], place, atol=1e-3)


def test_each_slice_has_its_own_rescale():
    slices = series()
    for z, one in enumerate(slices):
        one.RescaleSlope = 0.5 + z
    np.testing.assert_allclose(
        read(slices).array[0],
        (STORED * (0.5 + np.arange(10)).reshape(-1, 1, 1) - 1024).transpose(2, 1, 0),
        rtol=1e-6,
    )


def test_unused_high_bits_are_no_values():
    slices = series()
    noisy = [new_slice(z, STORED[z] | np.uint16(0xF000)) for z in range(10)]
    with pytest.raises(DataError, match=r"DCM_BITS: 48 values of more than the 12 bits.*6\d{4}"):
        read(noisy)
    np.testing.assert_array_equal(read(noisy, {"DCM_BITS"}).array, read(slices).array)


def test_rounded_positions_are_even():
    slices = series(step=1.3333)
    for z, one in enumerate(slices):
        one.ImagePositionPatient[2] = round(11 + 1.3333 * z, 2)
    assert read(slices).spacing == pytest.approx((0.9, 0.7, 1.3333), abs=2e-3)


def test_slice_given_twice_counts_once_and_is_noted():
    findings = Findings()
    scan = read([*series(), series()[3]], findings=findings)
    np.testing.assert_array_equal(scan.array, read(series()).array)
    assert [f.code for f in findings.found] == ["DCM_COPY"]


def test_inverted_grey_is_turned_over_where_it_has_no_unit():
    findings = Findings()
    options = {"Modality": "CR", "PhotometricInterpretation": "MONOCHROME1"}
    one = new_slice(0, STORED[0], **options, RescaleSlope=None, RescaleIntercept=None)
    del one.ImagePositionPatient, one.ImageOrientationPatient
    np.testing.assert_array_equal(read([one], findings=findings).array[0], 4095 - STORED[0])
    assert [f.code for f in findings.found] == ["DCM_INVERTED"]
    unit = series(PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read(unit).array, read(series()).array)


@pytest.mark.parametrize(("unit", "turned"), [(None, True), ("US", True), ("mm2/s", False)])
def test_inverted_grey_of_mr_is_turned_over_unless_it_is_a_map_in_a_unit(unit, turned):
    findings = Findings()
    options = {"Modality": "MR", "RescaleIntercept": 0}
    options |= {} if unit is None else {"RescaleType": unit}
    inverted = read(series(PhotometricInterpretation="MONOCHROME1", **options), findings=findings)
    upright = read(series(**options)).array
    np.testing.assert_array_equal(inverted.array, 4095 - upright if turned else upright)
    assert {f.code for f in findings.found} == ({"DCM_INVERTED"} if turned else set())


def tilted():
    slices = series()
    for z, one in enumerate(slices):
        one.ImagePositionPatient[1] = -7.0 + 0.5 * z
    return slices


def uneven():
    slices = series()
    for z, one in enumerate(slices):
        one.ImagePositionPatient[2] = 11 + 2.0 * z + 0.6 * (z > 4)
    return slices


def changed(index, **changes):
    slices = series()
    slices[index] = new_slice(index, STORED[index], **changes)
    return slices


def with_pixels(index, data):
    slices = series()
    slices[index].PixelData = data
    return slices


def other_phase():
    return [*series(), *(new_slice(z, STORED[(z + 1) % 10]) for z in range(10))]


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ([s for z, s in enumerate(series()) if z != 4], r"DCM_GAP: slices are missing after 17 mm"),
        ([s for z, s in enumerate(series()) if z not in (4, 5)], "DCM_GAP: slices are missing"),
        ([*series(), new_slice(3, STORED[5])], "DCM_PHASES: 1 places with several different"),
        (other_phase(), "DCM_PHASES: 10 places"),
        (changed(4, orientation=OBLIQUE), "DCM_MIXED: slices of several orientations"),
        (changed(4, PixelSpacing=[0.8, 0.9]), "DCM_MIXED: slices of several pixel spacings"),
        (changed(4, Rows=8, Columns=6), "DCM_MIXED: slices of sizes"),
        (changed(4, RescaleSlope=None, RescaleIntercept=None), "DCM_RESCALE: 1 of 10 slices"),
        (
            series(RescaleSlope=None, RescaleIntercept=None),
            r"DCM_NO_RESCALE: a CT without rescale.*accept: \[DCM_NO_RESCALE\]",
        ),
        (changed(4, RescaleIntercept=None), "DCM_RESCALE: slope 1.*, intercept None"),
        (changed(4, HighBit=15), "DCM_PIXELS: 12 of 16 bits, the highest 15"),
        (changed(4, RescaleSlope=0), "DCM_RESCALE: rescale slope 0"),
        (changed(4, RescaleSlope=-1), "DCM_MIXED: slices of 2 signs of RescaleSlope"),
        (changed(4, ImagePositionPatient=None), "DCM_PLACE: 1 of 10 slices without position"),
        (changed(4, PixelSpacing=None), "DCM_PLACE"),
        (series(ImageOrientationPatient=None), "DCM_PLACE"),
        (changed(4, ImagePositionPatient=[0, 0]), "DCM_PLACE: geometry"),
        (changed(4, PixelSpacing=[0, 0.9]), "HDR_SPACING"),
        (tilted(), r"DCM_TILT: a gantry tilted by 14 degrees.*accept: \[DCM_TILT\]"),
        (uneven(), r"DCM_UNEVEN: distances between slices from 2 to 2.6 mm"),
        (with_pixels(4, STORED[4].tobytes()[:-2]), "IO_DAMAGED: pixels"),
        (with_pixels(4, b""), "IO_DAMAGED|DCM_PIXELS"),
        (changed(4, PixelData=None), "DCM_PIXELS: no pixels"),
        (changed(4, Rows=None), "DCM_PIXELS: no Rows"),
        (changed(4, Rows=65535, Columns=65535), "IO_DAMAGED|IO_TOO_LARGE"),
        (changed(4, NumberOfFrames=10**9), "IO_TOO_LARGE"),
        (changed(4, Modality="US"), "DCM_PHI: pixels may show"),
        (changed(4, BurnedInAnnotation="YES"), "DCM_PHI"),
        ([encode(s)[: -10 if z == 4 else None] for z, s in enumerate(series())], "IO_|DCM_"),
        ([encode(s)[: 400 if z == 4 else None] for z, s in enumerate(series())], "IO_|DCM_"),
        ([new_slice(0, STORED[0], SliceThickness=None)], "DCM_PLACE: one slice without thickness"),
    ],
)
def test_series_that_is_not_one_even_stack_is_refused(slices, message):
    with pytest.raises(DataError, match=message):
        read(slices)


def test_accepted_tilt_keeps_voxels_and_says_where_they_lie():
    scan = read(tilted(), accept={"DCM_TILT"})
    np.testing.assert_array_equal(scan.array, read(series()).array)
    # One slice up in LPS: half a millimetre to the back, two up; the y axis of RAS+ is turned.
    np.testing.assert_allclose(scan.affine[:3, 2], (0, -0.5, 2), atol=1e-6)


def test_accepted_uneven_slices_are_interpolated():
    scan = read(uneven(), accept={"DCM_UNEVEN"})
    want = STORED.astype(float) - 1024
    np.testing.assert_allclose(scan.array[0, :, :, 0], want[0].T)
    share = (10.0 - 8.0) / 2.6  # slice 5 is asked for at 10 mm, between those at 8 and 10.6 mm
    np.testing.assert_allclose(
        scan.array[0, :, :, 5], ((1 - share) * want[4] + share * want[5]).T, rtol=1e-4, atol=1e-2
    )


def test_frames_of_one_file_are_slices():
    scan, want = read([multi_frame()]), read(series())
    np.testing.assert_array_equal(scan.array, want.array)
    np.testing.assert_allclose(scan.affine, want.affine)


def test_every_series_is_a_case_and_patients_are_groups_without_their_names(write_tree):
    drawn = [("tumour", box(2, 1, 7, 1, 5))]
    second = series(series="1.2.4")
    for one in second:
        one.PatientID, one.StudyInstanceUID, one.FrameOfReferenceUID = "P2", "1.2.9", "1.2.10"
    slices = [*series(), *second]
    tree = write_tree(
        all=slices, rt=[structures(drawn), structures(drawn, "1.2.4"), structures(drawn, "7.7")]
    )
    layout = find_layout(tree)
    assert [c.id for c in layout.cases] == ["all_1", "all_2"]
    assert len({c.group for c in layout.cases}) == 2
    assert not any("P1" in (c.group, c.id) for c in layout.cases)
    assert [(p.code, p.case) for p in layout.problems] == [("PAIR_NO_IMAGE", "02")]
    for case in layout.cases:
        np.testing.assert_array_equal(read_case_image(tree, case).array, read(series()).array)


JANE = {"PatientName": "Doe^Jane", "PatientBirthDate": "19500101"}


@pytest.mark.parametrize(
    ("change", "by"),
    [
        ({"PatientID": "P2"}, "PatientID"),
        ({"PatientName": "Doe^John"}, "PatientName"),
        ({"PatientBirthDate": "19510101"}, "PatientBirthDate"),
        ({"PatientID": "", "PatientName": "", "PatientBirthDate": ""}, None),
        ({"PatientName": "DOE^Jane ^^=J^D"}, None),
    ],
)
def test_series_of_two_patients_is_refused(write_tree, change, by):
    slices = series(**JANE)
    for name, value in change.items():
        setattr(slices[4], name, value)
    layout = find_layout(write_tree(ct=slices), need_labels=False)
    told = [f"DCM_PATIENTS case ct: 2 patients in one series, by {by}; split it"] if by else []
    assert [str(problem) for problem in layout.problems] == told
    assert len(layout.cases) == (not by)


def test_series_alone_can_be_predicted(write_tree):
    (case,) = find_layout(write_tree(ct=series()), need_labels=False).cases
    assert (case.id, len(case.scans[0])) == ("ct", 10)


@pytest.mark.parametrize(
    ("modalities", "channels", "codes"),
    [
        (("CT", "CT"), ("CT",), []),
        (("MR", "MR"), ("MR",), []),
        (("CT", "MR"), None, ["DCM_MODALITIES"]),
    ],
)
def test_modality_names_the_channel_and_several_are_told(write_tree, modalities, channels, codes):
    scans = [series(series=f"1.2.{n}", Modality=m) for n, m in enumerate(modalities)]
    layout = find_layout(write_tree(a=scans[0], b=scans[1]), need_labels=False)
    assert layout.channels == channels
    assert [finding.code for finding in layout.findings] == codes


def test_a_series_without_patient_is_of_that_of_its_study(write_tree):
    scans = [series(series=f"1.2.{n}") for n in range(3)]
    for one in scans[0]:
        one.PatientID = " P1 "  # blanks around it mean nothing
    for one in scans[1]:
        one.PatientID = ""
    for one in scans[2]:
        one.PatientID, one.StudyInstanceUID = "", "1.99"
    tree = write_tree(a=scans[0], b=scans[1], c=scans[2])
    groups = [case.group for case in find_layout(tree, need_labels=False).cases]
    assert groups[0] == groups[1] != groups[2]
