"""A class never vanishes unsaid, and a single value never sets how a whole image is scaled."""

import numpy as np
import pytest
from bad_sets import (
    AFFINE,
    SIZE,
    Pictures,
    Series,
    Volumes,
    blob,
    gz,
    nifti,
    noise,
    picture,
    png,
    tiff,
)
from dicom_files import box, encode, structures

from data_prep.checks.run import check
from data_prep.core.chunked_stats import mean_and_deviation
from data_prep.core.config import DataConfig, Plan
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.prepared.prepare import prepare
from data_prep.preprocessing.hot_values import hot_values
from data_prep.preprocessing.intensity import normalise, scaling_of
from sdunet.cli.main import main
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.inference.domain_check import check_like_training

LABELS = {"background": 0, "organ": 1, "lesion": 2}
COARSE = (6.0, 8.0, 12.0)
SPECK = (1, 1, 1)
ZSCORE = Plan(3, ("image",), LABELS, {}, "zscore", (1.0, 1.0, 1.0), (16, 16, 16))


def large(*specks, organ=True):
    """A block of the organ and one of the lesion far larger than the specks of it."""
    label = blob(tuple(4 * n for n in SIZE)) * organ
    for start, side in specks:
        label[tuple(slice(n, n + side) for n in start)] = 2
    return label


def planted(root, *labels):
    """A set of these labels on images of their own."""
    made = Volumes(root)
    for name in ("good_0", "good_1", "good_2", "bad"):
        for folder in ("images", "labels"):
            (root / folder / f"{name}.nii.gz").unlink()
    for number, label in enumerate(labels):
        image = noise(number, label.shape)
        made.write(f"images/c{number}.nii.gz", gz(nifti(image)))
        made.write(f"labels/c{number}.nii.gz", gz(nifti(label)))
    return root


SEEN = large(((2, 2, 2), 8))


def test_class_that_a_case_loses_is_told_with_its_cells(tmp_path, capsys):
    root = planted(tmp_path / "raw", SEEN, SEEN.copy(), large((SPECK, 1)))
    arguments = ["--dataset.labels={background: 0, organ: 1, lesion: 2}"]
    arguments += [f"--dataset.spacing={list(COARSE)}"]
    assert main(["prepare", str(root), str(tmp_path / "out"), *arguments]) == 0
    wanted = "warning LBL_LOST case c2: class 2 lesion: none of its 1 voxels is left at (6.0, 8.0, "
    assert wanted in capsys.readouterr().err
    assert "LBL_LOST" in (tmp_path / "out/qc/report.html").read_text()
    assert main(["prepare", str(root), str(tmp_path / "out"), *arguments]) == 0
    assert wanted in capsys.readouterr().err  # of arrays that are used again, too


def test_class_that_a_case_loses_most_of_is_told(tmp_path):
    label = large(((28, 32, 32), 4))
    label[1, 4:34, 4:34] = 2  # a plate that fills no coarse voxel by half
    root = planted(tmp_path / "raw", SEEN, np.roll(SEEN, 2, axis=0), label)
    told = []
    config = DataConfig(labels=LABELS, spacing=COARSE)
    _, problems = prepare(root, tmp_path / "out", config, tell=told.append)
    assert not problems
    assert [(f.level, f.code, f.case) for f in told] == [("warning", "LBL_LOST", "c2")]
    assert "class 2 lesion: 7% of its volume is left, 964 voxels before" in told[0].found


def test_case_that_alone_held_the_lost_class_is_an_error(tmp_path):
    root = planted(tmp_path / "raw", large(), large(), large((SPECK, 1)))
    config = DataConfig(labels=LABELS, spacing=COARSE)
    dataset, problems = prepare(root, tmp_path / "out", config)
    assert [(p.code, p.case) for p in problems] == [("LBL_LOST", "c2")]
    assert "and no other case holds it" in problems[0].found
    assert sorted(dataset.cases) == ["c0", "c1"]
    assert not list((tmp_path / "out").rglob("c2.*"))


def test_case_that_loses_all_its_classes_is_an_error(tmp_path):
    root = planted(tmp_path / "raw", SEEN, SEEN.copy(), large((SPECK, 1), organ=False))
    config = DataConfig(labels=LABELS, spacing=COARSE)
    _, problems = prepare(root, tmp_path / "out", config)
    assert [(p.code, p.case) for p in problems] == [("LBL_LOST", "c2")]


def test_what_is_kept_is_not_told(tmp_path):
    root = planted(tmp_path / "raw", SEEN, SEEN.copy(), SEEN.copy())
    told = []
    config = DataConfig(labels=LABELS, spacing=(3.0, 4.0, 6.0))
    _, problems = prepare(root, tmp_path / "out", config, tell=told.append)
    assert not problems
    assert not told


