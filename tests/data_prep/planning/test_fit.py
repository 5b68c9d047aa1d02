"""Plans: what is chosen from the training cases, and what follows from it."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from bad_sets import Series, Volumes, gz, nifti, noise

from data_prep.core.chunked_stats import extent_of
from data_prep.core.config import DataConfig, Plan, Rules
from data_prep.core.errors import DataError
from data_prep.core.scan import Scan
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.planning.classes import classes_of
from data_prep.planning.fingerprint import Fingerprint
from data_prep.planning.fit import fit_plan
from data_prep.planning.plan_json import read_plan
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from data_prep.preprocessing.grid import grid_of, labels_from_grid, to_grid
from data_prep.preprocessing.intensity import normalise, scaling_of
from sdunet.cli.main import main

CLASSES = {"background": 0, "organ": 1, "lesion": 2}


def facts(size, spacing=None, foreground=(0.0,)):
    return Fingerprint(
        size,
        spacing,
        "",
        {},
        [1, 1],
        [0.0],
        [(-1.0, 1.0)],
        np.array([foreground], np.float32),
        "",
        np.zeros(1),
    )


def plan_of(sizes, spacings=None, channels=("a",), foregrounds=None, **settings):
    spacings = spacings or [None] * len(sizes)
    foregrounds = foregrounds or [(0.0,)] * len(sizes)
    seen = [facts(*case) for case in zip(sizes, spacings, foregrounds, strict=True)]
    config = DataConfig(**{"memory_gb": 8.0} | settings)  # the same whatever GPU is here
    return fit_plan(config, Rules(channels, CLASSES), seen)


def test_patch_is_planned_from_the_median_size_and_within_the_memory():
    sizes = [(100, 500), (130, 60), (90, 300)]
    assert plan_of(sizes).patch_size == (96, 304)
    assert "2 at a time within 8 GB" in plan_of(sizes).why["patch_size"]
    small = plan_of(sizes, memory_gb=0.1).patch_size
    assert np.prod(small) * 2 * 4000 <= 0.1e9 < np.prod(plan_of(sizes).patch_size) * 2 * 4000
    assert all(n % 16 == 0 for n in small)
    volumes = plan_of([(500, 500, 90)] * 3, [(1.0, 1.0, 1.0)] * 3)
    assert np.prod(volumes.patch_size) * 2 * 4000 <= 8e9
    assert plan_of([(20, 20, 20)], [(1.0, 1.0, 1.0)], memory_gb=0.001).patch_size == (16, 16, 16)
    assert plan_of([(28, 40, 23)], [(1.0, 1.0, 1.0)]).patch_size == (32, 32, 16)


@pytest.mark.parametrize(
    ("slices", "thickness", "planned"),
    [(24, 5.0, 24), (40, 5.0, 40), (10, 8.0, 8), (4, 5.0, 8), (24, 1.5, 32), (16, 1.0, 16)],
)
def test_few_thick_slices_are_not_filled_up_to_what_they_are_not_halved_by(
    slices, thickness, planned
):
    plan = plan_of([(96, 96, slices)], [(0.8, 0.8, thickness)])
    assert plan.patch_size == (96, 96, planned)
    assert ("of 8 along coarse axes" in plan.why["patch_size"]) is (thickness >= 1.6)
    halved = np.prod([step[2] for step in plan.network.strides])
    assert planned % halved == 0


def test_spacing_is_the_median_but_for_few_thick_slices():
    even = plan_of([(99, 99, 99)] * 5, [(1.0, 1.0, z) for z in (1.0, 1, 2, 3, 3)])
    assert even.spacing == (1.0, 1.0, 2.0)
    thick = plan_of([(300, 300, 20)] * 5, [(1.0, 1.0, z) for z in (3.0, 5, 5, 5, 6)])
    assert thick.spacing == (1.0, 1.0, 3.8)
    assert "10th percentile" in thick.why["spacing"]
    assert "slice by slice" in thick.why["spatial_dims"]


def test_foreground_of_ct_is_clipped_and_brought_to_mean_zero():
    near, far = np.linspace(0, 100, 501), np.linspace(50, 150, 501)
    plan = plan_of([(32, 32, 32)] * 2, [(1.0,) * 3] * 2, ("CT",), [near, far])
    assert plan.intensity == "ct"
    (levels,) = plan.levels
    pooled = np.concatenate([near, far])
    low, high = np.percentile(pooled, (0.5, 99.5))
    np.testing.assert_allclose((levels.low, levels.high), (low, high), rtol=1e-6)
    scaling = scaling_of(np.zeros((1, 2, 2, 2)), plan)
    out = normalise(pooled.reshape(1, 1, 1, -1), scaling)
    np.testing.assert_allclose((out.mean(), out.std()), (0, 1), atol=1e-6)
    extremes = normalise(np.array([-3000.0, low, high, 9000]).reshape(1, 1, 1, -1), scaling)[
        0, 0, 0
    ]
    assert extremes[0] == extremes[1]
    assert extremes[2] == extremes[3]


def test_intensity_follows_the_channels_unless_it_is_asked_for():
    volumes = {"sizes": [(32, 32, 32)], "spacings": [(1.0, 1.0, 1.0)]}
    assert plan_of(**volumes, channels=("MRI",)).intensity == "zscore"
    assert plan_of(**volumes, channels=("ct",)).intensity == "ct"
    assert plan_of(**volumes, channels=("CT",), intensity="zscore").intensity == "zscore"
    assert plan_of([(32, 32)], channels=("CT",)).intensity == "zscore"
    with pytest.raises(DataError, match="PLAN_INTENSITY"):
        plan_of([(32, 32)], intensity="ct")


def test_plan_of_a_ct_set_is_kept_and_its_test_cases_are_not_seen(tmp_path):
    planted = Series(tmp_path / "raw")
    config = DataConfig(**planted.config, test_share=0.25)
    dataset, problems = prepare(tmp_path / "raw", tmp_path / "out", config)
    assert not problems
    assert dataset.plan.intensity == "ct"
    again = load_dataset(tmp_path / "out")
    assert again.plan == dataset.plan
    scaling = again.cases["bad"].scaling
    assert scaling.low == [dataset.plan.levels[0].low]
    everyone, _ = prepare(tmp_path / "raw", tmp_path / "all", DataConfig(**planted.config))
    assert len(dataset.test) == 1
    assert everyone.plan.levels != dataset.plan.levels


def ball(size, spacing, radius):
    centre = (np.array(size) - 1) / 2
    at = np.indices(size) - centre.reshape(3, 1, 1, 1)
    return np.linalg.norm(at * np.reshape(spacing, (3, 1, 1, 1)), axis=0) < radius


@pytest.mark.parametrize("factor", [0.6, 1.3, 2.0])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=str)
def test_smooth_labels_survive_resampling_by_up_to_two(axes, factor):
    spacing, size = (1.0, 1.0, 1.5), (100, 98, 66)
    label = ball(size, spacing, 46).astype(np.uint8)
    affine = np.zeros((4, 4))
    for column, axis in enumerate(axes):
        affine[axis, column] = spacing[column] * (-1) ** column
    affine[3, 3] = 1
    target = tuple(factor * spacing[axes.index(axis)] for axis in range(3))
    grid = grid_of(Scan(label[None], affine), target)
    there = to_grid(label[None], grid, label=True)
    assert there.dtype == np.uint8
    back = labels_from_grid(there, grid)[0]
    assert back.dtype == np.uint8
    assert 2 * (back & label).sum() / (back.sum() + label.sum()) >= 0.99


def test_classes_are_resampled_each_by_itself():
    label = np.zeros((1, 9, 9, 9), np.uint8)
    label[:, 1:4], label[:, 4:7] = 1, 5  # between 1 and 5 there is no 3
    there = to_grid(label, grid_of(Scan(label, np.eye(4)), (0.6, 0.6, 0.6)), label=True)
    assert set(np.unique(there)) == {0, 1, 5}


def test_plan_is_rebuilt_from_json():
    plan = plan_of([(32, 32, 32)], [(1.0, 1.0, 1.0)], ("CT",), [np.arange(9.0)])
    assert Plan.from_json(json.loads(json.dumps(asdict(plan)))) == plan


@pytest.mark.parametrize(("name", "code"), [("plan.json", "OUT_TAKEN"), ("raw/p", "OUT_IN_DATA")])
def test_where_a_plan_goes_is_looked_at_before_the_data(tmp_path, capsys, name, code):
    Volumes(tmp_path / "raw")
    (tmp_path / "plan.json").write_bytes(b"mine")
    assert main(["plan", str(tmp_path / "raw"), "-o", str(tmp_path / name)]) == 1
    assert code in (said := capsys.readouterr().err)
    assert "checking" not in said
    assert (tmp_path / "plan.json").read_bytes() == b"mine"
    assert not (tmp_path / "raw/p").exists()


def test_a_plan_written_and_changed_by_hand_is_prepared_by(tmp_path, capsys):
    Volumes(tmp_path / "raw")
    raw, file = str(tmp_path / "raw"), tmp_path / "plan.json"
    assert main(["plan", raw, "-o", str(file), "--dataset.labels", "{background: 0, a: 1}"]) == 0
    record = json.loads(file.read_text())
    assert record["spacing"] == [1.5, 2.0, 3.0]
    record["spacing"] = [2.0, 2.0, 3.0]
    file.write_text(json.dumps(record))
    assert main(["prepare", raw, str(tmp_path / "out"), "--plan", str(file)]) == 0
    dataset = load_dataset(tmp_path / "out")
    assert dataset.plan.spacing == (2.0, 2.0, 3.0)
    assert dataset.plan.labels == {"background": 0, "a": 1}
    assert dataset.cases["bad"].size == (8, 11, 12)


def test_a_plan_keeps_how_folds_were_asked_for(tmp_path, capsys):
    Volumes(tmp_path / "raw")
    ids = [case.id for case in find_layout(open_tree(tmp_path / "raw")).cases]
    groups = tmp_path / "groups.csv"
    groups.write_text("case,group\n" + "".join(f"{id_},{n // 2}\n" for n, id_ in enumerate(ids)))
    raw, file = str(tmp_path / "raw"), str(tmp_path / "plan.json")
    given = ["--dataset.folds", "2", "--dataset.seed", "7", f"--dataset.group_file={groups}"]
    assert main(["plan", raw, "-o", file, *given]) == 0
    prepare_ = ["prepare", raw, "--plan", file, "-o"]
    assert main([*prepare_, str(tmp_path / "other")]) == 1
    assert "PLAN_CONFLICT: dataset.group_file None in the settings" in capsys.readouterr().err
    with_file = [f"--dataset.group_file={groups}"]
    assert main([*prepare_, str(tmp_path / "other"), *with_file, "--dataset.folds=3"]) == 1
    assert "PLAN_CONFLICT: dataset.folds 3 in the settings, 2 in" in capsys.readouterr().err
    assert main([*prepare_, str(tmp_path / "by_plan"), *with_file]) == 0
    assert main(["prepare", raw, "-o", str(tmp_path / "without"), *given]) == 0
    by_plan, without = (load_dataset(tmp_path / name) for name in ("by_plan", "without"))
    assert by_plan.folds == without.folds
    assert len(by_plan.folds) == 2
    assert by_plan.split_by == without.split_by


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split_by": {"fold": 2}}, "split_by has no setting 'fold'"),
        ({"split_by": {"folds": -2}}, "folds cannot be -2"),
        ({"split_by": [2]}, "PLAN_FILE"),
        ({"spacings": 1}, "unknown key 'spacings'; did you mean 'spacing'?"),
        ({"spatial_dims": 4}, "spatial_dims must be 2 or 3, got 4"),
        ({"spatial_dims": 2, "spacing": None, "patch_size": [8, 8]}, "PLAN_DIMS"),
        ({"spacing": [1, 1, 0]}, "spacing must be 3 numbers above 0"),
        ({"spacing": [1, 1, float("nan")]}, "NaN is no number"),
        ({"spacing": 1}, "PLAN_FILE"),
        ({"patch_size": [16, 16]}, "patch_size must be 3 whole numbers above 0"),
        ({"intensity": "hu"}, "intensity must be one of"),
        ({"intensity": "ct"}, "levels must be given for intensity ct"),
        ({"labels": {"a": 1, "b": 2}}, "LBL_CLASSES"),
    ],
)
def test_plans_that_cannot_be_are_refused(tmp_path, change, message):
    Volumes(tmp_path / "raw")
    plan = plan_of([(32, 32, 32)], [(1.0, 1.0, 1.0)])
    record = asdict(plan) | {"labels": {"background": 0, "organ": 1}, "network": None} | change
    (tmp_path / "plan.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=re.escape(message)):
        prepare(
            tmp_path / "raw",
            tmp_path / "out",
            DataConfig(),
            plan=read_plan(tmp_path / "plan.json"),
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [(1000, 1000, 3), (500, 2000, 2), (300, 200, 100)])
def test_extent_is_that_of_all_slices(size):
    values = np.zeros(size, np.int16)
    values[..., 1:] = 200
    assert extent_of(values) == (0, 200)


def test_volumes_among_pictures_are_refused():
    with pytest.raises(DataError, match="GEO_MIXED"):
        plan_of([(32, 32), (32, 32, 32)], [None, (1.0, 1.0, 1.0)])


def test_skew_scans_are_prepared_where_that_is_accepted(tmp_path):
    planted = Volumes(tmp_path / "raw")
    skew = np.array([[1.5, 0.4, 0, 5], [0, 2, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1.0]])
    planted.image(gz(nifti(noise(), skew, (0, 1))))
    label = np.zeros((10, 11, 12), np.uint8)
    label[3:7, 3:8, 4:8] = 1
    planted.label(gz(nifti(label, skew, (0, 1))))
    accepted = DataConfig(accept=("GEO_SHEAR",))
    dataset, problems = prepare(tmp_path / "raw", tmp_path / "out", accepted)
    assert not problems
    volume = label.sum() * abs(np.linalg.det(skew[:3, :3]))
    again = dataset.cases["bad"].voxels[1] * np.prod(dataset.plan.spacing)
    assert again == pytest.approx(volume, rel=0.15)


@pytest.mark.parametrize("number", [1.0, True, "1", None])
def test_a_class_number_of_another_type_is_refused(number):
    with pytest.raises(DataError, match="LBL_CLASSES"):
        classes_of(DataConfig(labels={"background": 0, "organ": number}), None)
