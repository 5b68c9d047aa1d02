"""Evaluation stands on the grid of the reference, and needs no more than two folders of labels."""

import nibabel as nib
import numpy as np
import pytest

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.evaluation.pairing import open_pairs

AFFINE = np.diag([0.7, 0.9, 2.0, 1.0])
ORIENTATION = np.array([[2, -1], [0, 1], [1, -1]])  # an odd one: axes in a cycle, two mirrored


def label():
    array = np.zeros((8, 9, 10), np.uint8)
    array[2:6, 3:8, 4:7] = 1
    return array


def turned(array):
    stored = nib.orientations.apply_orientation(array, ORIENTATION)
    return stored, AFFINE @ nib.orientations.inv_ornt_aff(ORIENTATION, array.shape)


def test_prediction_and_probabilities_in_another_orientation_are_equal(tmp_path, write_nifti):
    write_nifti(tmp_path / "ref/a.nii.gz", label(), AFFINE)
    write_nifti(tmp_path / "pred/a.nii.gz", *turned(label()))
    for number in (0, 1):
        chance = (label() == number).astype(np.float32)
        write_nifti(tmp_path / f"pred/probabilities/{number}/a.nii.gz", *turned(chance))
    summary, problems = evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out")
    assert not problems
    assert summary["foreground_mean"]["Dice"] == 1
    assert summary["foreground_mean"]["HD95"] == 0
    assert summary["calibration_error"]["foreground"]["ECE"] == 0


def test_prediction_elsewhere_is_brought_to_the_reference_with_its_probabilities(
    tmp_path, write_nifti
):
    fine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    fine[:3, 3] -= np.diag(AFFINE)[:3] / 4
    predicted = label().repeat(2, 0).repeat(2, 1).repeat(2, 2)
    write_nifti(tmp_path / "ref/a.nii.gz", label(), AFFINE)
    write_nifti(tmp_path / "pred/a.nii.gz", predicted, fine)
    for number in (0, 1):
        chance = (predicted == number).astype(np.float32)
        write_nifti(tmp_path / f"pred/probabilities/{number}/a.nii.gz", chance, fine)
    config = DataConfig(accept=("GEO_SHAPE",))
    pairs = open_pairs(tmp_path / "pred", tmp_path / "ref", config=config)
    (case,) = pairs.cases
    pair = pairs.read(case)
    np.testing.assert_array_equal(pair.reference.array[0], label())
    np.testing.assert_array_equal(pair.prediction[0], label())
    np.testing.assert_allclose(pair.probabilities(1)[0], label(), atol=1e-5)
    assert not pair.problems
    (plain,) = open_pairs(tmp_path / "pred", tmp_path / "ref").cases
    problem = open_pairs(tmp_path / "pred", tmp_path / "ref").read(plain).problem
    assert problem.code == "GEO_SHAPE"


def test_labels_of_one_name_in_a_folder_of_labels_are_named(tmp_path, write_nifti):
    for name in ("ref/a.nii.gz", "ref/b.nii", "ref/b.nii.gz", "pred/a.nii.gz", "pred/b.nii.gz"):
        write_nifti(tmp_path / name, label(), AFFINE)
    summary, problems = evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out")
    assert summary["n_cases"] == 1
    assert {(p.code, p.case) for p in problems} == {("PAIR_DUPLICATE", "b"), ("PRED_EXTRA", "b")}


def test_labels_of_several_folders_are_no_layout(tmp_path, write_nifti):
    for name in ("ref/one/a.nii.gz", "ref/two/b.nii.gz", "pred/a.nii.gz"):
        write_nifti(tmp_path / name, label(), AFFINE)
    with pytest.raises(DataError, match="LAY_UNKNOWN"):
        open_pairs(tmp_path / "pred", tmp_path / "ref")
