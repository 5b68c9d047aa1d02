"""The same voxels are the same however they are stored, and only accepted grids are resampled."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.files.file_tree import open_tree
from data_prep.formats.nifti import read_nifti
from data_prep.layouts.cases import Case
from data_prep.preprocessing.grid import fit_image, fit_label, turned_to
from data_prep.reading.case import read_case

RANDOM = np.random.default_rng(0)
TURN = np.array([[0.8, -0.6, 0, 5], [0.6, 0.8, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1]])
ON = Scan(RANDOM.normal(size=(1, 4, 5, 6)), TURN @ np.diag([0.7, 0.9, 2, 1]))
ORIENTATIONS = [
    np.column_stack([axes, signs])
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_the_same_voxels_in_any_of_48_orientations_are_equal(orientation):
    array = nib.orientations.apply_orientation(ON.array[0], orientation)[None]
    affine = ON.affine @ nib.orientations.inv_ornt_aff(orientation, ON.size)
    back = turned_to(ON, Scan(array, affine))
    np.testing.assert_array_equal(back.array, ON.array)
    np.testing.assert_allclose(back.affine, ON.affine, atol=1e-12)


def test_what_was_turned_is_named(tmp_path, write_nifti):
    affine = nib.orientations.inv_ornt_aff(ORIENTATIONS[-1], (6, 5, 4))
    array = nib.orientations.apply_orientation(np.arange(120.0).reshape(6, 5, 4), ORIENTATIONS[-1])
    write_nifti(tmp_path / "i.nii", np.arange(120.0).reshape(6, 5, 4))
    write_nifti(tmp_path / "l.nii", (array > 60).astype(np.uint8), affine)
    findings, case = Findings(), Case("a", (("i.nii",),), ("l.nii",))
    read_case(open_tree(tmp_path), case, Rules(("x",), {"background": 0, "b": 1}), findings)
    (told,) = [finding for finding in findings.found if finding.code == "GEO_TURNED"]
    assert told.file == "l.nii"
    assert told.found.startswith("axes of the label are turned to those of the image")


def test_mirrored_about_another_place_is_not_the_same():
    mirrored = Scan(ON.array, ON.affine @ np.diag([-1, 1, 1, 1]))
    assert turned_to(ON, mirrored) is mirrored


def moved(cells):
    affine = ON.affine.copy()
    affine[:3, 3] += cells * affine[:3, 0]
    return Scan(ON.array, affine)


def test_a_channel_elsewhere_is_resampled_only_if_that_is_accepted():
    with pytest.raises(DataError, match=r"GEO_AFFINE: channel lies up to 0.7 mm away.*accept"):
        fit_image(ON, moved(1), Findings(), "channel", "first")
    findings = Findings({"GEO_AFFINE"})
    found = fit_image(ON, moved(1), findings, "channel", "first")
    np.testing.assert_allclose(found.array[:, 1:], ON.array[:, :-1], atol=1e-5)
    assert found.affine is ON.affine
    assert [(f.level, f.code) for f in findings.found] == [
        ("note", "GEO_AFFINE"),
        ("warning", "GEO_AFFINE"),
    ]
    assert "30 of 120 voxels of the first (25%) lie beyond the channel" in findings.found[1].found
    with pytest.raises(DataError, match="no voxel of the first lies in the channel"):
        fit_image(ON, moved(9), Findings({"GEO_AFFINE"}), "channel", "first")


def test_a_label_of_which_nothing_is_left_is_an_error():
    with pytest.raises(DataError, match="LBL_LOST: nothing of the prediction is left on the grid"):
        fit_label(
            Scan(np.ones((1, 4, 5, 6), np.uint8), ON.affine),
            Scan(np.ones((1, 4, 5, 6), np.uint8), moved(9).affine),
            Findings({"GEO_AFFINE"}),
            "prediction",
            "reference",
        )


@pytest.mark.parametrize(("mm", "told"), [(1e-3, 0), (0.02, 1), (0.2, None)])
def test_qform_and_sform_are_the_same_up_to_a_tenth_of_a_voxel(mm, told):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.float32), np.eye(4))
    image.set_qform(np.eye(4), 1)
    image.set_sform(nib.affines.from_matvec(np.eye(3), (mm, 0, 0)), 1)
    findings = Findings()
    if told is None:
        with pytest.raises(DataError, match=r"GEO_SQFORM: qform and sform differ by 0\.2 mm"):
            read_nifti(image.to_bytes(), findings)
    else:
        read_nifti(image.to_bytes(), findings)
        assert [f.code for f in findings.found] == ["GEO_SQFORM"] * told
