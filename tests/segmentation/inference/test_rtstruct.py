"""Contours in RT Structure Sets hold the voxels of the label, and refer to the series."""

import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_files import multi_frame, series
from predicted_series import (
    PLAN,
    WAYS,
    predicted,
    read_again,
    said_by_validator,
    written_to,
)
from pydicom.uid import EnhancedCTImageStorage

from data_prep.core.errors import DataError
from data_prep.core.values.regions import Region
from data_prep.prepared.rendering import bytes_of_colour
from sdunet.segmentation.inference import predict_folder
from sdunet.segmentation.inference.ensemble import Prediction
from sdunet.segmentation.inference.files.rtstruct import contours_of
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict

CONTOURS = PredictOptions(device="cpu", rtstruct=True)
RING = np.zeros((6, 8), int)  # (Y, X)
RING[1:6, 1:7], RING[2:5, 2:6], RING[3, 3:5] = 1, 2, 0
EDGES = np.zeros((6, 8), int)
EDGES[0], EDGES[:, 0], EDGES[5, 7], EDGES[2, 3:5], EDGES[3, 5] = 1, 1, 1, 2, 2
SHAPES = {"rings": RING, "edges and single voxels": EDGES, "everything": np.ones((6, 8), int)}


@pytest.fixture
def finding(model, monkeypatch):
    """Puts a label `(X, Y, Z)` in place of what the network finds."""

    def put(label):
        def found(ensemble, scan, *_, **__):
            return Prediction(label[None].astype(np.uint8), None, None, None)

        monkeypatch.setattr(predict_folder, "predict_scan", found)

    return put


def area_of(points):
    following = np.roll(points, -1, 0)
    return (points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]).sum() / 2


@pytest.mark.parametrize("shape", SHAPES)
def test_contours_have_the_area_of_the_voxels_but_for_corners(shape):
    for number in np.unique(SHAPES[shape])[1:]:
        mask = SHAPES[shape] == number
        found = list(contours_of(mask))
        # Contours around parts run one way, those around holes the other.
        area = abs(sum(map(area_of, found)))
        steps = np.concatenate([np.roll(one, -1, 0) - one for one in found])
        slanting = np.abs(steps).min(1).sum() * 2  # from the side of a voxel to the next one
        assert abs(area - mask.sum()) <= slanting / 8 + 1e-9  # what each of them cuts off
        assert abs(area - mask.sum()) < np.hypot(*steps.T).sum() / 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_our_reader_draws_the_voxels_of_the_label(shape, way, finding, tmp_path):
    label = np.zeros((8, 6, 10), int)
    label[..., 2:] = SHAPES[shape].T[..., None]
    finding(label)
    folder = written_to(tmp_path / "raw", series(**WAYS[way]))
    case = predicted(folder, tmp_path / "out", CONTOURS)
    own, told = read_again(folder, tmp_path / "out", case, "contours")
    np.testing.assert_array_equal(own.array[0], label)
    assert [text for text in told if "DCM_EMPTY" not in text] == []


def test_noise_is_drawn_as_it_is(model, tmp_path):
    folder = written_to(tmp_path / "raw", series())
    case = predicted(folder, tmp_path / "out", CONTOURS)
    own, _ = read_again(folder, tmp_path / "out", case, "contours")
    label = np.asarray(nib.load(tmp_path / f"out/{case}.nii.gz").dataobj)
    assert set(np.unique(label)) == {0, 1, 2}
    np.testing.assert_array_equal(own.array[0], label)


def test_the_file_says_what_it_was_drawn_on_and_in_which_colours(model, tmp_path):
    names = {"background": 0, "Gefäß λ": 1, "tumour": 2}
    model(replace(PLAN, labels=names))
    changes = {"PatientName": "Müller", "SpecificCharacterSet": "ISO_IR 100"}
    folder = written_to(tmp_path / "raw", series(**changes))
    case = predicted(folder, tmp_path / "out", CONTOURS)
    made = pydicom.dcmread(tmp_path / f"out/rtstruct/{case}.dcm")
    assert str(made.PatientName) == "Müller"
    assert [roi.ROIName for roi in made.StructureSetROISequence] == ["Gefäß λ", "tumour"]
    sources = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, folder.iterdir())}
    for number, roi in enumerate(made.ROIContourSequence, 1):
        assert tuple(roi.ROIDisplayColor) == bytes_of_colour(number)
        for contour in roi.ContourSequence:
            one = sources[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            heights = np.array(contour.ContourData, float)[2::3]
            np.testing.assert_allclose(heights, one.ImagePositionPatient[2], atol=1e-3)


def test_frames_of_one_file_in_any_order_are_named(model, tmp_path):
    one = multi_frame()
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    folder = written_to(tmp_path / "raw", [one])
    case = predicted(folder, tmp_path / "out", CONTOURS)
    own, _ = read_again(folder, tmp_path / "out", case, "contours")
    label = np.asarray(nib.load(tmp_path / f"out/{case}.nii.gz").dataobj)
    np.testing.assert_array_equal(own.array[0], label)


def test_regions_are_structures_that_overlap(model, tmp_path):
    regions = (Region("all", (1, 2), 1), Region("core", (2,), 2))
    model(replace(PLAN, regions=regions))
    folder = written_to(tmp_path / "raw", series())
    case = predicted(folder, tmp_path / "out", CONTOURS)
    label = np.asarray(nib.load(tmp_path / f"out/{case}.nii.gz").dataobj)
    for name, wanted in (("all", label > 0), ("core", label == 2)):
        shutil.rmtree(tmp_path / "contours of out", ignore_errors=True)
        classes = {"background": 0, name: 1}
        own, _ = read_again(folder, tmp_path / "out", case, "contours", classes)
        np.testing.assert_array_equal(own.array[0], wanted)


def test_an_image_that_is_no_series_is_refused_before_anything_is_written(model, tmp_path):
    image = nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.diag([1, 1, 2, 1.0]))
    nib.save(image, tmp_path / "b.nii.gz")
    with pytest.raises(DataError, match=r"PRED_DICOM case b: its image is no DICOM series"):
        predict("m", tmp_path / "b.nii.gz", tmp_path / "out", options=CONTOURS)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy of dicom3tools is not there")
def test_the_validator_of_dicom3tools_finds_no_error(model, tmp_path):
    case = predicted(written_to(tmp_path / "raw", series()), tmp_path / "out", CONTOURS)
    path = tmp_path / f"out/rtstruct/{case}.dcm"
    said = said_by_validator(path)
    assert not [line for line in said if line.startswith("Error")], said
    assert "RTStructureSet" in said
