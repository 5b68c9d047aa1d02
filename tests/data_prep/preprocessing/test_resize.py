"""Whole 2D images of one size: what they become, what comes back, and what is refused."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from bad_sets import Pictures, Volumes, png
from PIL import Image

from data_prep.core.config import DataConfig, Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.planning.plan_json import read_plan, write_plan
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from data_prep.preprocessing.grid import from_grid, grid_of, labels_from_grid, to_grid
from data_prep.preprocessing.intensity import normalise, scaling_of
from data_prep.preprocessing.resize import resized
from data_prep.preprocessing.streaming import planes_back
from sdunet.segmentation.inference.ensemble import Ensemble, predict_scan
from sdunet.segmentation.models.trained_model import Model

CLASSES = {"background": 0, "b": 1, "c": 2}
PLAN = Plan(2, ("a",), CLASSES, {}, "window", None, (16, 24), window=(0.0, 200.0), resize=(16, 24))
RANDOM = np.random.default_rng(0)
SIZES = [(31, 40), (12, 9), (16, 24), (64, 7)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels_are_those_of_pillow(size):
    array = RANDOM.normal(size=(2, *size)).astype(np.float32)
    wanted = [Image.fromarray(channel).resize((24, 16), Image.BILINEAR) for channel in array]
    np.testing.assert_allclose(resized(array, (16, 24)), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_label_is_the_class_that_covers_most_and_comes_back_to_its_size(size):
    label = RANDOM.integers(0, 3, (1, *size)).astype(np.uint8)
    grid = grid_of(Scan(label), None, (16, 24))
    there = to_grid(label, grid, label=True)
    covered = [resized((label == number).astype(np.float32), (16, 24))[0] for number in range(3)]
    chosen = np.take_along_axis(np.array(covered), there.astype(int), 0)
    assert there.shape == (1, 16, 24)
    assert there.dtype == label.dtype
    assert (chosen[0] == np.max(covered, 0)).all()
    assert labels_from_grid(there, grid).shape == label.shape
    if size == (16, 24):
        assert np.array_equal(there, label)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_prediction_is_the_likeliest_class_on_the_grid_of_the_image(size):
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 3, 3, padding=1).eval()
    ensemble = Ensemble((Model(network, PLAN, 0.5, (), "", None),), {})
    scan = Scan(RANDOM.integers(0, 255, (1, *size)).astype(np.uint8))
    found = predict_scan(
        ensemble, scan, Findings(), print, probabilities_into=lambda s: np.zeros(s, np.float32)
    )
    grid = grid_of(scan, None, PLAN.resize)
    image = normalise(to_grid(scan.array, grid), scaling_of(scan.array, PLAN))
    with torch.no_grad():
        logits = network(torch.from_numpy(image)[None])
    probabilities = from_grid(logits.softmax(1)[0].numpy(), grid)
    np.testing.assert_allclose(found.turned, probabilities, atol=1e-5)
    assert found.label.shape == (1, *size)
    assert (found.label[0] == probabilities.argmax(0)).mean() > 0.99
    parts = np.split(to_grid(scan.array, grid).astype(np.float32), (3, 4), axis=1)
    back = np.concatenate(list(planes_back(parts, grid)), 1)
    np.testing.assert_array_equal(back, from_grid(np.concatenate(parts, 1), grid))


def test_rules_of_small_components_count_pixels_of_the_plan():
    network = torch.nn.Conv2d(1, 3, 1)
    with torch.no_grad():  # bright pixels are of class 1
        network.weight.copy_(torch.tensor([-9.0, 9, -9]).reshape(3, 1, 1, 1))
        network.bias.copy_(torch.tensor([4.0, -4, -9]))
    image = np.zeros((1, 64, 96), np.uint8)
    image[0, 8:24, 8:24] = 200  # 256 of its pixels are 16 of the plan's
    for least, kept in ((12, True), (20, False)):
        rules = {"b": float(least)}
        ensemble = Ensemble((Model(network.eval(), PLAN, 0.5, (), "", None),), rules)
        assert predict_scan(ensemble, Scan(image), Findings(), print).label.any() == kept


def prepared(tmp_path, **settings):
    planted = Pictures(tmp_path / "raw")
    config = DataConfig(**planted.config | settings)
    told = []
    dataset, problems = prepare(tmp_path / "raw", tmp_path / "out", config, tell=told.append)
    return dataset, problems, told


def test_prepared_set_holds_the_size_and_its_plan_and_opens_again(tmp_path):
    dataset, problems, _ = prepared(tmp_path, resize=(16, 24), intensity="unit")
    assert not problems
    assert {record.size for record in dataset.cases.values()} == {(16, 24)}
    assert dataset.plan.patch_size == (32, 32)
    assert load_dataset(tmp_path / "out").plan == dataset.plan
    write_plan(tmp_path / "plan.json", PLAN)
    assert read_plan(tmp_path / "plan.json") == PLAN
    record = asdict(replace(PLAN, intensity="zscore", window=None, resize=None))
    del record["window"], record["resize"]  # as plans were before
    (tmp_path / "plan.json").write_text(json.dumps(record))
    assert read_plan(tmp_path / "plan.json").resize is None


def test_class_that_vanishes_is_told(tmp_path):
    root = tmp_path / "raw"
    planted = Pictures(root)
    speck = np.zeros((96, 96), np.uint8)
    speck[40:42, 50:52] = 1
    planted.write("labels/bad.png", png(speck))
    planted.write("images/bad.png", png(RANDOM.integers(0, 255, (96, 96)).astype(np.uint8)))
    config = DataConfig(**planted.config | {"resize": (16, 16)})
    dataset, problems = prepare(root, tmp_path / "out", config)
    assert [(error.code, error.case) for error in problems] == [("LBL_LOST", "bad")]
    assert "16x16 pixels" in problems[0].found
    assert "dataset.resize" in problems[0].fix
    assert "bad" not in dataset.cases


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"resize": (1 << 15, 1 << 14)}, "PLAN_RESIZE"),
        ({"intensity": "window"}, "PLAN_WINDOW"),
        ({"window": (0, 1)}, "PLAN_WINDOW"),
        ({"intensity": "window", "window": (3, 3)}, "PLAN_WINDOW"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_named(tmp_path, settings, code):
    with pytest.raises(DataError, match=code):
        prepared(tmp_path, **settings)


def test_volumes_have_a_spacing_and_no_resize(tmp_path):
    planted = Volumes(tmp_path / "raw")
    config = DataConfig(**planted.config | {"resize": (16, 16)})
    with pytest.raises(DataError, match=r"PLAN_RESIZE.*spacing"):
        prepare(tmp_path / "raw", tmp_path / "out", config)


@pytest.mark.parametrize(
    "settings", [{"resize": (0, 4)}, {"resize": (4,)}, {"window": (0, float("inf"))}], ids=str
)
def test_values_out_of_range_are_refused_by_the_settings(settings):
    with pytest.raises(ValueError, match="cannot be"):
        DataConfig(**settings)


@pytest.mark.parametrize(
    "change",
    [
        {"resize": [16, 0]},
        {"resize": [16, 24, 3]},
        {"resize": [1 << 15, 1 << 15]},
        {"window": None},
        {"window": [2.0, 1.0]},
        {"intensity": "unit"},
    ],
    ids=str,
)
def test_plans_that_cannot_be_are_refused(tmp_path, change):
    (tmp_path / "plan.json").write_text(json.dumps(asdict(PLAN) | change))
    with pytest.raises(DataError, match="PLAN_FILE"):
        read_plan(tmp_path / "plan.json")