def moved(cells):
    affine = AFFINE.copy()
    affine[0, 3] += cells * AFFINE[0, 0]
    return affine


def fine(number, start):
    label = np.zeros(tuple(4 * n for n in SIZE), np.uint8)
    label[8:24, 8:24, 8:24] = 1
    label[tuple(slice(n, n + 1) for n in start)] = number
    affine = AFFINE @ np.diag([0.25, 0.25, 0.25, 1])
    affine[:3, 3] = AFFINE[:3, 3] - AFFINE.diagonal()[:3] * 0.375
    return gz(nifti(label, affine))


def thin():
    """The block; of the lesion, one voxel of the image, and a plate that is thinner than one."""
    label = np.zeros(tuple(4 * n for n in SIZE), np.uint8)
    label[8:24, 8:24, 8:24] = 1
    label[28, 8:24, 8:24] = label[32:36, 0:4, 0:4] = 2
    affine = AFFINE @ np.diag([0.25, 0.25, 0.25, 1])
    affine[:3, 3] = AFFINE[:3, 3] - AFFINE.diagonal()[:3] * 0.375
    return gz(nifti(label, affine))


def test_class_lost_on_the_grid_of_its_image_is_told(tmp_path):
    made = Volumes(tmp_path)
    made.label(fine(2, (33, 33, 33)))
    config = DataConfig(labels=LABELS, accept=("GEO_SHAPE", "LBL_ABSENT"))
    found = [f for f in check(tmp_path, config).findings if f.code == "LBL_LOST"]
    assert [(f.level, f.case) for f in found] == [("warning", "bad")]
    assert "class 2: none of its 1 voxels is left on the grid of the image" in found[0].found


def test_label_cut_off_whole_by_the_grid_of_its_image_is_refused(tmp_path):
    Volumes(tmp_path).label(gz(nifti(blob(), moved(40))))
    checked = check(tmp_path, DataConfig(accept=("GEO_AFFINE",)))
    assert [(e.code, e.case) for e in checked.errors] == [("LBL_LOST", "bad")]


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (gz(nifti(blob(), moved(3))), None),  # to the border, and not over it
        (gz(nifti(blob(), moved(5))), "class 1: 16 of its 48 voxels (33%) are cut off"),
        (gz(nifti(blob((10, 11, 16)), moved(0))), None),  # a larger mask around what is in it
        (gz(nifti(blob((20, 11, 12)))), "class 1: 48 of its 112 voxels (43%) are cut off"),
        (fine(1, (33, 33, 33)), None),
        (fine(0, (9, 9, 9)), None),
        (thin(), "class 2: 20% of its volume is left, 320 voxels before"),
    ],
    ids=["at the border", "over it", "larger", "larger and over it", "finer", "hole", "thin"],
)
def test_part_of_a_class_lost_on_the_grid_of_its_image_is_told(tmp_path, label, said):
    made = Volumes(tmp_path / "raw")
    made.label(label)
    config = DataConfig(labels=LABELS, accept=("GEO_SHAPE", "GEO_AFFINE", "LBL_ABSENT"))
    found = [f for f in check(tmp_path / "raw", config).findings if f.code == "LBL_LOST"]
    assert [(f.level, f.case) for f in found] == [("warning", "bad")] * bool(said)
    assert not said or found[0].found == f"{said} on the grid of the image"
    made.write("../pred/bad.nii.gz", label)
    made.label(gz(nifti(blob())))
    _, problems = evaluate(
        tmp_path / "pred", tmp_path / "raw", tmp_path / "out", {"bad"}, config=config
    )
    assert [(p.code, p.case) for p in problems] == [("LBL_LOST", "bad")] * bool(said)
    assert not said or problems[0].found == f"{said} on the grid of the reference"


def test_reference_is_never_brought_to_the_grid_of_a_prediction(tmp_path):
    """A lesion too small for a voxel of the prediction is missed, and no true negative."""
    made = Volumes(tmp_path / "raw")
    made.label(fine(2, (33, 33, 33)))
    made.write("../pred/bad.nii.gz", gz(nifti(blob())))
    config = DataConfig(labels=LABELS, accept=("GEO_SHAPE",))
    summary, problems = evaluate(
        tmp_path / "pred", tmp_path / "raw", tmp_path / "out", {"bad"}, config=config
    )
    assert not problems
    lesion = summary["metric_per_case"][0]["metrics"]["2"]
    assert (lesion["outcome"], lesion["n_ref"], lesion["FN"]) == ("missed", 1, 1)


