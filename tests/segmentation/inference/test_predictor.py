"""Prediction from Python: what the command writes, and a named error for what does not fit."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from sdunet import Predictor
from sdunet.cli.main import main
from sdunet.segmentation.inference.ensemble import Ensemble
from sdunet.segmentation.models.trained_model import Model

PLAN = Plan(3, ("ct", "pet"), {"background": 0, "b": 1}, {}, "zscore", (1.0, 1.0, 1.0), (12, 10, 8))


def predictor_of(plan):
    torch.manual_seed(0)
    conv = torch.nn.Conv3d if plan.spatial_dims == 3 else torch.nn.Conv2d
    network = conv(len(plan.channels), plan.num_classes, 3, padding=1).eval()
    axes = tuple(range(plan.spatial_dims))
    return Predictor(Ensemble((Model(network, plan, 0.5, axes, "", None),), {}))


def noise(*size):
    return np.random.default_rng(0).normal(100, 20, size).astype(np.float32)


@pytest.mark.parametrize("mirroring", [False, True])
def test_arrays_and_files_give_what_the_command_writes(disc_run, tmp_path, mirroring):
    raw, root, _ = disc_run
    options = ["--probabilities", *["--mirroring"] * mirroring]
    command = ["predict", "--model", root / "run", "-i", raw / "images", "-o", tmp_path / "out"]
    assert main([str(a) for a in [*command, *options]]) == 0
    predictor = Predictor.load(root / "run", device="cpu", mirroring=mirroring)
    assert predictor.labels == {"background": 0, "disc": 1}
    for path in sorted((raw / "images").iterdir()):
        want = np.asarray(Image.open(tmp_path / "out" / path.name))
        array = np.asarray(Image.open(path))
        given = (path, str(path), array, array[None], torch.from_numpy(array.copy()))
        for scan in given:
            got = predictor(scan, probabilities=True)
            np.testing.assert_array_equal(got.labels, want)
            np.testing.assert_allclose(got.probabilities.sum(0), 1, atol=1e-5)
            assert (got.probabilities.argmax(0) == want).all()
    assert predictor(array).probabilities is None


@pytest.mark.parametrize("setting", ["autocast", "default dtype"])
def test_what_the_caller_sets_in_torch_changes_no_label(disc_run, setting):
    raw, root, _ = disc_run
    array = np.asarray(Image.open(raw / "images/disc_0.png"))
    want = Predictor.load(root / "run", device="cpu")(array, probabilities=True)
    before = torch.get_default_dtype()
    try:
        if setting == "default dtype":
            torch.set_default_dtype(torch.float64)
        with torch.autocast("cpu", torch.bfloat16, enabled=setting == "autocast"):
            got = Predictor.load(root / "run", device="cpu")(array, probabilities=True)
    finally:
        torch.set_default_dtype(before)
    np.testing.assert_array_equal(got.probabilities, want.probabilities)
    np.testing.assert_array_equal(got.labels, want.labels)


def test_a_volume_is_predicted_on_its_own_grid(tmp_path):
    predictor, array = predictor_of(PLAN), noise(2, 14, 11, 9)
    affine = np.diag([-1.0, 2.0, 1.5, 1.0])[[1, 0, 2, 3]]
    got = predictor(array, affine=affine)
    assert got.labels.shape == (14, 11, 9)
    nib.save(nib.Nifti1Image(np.moveaxis(array, 0, -1), affine), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(predictor(tmp_path / "a.nii.gz").labels, got.labels)
    assert 0 < got.labels.mean() < 1  # or any two would be alike
    straight = predictor(array, spacing=(1.0, 2.0, 1.5))
    both = predictor(array, affine=np.diag([1.0, 2.0, 1.5, 1.0]), spacing=(1.0, 2.0, 1.5))
    np.testing.assert_array_equal(straight.labels, both.labels)


@pytest.mark.parametrize("given", [{"spacing": (1, 1, 1)}, {"affine": np.diag([1, 1, 1, 1])}])
def test_a_spacing_that_an_array_of_monai_carries_is_not_contradicted(given):
    predictor, array = predictor_of(PLAN), noise(2, 14, 11, 9)
    carried = MetaTensor(array, affine=np.diag([3.0, 3, 3, 1]))
    with pytest.raises(DataError, match="GEO_SPACING: the array carries a spacing of"):
        predictor(carried, **given)
    predictor(carried, spacing=(3, 3, 3))
    predictor(MetaTensor(array), **given)  # the identity is that of an array without a place


def test_warnings_of_a_scan_are_returned():
    array = noise(2, 14, 11, 9)
    array[0, 3, 3, 3] = 1e7
    assert any(
        "INT_OUTLIER" in text for text in predictor_of(PLAN)(array, spacing=(1, 1, 1)).warnings
    )


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (noise(14, 11, 9), {"spacing": (1, 1, 1)}, r"CH_AXES: an array of shape \(14, 11, 9\)"),
        (noise(14, 11, 9, 2), {"spacing": (1, 1, 1)}, "CH_AXES.*channels come first"),
        (noise(3, 14, 11, 9), {"spacing": (1, 1, 1)}, r"CH_AXES.*give \(2, X, Y, Z\)"),
        (noise(2, 2, 14, 11, 9), {"spacing": (1, 1, 1)}, "CH_AXES"),
        (noise(2, 0, 11, 9), {"spacing": (1, 1, 1)}, "CH_AXES"),
        (noise(2, 14, 11, 9).astype(complex), {"spacing": (1, 1, 1)}, "CH_AXES.*complex128"),
        (noise(2, 14, 11, 9), {}, "GEO_SPACING: a volume without spacing"),
        (noise(2, 14, 11, 9), {"spacing": (1, 1)}, "GEO_SPACING"),
        (noise(2, 14, 11, 9), {"spacing": (1, 0, 1)}, "GEO_SPACING"),
        (noise(2, 14, 11, 9), {"affine": np.zeros((4, 4))}, "GEO_SPACING"),
        (noise(2, 14, 11, 9), {"affine": np.eye(3)}, "GEO_SPACING"),
        (
            noise(2, 14, 11, 9),
            {"affine": np.eye(4), "spacing": (1, 1, 2)},
            "GEO_SPACING: the affine has a spacing of",
        ),
        (noise(2, 14, 11, 9), {"affine": np.eye(4) + 0.2 * np.eye(4, k=1)}, "GEO_SHEAR"),
        (noise(2, 14, 11, 9), {"spacing": (1, 1, 500)}, "HDR_SPACING_RANGE"),
        (np.full((2, 14, 11, 9), np.nan), {"spacing": (1, 1, 1)}, "INT_NONFINITE"),
        (
            np.broadcast_to(np.float32(1), (2, 5000, 50_000, 50_000)),
            {"spacing": (1, 1, 1)},
            "IO_MEMORY: it needs about 2e",
        ),
        ("scan.nii.gz", {"spacing": (1, 1, 1)}, "GEO_SPACING: a file and a spacing"),
        ("nowhere.nii.gz", {}, "IO_MISSING"),
    ],
)
def test_what_does_not_fit_is_named(array, options, message):
    with pytest.raises(DataError, match=message):
        predictor_of(PLAN)(array, **options)


@pytest.mark.parametrize("path", [None, b"run", 3, [None]])
def test_what_is_no_path_is_named(path):
    with pytest.raises(DataError, match="MODEL_MISSING: no path of a model"):
        Predictor.load(path)


def test_an_image_of_nibabel_is_told_how_to_be_given():
    image = nib.Nifti1Image(noise(4, 4, 4), np.eye(4))
    with pytest.raises(DataError, match=r"CH_AXES: a Nifti1Image object; give image.get_fdata"):
        predictor_of(PLAN)(image)


def test_no_path_is_no_model():
    with pytest.raises(DataError, match="MODEL_MISSING"):
        Predictor.load([])


@pytest.mark.parametrize(
    "make",
    [
        lambda array: array > 0,
        lambda array: torch.from_numpy(array > 0),
        lambda array: torch.from_numpy(array).bfloat16(),
        lambda array: torch.from_numpy(array).requires_grad_(),
        lambda array: torch.from_numpy(array.astype(np.int16)),
    ],
)
def test_arrays_and_tensors_of_any_numbers_are_predicted(make):
    array = np.round(noise(2, 14, 11, 9)) - 100
    assert predictor_of(PLAN)(make(array), spacing=(1, 1, 1)).labels.shape == (14, 11, 9)


@pytest.mark.parametrize("place", [{"spacing": (1, 1)}, {"affine": np.eye(4)}])
def test_a_2d_image_has_no_place(place):
    plan = Plan(2, ("a",), {"background": 0, "b": 1}, {}, "zscore", None, (16, 16))
    with pytest.raises(DataError, match="GEO_SPACING: an affine or spacing for a 2D image"):
        predictor_of(plan)(noise(20, 24), **place)


def test_a_folder_of_several_images_is_for_the_command(disc_run):
    raw, root, _ = disc_run
    with pytest.raises(DataError, match="IO_SEVERAL: 6 images"):
        Predictor.load(root / "run", device="cpu")(raw / "images")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"device": "tpu"}, "CONFIG_DEVICE"),
        ({"mirroring": "no"}, "OPTION"),
        ({"accept": ["NO_CODE"]}, "PRED_ACCEPT"),
        ({"accept": "RUN"}, "PRED_ACCEPT"),
    ],
)
def test_arguments_that_cannot_be_are_named(disc_run, given, code):
    _, root, _ = disc_run
    with pytest.raises(DataError, match=code):
        Predictor.load(root / "run", **given)
    assert Predictor.load(root / "run", device="cpu", accept="RUN_UNFINISHED")


def test_masked_voxels_and_words_for_truth_are_refused():
    predictor, array = predictor_of(PLAN), noise(2, 14, 11, 9)
    whole = np.ma.masked_array(array, False)
    assert predictor(whole, spacing=(1, 1, 1)).labels.shape == (14, 11, 9)
    whole[0, 3] = np.ma.masked
    with pytest.raises(DataError, match=r"CH_AXES.*99 masked"):
        predictor(whole, spacing=(1, 1, 1))
    with pytest.raises(DataError, match="OPTION"):
        predictor(array, spacing=(1, 1, 1), probabilities="no")


SLICES = Plan(2, ("mr",), {"background": 0, "b": 1}, {}, "zscore", (1.0, 2.0), (16, 16))


@pytest.mark.parametrize("size", [(14, 11), (14, 11, 1), (1, 14, 11)], ids=str)
def test_a_slice_in_a_file_is_predicted_in_its_own_shape(tmp_path, size):
    path = tmp_path / "scan.nii.gz"
    affine = np.diag([3.0, 1.0, 2.0, 1.0] if size[0] == 1 else [1.0, 2.0, 3.0, 1.0])
    nib.save(nib.Nifti1Image(noise(*size), affine), path)
    predictor = predictor_of(SLICES)
    found = predictor(path, probabilities=True)
    assert (found.labels.shape, found.probabilities.shape) == (size, (2, *size))
    array = predictor(noise(14, 11), spacing=(1.0, 2.0))
    np.testing.assert_array_equal(array.labels, found.labels.reshape(14, 11))


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (noise(14, 11), {}, "GEO_SPACING: a slice without spacing"),
        (noise(14, 11), {"spacing": (1, 1, 1)}, "GEO_SPACING.*two lengths"),
        ("volume.nii.gz", {}, "CH_DIMS: 14x11x9 voxels, the model takes single slices"),
        ("picture.png", {}, "CH_DIMS: 14x11 voxels, the model takes single slices"),
    ],
)
def test_what_is_no_slice_with_a_spacing_is_named(tmp_path, array, options, message):
    nib.save(nib.Nifti1Image(noise(14, 11, 9), np.eye(4)), tmp_path / "volume.nii.gz")
    Image.fromarray(noise(14, 11).astype(np.uint8)).save(tmp_path / "picture.png")
    given = tmp_path / array if isinstance(array, str) else array
    with pytest.raises(DataError, match=message):
        predictor_of(SLICES)(given, **options)


def test_a_model_of_2d_images_takes_no_slice_that_has_a_spacing(tmp_path):
    nib.save(nib.Nifti1Image(noise(14, 11), np.eye(4)), tmp_path / "slice.nii.gz")
    plan = Plan(2, ("mr",), {"background": 0, "b": 1}, {}, "zscore", None, (16, 16))
    with pytest.raises(DataError, match="CH_DIMS"):
        predictor_of(plan)(tmp_path / "slice.nii.gz")


def test_memory_that_ends_is_named(monkeypatch):
    def full(*arguments, **options):
        raise MemoryError("no room")

    monkeypatch.setattr("sdunet.segmentation.inference.predictor.predict_scan", full)
    with pytest.raises(DataError, match="IO_MEMORY: memory is full: no room"):
        predictor_of(PLAN)(noise(2, 14, 11, 9), spacing=(1, 1, 1))
