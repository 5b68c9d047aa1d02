"""Probabilities beside labels are probabilities, and those of the labels."""

import json
import re
import shutil

import numpy as np
import pytest
import tifffile
from by_hand import rewrite
from PIL import Image

from data_prep.core.config import DataConfig
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.segmentation.review.overlay import overlay


@pytest.fixture
def foreign(discs, tmp_path):
    """A raw set, and labels of another tool that miss the discs by a little, beside maps."""
    raw, folder = discs(count=2), tmp_path / "pred"
    for number in (0, 1):
        (folder / f"probabilities/{number}").mkdir(parents=True)
    for i in range(2):
        mask = np.roll(np.asarray(Image.open(raw / f"masks/disc_{i}.png")), 2, 0)
        Image.fromarray(mask).save(folder / f"disc_{i}.png")
        chance = np.where(mask, 0.9, 0.2).astype(np.float32)
        for number, map_ in enumerate((1 - chance, chance)):
            tifffile.imwrite(folder / f"probabilities/{number}/disc_{i}.tif", map_)
    return raw, folder


def change(folder, number, how):
    path = folder / f"probabilities/{number}/disc_0.tif"
    tifffile.imwrite(path, how(tifffile.imread(path)).astype(np.float32))


def with_value(value):
    def change(map_):
        map_ = map_.copy()
        map_[3, 4] = value
        return map_

    return change


def swap(folder):
    one, other = (folder / f"probabilities/{n}/disc_0.tif" for n in (0, 1))
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def third_class(folder):
    shutil.copytree(folder / "probabilities/1", folder / "probabilities/2")


WRONG = {
    "NaN": (lambda f: change(f, 1, with_value(np.nan)), "PROB_RANGE", "1 voxels are NaN"),
    "negative": (lambda f: change(f, 1, with_value(-0.5)), "PROB_RANGE", "values from -0.5"),
    "above 1": (lambda f: change(f, 0, with_value(1.5)), "PROB_RANGE", "to 1.5, outside"),
    "sum": (lambda f: change(f, 1, with_value(0.6)), "PROB_SUM", "in 1 of 2304 voxels .* 1.4"),
    "swapped": (swap, "PROB_LABEL", "in 2304 of 2304 voxels .* by 0.9 to 0.1"),
    "classes": (third_class, "PROB_CLASSES", "class '2', classes are 0 to 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_are_no_probabilities_of_the_labels_is_named(foreign, tmp_path, name):
    raw, folder = foreign
    spoil, code, words = WRONG[name]
    spoil(folder)
    summary, problems = evaluate(folder, raw, tmp_path / "out")
    cases = ["disc_0", "disc_1"] if name == "classes" else ["disc_0"]
    assert [(p.code, p.case) for p in problems] == [(code, case) for case in cases]
    assert re.search(words, problems[0].found)
    assert summary["mean"]["1"]["n"] == 2  # labels are scored all the same
    _, problems = overlay(raw, raw, folder, tmp_path / "shown")
    assert [(p.code, p.case) for p in problems] == [(code, case) for case in cases]


@pytest.mark.parametrize(("name", "code"), [("sum", "PROB_SUM"), ("swapped", "PROB_LABEL")])
def test_what_may_be_meant_can_be_accepted(foreign, tmp_path, name, code):
    raw, folder = foreign
    WRONG[name][0](folder)
    summary, problems = evaluate(folder, raw, tmp_path / "out", config=DataConfig(accept=(code,)))
    assert not problems
    assert summary["calibration_error"]["foreground"]["n_cases"] == 2


def rounded(folder):
    """As half precision or a byte stores them."""
    for number in (0, 1):
        change(folder, number, lambda map_: np.round(map_ * 255) / 255)


GOOD = {
    "as they are": lambda folder: None,
    "rounded": rounded,
    "without background": lambda folder: shutil.rmtree(folder / "probabilities/0"),
}


@pytest.mark.parametrize("name", GOOD)
def test_probabilities_as_other_tools_write_them_are_used(foreign, tmp_path, name):
    raw, folder = foreign
    GOOD[name](folder)
    summary, problems = evaluate(folder, raw, tmp_path / "out")
    assert not problems
    assert summary["calibration_error"]["foreground"]["n_cases"] == 2


def test_what_recorded_post_processing_removed_contradicts_nothing(foreign, tmp_path):
    raw, folder = foreign
    record = {"labels": {"background": 0, "foreground": 1}, "label_map": {}, "cases": []}
    (folder / "predictions.json").write_text(json.dumps(record))
    for i in range(2):
        Image.fromarray(np.zeros((48, 48), np.uint8)).save(folder / f"disc_{i}.png")
    _, problems = evaluate(folder, raw, tmp_path / "out")
    assert [p.code for p in problems] == ["PROB_LABEL"] * 2
    rewrite(folder / "predictions.json", lambda found: found.update(removed={"foreground": 9.0}))
    _, problems = evaluate(folder, raw, tmp_path / "again")
    assert not problems


@pytest.mark.parametrize("gone", ["probabilities", "probabilities/1", "probabilities/1/disc_0.tif"])
def test_recorded_probabilities_that_are_gone_are_missed(disc_run, tmp_path, gone):
    raw, root, _ = disc_run
    options = PredictOptions(probabilities=True)
    predict(root / "run", raw, tmp_path / "pred", options=options)
    _, problems = evaluate(tmp_path / "pred", raw, tmp_path / "whole")
    assert not problems
    path = tmp_path / "pred" / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    summary, problems = evaluate(tmp_path / "pred", raw, tmp_path / "less")
    assert {p.code for p in problems} == {"PROB_MISSING"}
    assert len(problems) == (1 if gone.endswith("tif") else 6)
    assert summary["mean"]["1"]["n"] == 6