def test_object_that_another_covers_is_told(tmp_path):
    made = Pictures(tmp_path / "none")
    for number, name in enumerate("ab"):
        made.write(f"../raw/{name}/images/{name}.png", png(picture(number)))
        for piece in range(2):
            cells = np.zeros((24, 20), np.uint8)
            cells[4:9, 4:9] = 1
            made.write(f"../raw/{name}/masks/{piece}.png", png(np.roll(cells, 9 * piece * number)))
    found = [f for f in check(tmp_path / "raw", DataConfig()).findings if f.code == "LBL_LOST"]
    assert [(f.level, f.case) for f in found] == [("warning", "a")]
    assert "1 of 2 objects are left without a voxel: a/masks/0.png" in found[0].found


def test_contours_around_no_centre_of_a_voxel_are_told(tmp_path):
    made = Series(tmp_path)
    drawn = [("tumour", box(2, 1, 7, 1, 5)), ("node", box(3, 1.6, 1.9, 1.6, 1.9))]
    label = structures(drawn, "1.2.3.64")
    label.PatientID = "PATIENT-bad"
    made.write("bad/rt.dcm", encode(label))
    labels = {"background": 0, "tumour": 1, "node": 2}
    config = DataConfig(labels=labels, channels=("CT",), accept=("LBL_ABSENT",))
    found = [f for f in check(tmp_path, config).findings if f.code == "LBL_LOST"]
    assert [(f.level, f.case, f.file) for f in found] == [("warning", "bad", "bad/rt.dcm")]
    assert "node: 1 contours around no centre of a voxel" in found[0].found


def with_value(value, count=1):
    array = np.random.default_rng(1).normal(100, 10, SIZE).astype(np.float32)
    array.ravel()[7 : 7 + count] = value
    return array


@pytest.mark.parametrize("value", [1e6, -1e6, 3e4, 5e3])
def test_single_value_is_told_and_does_not_move_the_scaling(tmp_path, value, capsys):
    made = Volumes(tmp_path)
    made.image(gz(nifti(with_value(value))))
    (found,) = [f for f in check(tmp_path, DataConfig()).findings if f.code == "INT_OUTLIER"]
    assert (found.level, found.case, found.file) == ("warning", "bad", "images/bad.nii.gz")
    assert "1 of 1320 values of image" in found.found
    assert "of all, the deviation is" in found.found
    hot, plain = with_value(value)[None], with_value(100.0)[None]
    scaled = scaling_of(hot, ZSCORE)
    usual = scaling_of(plain, ZSCORE)
    np.testing.assert_allclose(scaled.shift, usual.shift, rtol=1e-3)
    np.testing.assert_allclose(scaled.scale, usual.scale, rtol=1e-3)
    np.testing.assert_allclose(
        normalise(hot, scaled)[hot != value], normalise(plain, usual)[hot != value], atol=0.01
    )
    assert np.abs(normalise(hot, scaled)).max() < 5
    findings = Findings()
    check_like_training(Scan(hot, np.eye(4)), ZSCORE, findings)
    assert [f.code for f in findings.found] == ["INT_OUTLIER"]


def test_single_value_of_a_picture_is_told(tmp_path):
    made = Pictures(tmp_path)
    image = picture().astype(np.uint16)
    image[3, 3] = 50000
    made.image(tiff(image), ".tif")
    codes = {f.code for f in check(tmp_path, DataConfig()).findings if f.case == "bad"}
    assert codes == {"INT_OUTLIER"}


RANDOM = np.random.default_rng(0)
ORDINARY = {
    "noise": RANDOM.normal(100, 10, (40, 40, 40)),
    "tail": RANDOM.exponential(1, (40, 40, 40)),
    "long tail": RANDOM.lognormal(0, 1.5, (40, 40, 40)),
    "ct": np.where(RANDOM.random((40, 40, 40)) < 0.5, -1000, RANDOM.normal(40, 20, (40, 40, 40))),
    "sparse": (RANDOM.random((40, 40, 40)) < 1e-3) * 1000.0,
    "spot": np.pad(np.full((4, 4, 4), 3000.0), 18) + RANDOM.normal(0, 2, (40, 40, 40)),
    "tiny": np.arange(8.0).reshape(2, 2, 2),
    "bytes": RANDOM.integers(0, 255, (64, 64)).astype(np.uint8),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_images_are_scaled_as_before_to_the_bit(name):
    array = ORDINARY[name]
    assert hot_values(array) is None
    mean, deviation = mean_and_deviation(array)
    scaling = scaling_of(array[None], ZSCORE)
    assert (scaling.shift, scaling.scale) == ([mean], [deviation])
    assert scaling.low is scaling.high is None
