"""Dice pooled over batches, as published: what it is, and that nothing takes it for Dice."""

import json

import numpy as np
import pytest

from data_prep.core.errors import DataError
from sdunet.cli.main import main
from sdunet.segmentation.metrics.batch_pooled import BatchPooledDice
from sdunet.segmentation.metrics.overlap import overlaps

RANDOM = np.random.default_rng(0)
CASES = [RANDOM.integers(0, 3, (2, 9, 7)) for _ in range(5)]


def pooled(cases, batch, size=None):
    score = BatchPooledDice(batch, size)
    for prediction, reference in cases:
        score.add(prediction, reference, 3)
    return score.compute()


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_it_is_the_mean_over_batches_of_the_dice_of_all_voxels_in_one(batch):
    wanted = []
    for start in range(0, len(CASES), batch):
        prediction, reference = np.concatenate(CASES[start : start + batch], axis=1)
        counts = overlaps(prediction, reference, 3)
        wanted.append([2 * (o.tp + 1) / (2 * o.tp + o.fp + o.fn + 1) for o in counts])
    np.testing.assert_allclose(pooled(CASES, batch), np.mean(wanted, 0), rtol=1e-12)


@pytest.mark.parametrize("factor", [7, -1])
def test_numbers_of_no_class_are_named(factor):
    mask = np.eye(4, dtype=int)
    for pair in ((mask * factor, mask), (mask, mask * factor)):
        with pytest.raises(ValueError, match=f"must hold classes below 2, got {factor}"):
            BatchPooledDice(2).add(*pair, 2)
    with pytest.raises(ValueError, match="no case was added"):
        BatchPooledDice(2).compute()


def test_a_large_object_hides_a_missed_small_one():
    large, small = np.zeros((2, 50, 50), int), np.zeros((2, 50, 50), int)
    large[:, 5:45, 5:45] = small[1, 3:6, 3:6] = 1
    one, together = pooled([large, small], 1)[0], pooled([large, small], 2)[0]
    assert one == pytest.approx(0.6, abs=0.01)  # 2 / 10 of the missed one, by the smoothing
    assert together > 0.99


def disc(radius, size=256):
    rows, columns = np.ogrid[:size, :size]
    return ((rows - size / 2) ** 2 + (columns - size / 2) ** 2 < radius**2).astype(int)


def test_a_perfect_contour_does_not_reach_1_where_soft_masks_are_cut():
    masks = [disc(radius) for radius in (9, 14, 20)]
    assert pooled([(m, m) for m in masks], 3)[0] == pytest.approx(1, abs=1e-3)
    assert 0.95 < pooled([(m, m) for m in masks], 3, (96, 96))[0] < 0.99


def test_cases_without_prediction_are_missed_and_empty_batches_count_1():
    empty, full = np.zeros((4, 4), int), np.ones((4, 4), int)
    assert pooled([(None, full)], 1)[0] == pytest.approx(2 / 17)
    assert pooled([(empty, empty)], 1) == [1, 1]


def test_volumes_and_other_shapes_are_refused():
    with pytest.raises(DataError, match="EVAL_POOLED"):
        pooled([(None, np.zeros((3, 3, 3), int))], 1, (2, 2))
    with pytest.raises(ValueError, match="shape"):
        pooled([(np.zeros((3, 3), int), np.zeros((3, 4), int))], 1)
    with pytest.raises(ValueError, match="batch"):
        BatchPooledDice(0)


def test_evaluate_gives_it_only_when_asked_and_says_what_it_is(discs, tmp_path, capsys):
    raw = discs(count=4)
    command = ["evaluate", "--pred", str(raw / "masks"), "--ref", str(raw)]
    assert main([*command, "-o", str(tmp_path / "plain")]) == 0
    assert "batch_pooled_dice" not in json.loads((tmp_path / "plain/summary.json").read_text())
    options = ["--pooled-dice", "2", "--pooled-size", "24", "24"]
    assert main([*command, "-o", str(tmp_path / "pooled"), *options]) == 0
    assert "not the Dice of images" in capsys.readouterr().out
    summary = json.loads((tmp_path / "pooled/summary.json").read_text())
    found = summary["batch_pooled_dice"]
    assert (found["n_batches"], found["n_cases"], found["size"]) == (2, 4, [24, 24])
    assert 0 < next(iter(found["classes"].values())) < summary["mean"]["1"]["Dice"] == 1
    assert main([*command, "-o", str(tmp_path / "no"), *options[2:]]) == 1
    assert "OPTION" in capsys.readouterr().err
