"""DICOM Segmentations hold what the labels hold, and refer to the series they were made of."""

import json
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_files import STORED, encode, multi_frame, new_slice, series
from predicted_series import (
    FRAME,
    PLAN,
    WAYS,
    predicted,
    read_again,
    said_by_validator,
    written_to,
)
from pydicom.sr.coding import Code
from pydicom.uid import EnhancedCTImageStorage

from data_prep.core.errors import DataError
from data_prep.core.values.regions import Region
from data_prep.prepared.rendering import bytes_of_colour
from sdunet.segmentation.inference.files import dicom_seg as module
from sdunet.segmentation.inference.files.class_codes import CATEGORIES, class_codes
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict

WITH_SEG = PredictOptions(device="cpu", dicom_seg=True)


def files_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*") if p.is_file())


def as_scan(made, shape, affine):
    """Numbers of segments on the grid of the NIfTI file, by pydicom and positions alone."""
    out = np.zeros(shape, np.uint8)
    inverse = np.linalg.inv(np.diag([-1.0, -1, 1, 1]) @ affine)
    shared = made.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    frames = made.pixel_array.reshape(-1, made.Rows, made.Columns)
    for frame, group in zip(frames, made.PerFrameFunctionalGroupsSequence, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        i, j = np.nonzero(frame)
        places = origin + np.outer(j * columns, cosines[:3]) + np.outer(i * rows, cosines[3:])
        at = np.rint((inverse @ np.column_stack([places, np.ones(len(i))]).T)[:3]).astype(int)
        assert not out[tuple(at)].any()
        out[tuple(at)] = number
    return out


@pytest.mark.parametrize("way", WAYS)
def test_segments_are_the_classes_of_the_label_on_the_grid_of_the_scan(way, model, tmp_path):
    import highdicom

    folder = written_to(tmp_path / "raw", series(**WAYS[way]))
    case = predicted(folder, tmp_path / "out", WITH_SEG)
    label = nib.load(tmp_path / f"out/{case}.nii.gz")
    array = np.asarray(label.dataobj)
    assert set(np.unique(array)) == {0, 1, 2}
    path = tmp_path / f"out/dicom_seg/{case}.dcm"

    made = pydicom.dcmread(path)
    np.testing.assert_array_equal(as_scan(made, array.shape, label.affine), array)
    own, told = read_again(folder, tmp_path / "out", case)
    assert told == []
    np.testing.assert_array_equal(own.array[0], array)
    np.testing.assert_allclose(own.affine, label.affine, atol=1e-4)
    again = highdicom.seg.segread(path)
    instances = [uids[2] for uids in again.get_source_image_uids()]
    by_instance = again.get_pixels_by_source_instance(instances, combine_segments=True)
    sources = [pydicom.dcmread(p) for p in folder.iterdir()]
    for number, plane in zip(instances, by_instance, strict=True):
        one = next(one for one in sources if number == one.SOPInstanceUID)
        place = np.array([*one.ImagePositionPatient, 1.0]) * [-1, -1, 1, 1]
        slice_ = round((np.linalg.inv(label.affine) @ place)[2])
        np.testing.assert_array_equal(plane, array[..., slice_].T)


def test_the_file_says_what_its_segments_are_and_who_found_them(model, tmp_path):
    changes = {"PatientName": "Müller", "SpecificCharacterSet": "ISO_IR 100"}
    folder = written_to(tmp_path / "raw", series(**changes))
    names = {"background": 0, "Gefäß λ": 1, "tumour": 2}
    model(replace(PLAN, labels=names))
    codes = {"tumour": "SCT:49755003/SCT:108369006", "Gefäß λ": "SCT:59820001"}
    case = predicted(folder, tmp_path / "out", replace(WITH_SEG, class_codes=codes))
    made = pydicom.dcmread(tmp_path / f"out/dicom_seg/{case}.dcm")
    assert str(made.PatientName) == "Müller"
    assert made.FrameOfReferenceUID == FRAME
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3"
    assert len(made.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 10
    assert [one.SegmentLabel for one in made.SegmentSequence] == ["Gefäß λ", "tumour"]
    vessel, tumour = made.SegmentSequence
    kind = vessel.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("59820001", "SCT")
    category = tumour.SegmentedPropertyCategoryCodeSequence[0]
    assert category.CodeMeaning == "Morphologically Abnormal Structure"
    algorithm = tumour.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "sdunet"
    assert "ab" * 32 in algorithm.AlgorithmParameters
    from highdicom.color import CIELabColor

    for number, one in enumerate(made.SegmentSequence, 1):
        shown = CIELabColor.from_dicom_value(tuple(one.RecommendedDisplayCIELabValue)).to_rgb()
        assert np.abs(np.subtract(shown, bytes_of_colour(number))).max() <= 1
    record = json.loads((tmp_path / "out/predictions.json").read_text())
    assert f"dicom_seg/{case}.dcm" in record["cases"][case]["files"]


def test_frames_of_one_file_in_any_order_are_met(model, tmp_path):
    one = multi_frame()
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    folder = written_to(tmp_path / "raw", [one])
    case = predicted(folder, tmp_path / "out", WITH_SEG)
    label = nib.load(tmp_path / f"out/{case}.nii.gz")
    made = pydicom.dcmread(tmp_path / f"out/dicom_seg/{case}.dcm")
    found = as_scan(made, label.shape, label.affine)
    np.testing.assert_array_equal(found, np.asarray(label.dataobj))


def test_a_slice_without_a_segment_between_others_is_no_frame_that_was_lost(model, tmp_path):
    full = np.full_like(STORED[0], 2900)
    slices = [new_slice(z, full * (z != 2)) for z in range(5)]
    folder = written_to(tmp_path / "raw", slices)
    case = predicted(folder, tmp_path / "out", WITH_SEG)
    label, told = read_again(folder, tmp_path / "out", case)
    assert label.array.any((0, 1, 2)).tolist() == [True, True, False, True, True]
    assert not [text for text in told if "DCM_SKIPPED" in text]


def test_regions_are_segments_that_overlap(model, tmp_path):
    regions = (Region("all", (1, 2), 1), Region("core", (2,), 2))
    model(replace(PLAN, regions=regions))
    case = predicted(written_to(tmp_path / "raw", series()), tmp_path / "out", WITH_SEG)
    made = pydicom.dcmread(tmp_path / f"out/dicom_seg/{case}.dcm")
    assert made.SegmentsOverlap == "YES"
    label = np.asarray(nib.load(tmp_path / f"out/{case}.nii.gz").dataobj)
    voxels = {1: 0, 2: 0}
    frames = zip(made.pixel_array, made.PerFrameFunctionalGroupsSequence, strict=True)
    for frame, group in frames:
        voxels[group.SegmentIdentificationSequence[0].ReferencedSegmentNumber] += frame.sum()
    assert voxels == {1: (label > 0).sum(), 2: (label == 2).sum()}


def test_a_case_where_nothing_was_found_has_a_file_of_nothing(model, tmp_path):
    model(replace(PLAN, window=(5000, 6000)))
    options = replace(WITH_SEG, accept=("PRED_RANGE",))
    case = predicted(written_to(tmp_path / "raw", series()), tmp_path / "out", options)
    made = pydicom.dcmread(tmp_path / f"out/dicom_seg/{case}.dcm")
    assert len(made.SegmentSequence) == 2
    assert not made.pixel_array.any()


def test_a_resumed_run_keeps_the_file_and_one_without_it_removes_it(model, tmp_path, monkeypatch):
    folder, out = written_to(tmp_path / "raw", series()), tmp_path / "out"
    case = predicted(folder, out, PredictOptions(device="cpu"))
    assert files_in(out / "dicom_seg") == []
    resumed = replace(WITH_SEG, resume=True)
    predicted(folder, out, resumed)
    first = (out / f"dicom_seg/{case}.dcm").read_bytes()
    predicted(folder, out, resumed)
    assert (out / f"dicom_seg/{case}.dcm").read_bytes() == first
    predicted(folder, out, replace(resumed, class_codes={"organ": "SCT:10200004"}))
    assert (out / f"dicom_seg/{case}.dcm").read_bytes() != first
    predicted(folder, out, PredictOptions(device="cpu"))
    assert files_in(out / "dicom_seg") == []
    (out / "dicom_seg").mkdir(exist_ok=True)
    (out / f"dicom_seg/{case}.dcm").write_bytes(b"of somebody else")
    with pytest.raises(DataError, match=r"PRED_NONE.*OUT_TAKEN"):
        predict("m", folder, out, options=WITH_SEG)
    assert (out / f"dicom_seg/{case}.dcm").read_bytes() == b"of somebody else"


def test_what_no_file_can_be_made_of_is_refused_before_anything_is_written(
    model, tmp_path, monkeypatch
):
    folder, out = written_to(tmp_path / "raw/a", series()), tmp_path / "out"

    def refused(code, options=WITH_SEG):
        with pytest.raises(DataError, match=code):
            predict("m", tmp_path / "raw", out, options=options)
        assert not out.exists()

    image = nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.diag([1, 1, 2, 1.0]))
    nib.save(image, folder / "b.nii.gz")
    with pytest.raises(DataError, match=r"PRED_DICOM case b: its image is no DICOM series"):
        predict("m", folder / "b.nii.gz", out, options=WITH_SEG)
    assert not out.exists()
    (folder / "b.nii.gz").unlink()
    for name in folder.iterdir():
        one = pydicom.dcmread(name)
        del one.FrameOfReferenceUID
        name.write_bytes(encode(one))
    refused("PRED_DICOM .*FrameOfReferenceUID")
    codes = {"liver": "SCT:1"}, {"organ": "10200004"}, {"organ": "SCT:1/SCT:2"}
    for given in codes:
        refused("PRED_CODES", replace(WITH_SEG, class_codes=given))
    refused("PRED_CODES", PredictOptions(device="cpu", class_codes={"organ": "SCT:10200004"}))
    model(replace(PLAN, labels={"background": 0, "a" * 65: 1, "b": 2}))
    refused("PRED_FORMAT: DICOM takes no class name 'aaa.*: it has 65 letters")
    model(replace(PLAN, labels={"background": 0, "inside": 1, "boundary": 2}, instances="cell"))
    refused("PRED_FORMAT", replace(WITH_SEG, instances=True))
    model()
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    refused(r"EXTRA_MISSING.*sdunet\[dicom-seg\]")


def test_a_series_whose_slices_were_interpolated_has_no_file(model, tmp_path):
    slices = series(6, SliceThickness=None)
    for one, z in zip(slices, (0, 2, 4.5, 6, 8.5, 10), strict=True):
        one.ImagePositionPatient = [5.0, -7.0, z]
    folder = written_to(tmp_path / "raw", slices)
    options = replace(WITH_SEG, accept=("DCM_UNEVEN",))
    with pytest.raises(DataError, match=r"PRED_NONE.*PRED_DICOM.* slices are where its files are"):
        predict("m", folder, tmp_path / "out", options=options)


def test_codes_of_classes_are_a_tissue_if_nothing_else_is_said():
    found = class_codes({"a": "SCT:10200004"}, ["a", "b"])
    assert found["a"].kind.meaning == "a"
    assert found["a"].category.value == "91723000"
    assert found["b"].kind.value == found["b"].category.value == "85756007"


def test_categories_are_those_of_the_standard():
    from pydicom.sr.codedict import codes

    known = [getattr(codes.cid7150, name) for name in codes.cid7150.dir()]
    wanted = {(one.value, one.scheme_designator, one.meaning) for one in known}
    assert {tuple(one) for one in CATEGORIES.values()} == wanted
    assert codes.cid7162.ArtificialIntelligence == Code(*module._FAMILY)


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy of dicom3tools is not there")
def test_the_validator_of_dicom3tools_finds_no_error(model, tmp_path):
    case = predicted(written_to(tmp_path / "raw", series()), tmp_path / "out", WITH_SEG)
    path = tmp_path / f"out/dicom_seg/{case}.dcm"
    said = said_by_validator(path)
    assert not [line for line in said if line.startswith("Error")], said
    assert "Segmentation" in said
