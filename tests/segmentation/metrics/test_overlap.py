"""Overlap counts and scores against MONAI, plain counting and the empty-mask policy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_dice, compute_iou

from sdunet.segmentation.metrics.overlap import Overlap, missing, overlaps, summarise

MASKS = arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))


@settings(max_examples=200, deadline=None)
@given(MASKS, MASKS)
def test_counts_are_those_of_plain_counting(prediction, reference):
    for c, got in enumerate(overlaps(prediction, reference, 4), start=1):
        p, r = prediction == c, reference == c
        assert (got.tp, got.fp, got.fn, got.tn) == (
            (p & r).sum(),
            (p & ~r).sum(),
            (~p & r).sum(),
            (~p & ~r).sum(),
        )


def one_hot(mask):
    return torch.nn.functional.one_hot(torch.from_numpy(mask).long(), 4).movedim(-1, 0)[None]


@settings(max_examples=100, deadline=None)
@given(MASKS, MASKS)
def test_scores_are_monais_where_the_definitions_agree(prediction, reference):
    dice = compute_dice(one_hot(prediction), one_hot(reference), ignore_empty=False)[0, 1:]
    iou = compute_iou(one_hot(prediction), one_hot(reference), ignore_empty=False)[0, 1:]
    for c, got in enumerate(overlaps(prediction, reference, 4)):
        if got.outcome == "true negative":
            assert got.dice is None
            assert got.jaccard is None
        else:
            assert got.dice == pytest.approx(float(dice[c]))
            assert got.jaccard == pytest.approx(float(iou[c]))


@settings(max_examples=100, deadline=None)
@given(MASKS, MASKS)
def test_emptying_or_deleting_a_prediction_never_raises_a_score(prediction, reference):
    given_scores = [o.dice for o in overlaps(prediction, reference, 4)]
    emptied = overlaps(np.zeros_like(reference), reference, 4)
    for before, empty, gone in zip(given_scores, emptied, missing(reference, 4), strict=True):
        assert gone.dice == 0
        # Emptying a false alarm is right and leaves no score; nothing else may rise.
        assert empty.dice is None or empty.dice <= before


@pytest.mark.parametrize(
    ("overlap", "outcome", "dice"),
    [
        (Overlap(0, 0, 0, 9), "true negative", None),
        (Overlap(0, 2, 0, 7), "false alarm", 0),
        (Overlap(0, 0, 2, 7), "missed", 0),
        (Overlap(0, 2, 2, 5), "scored", 0),
        (Overlap(3, 0, 0, 6), "scored", 1),
        (Overlap(0, 0, 2, 7, missing=True), "missing", 0),
        (Overlap(0, 0, 0, 9, missing=True), "missing", 0),
    ],
)
def test_outcomes_follow_the_policy(overlap, outcome, dice):
    assert (overlap.outcome, overlap.dice) == (outcome, dice)


def test_means_carry_their_number_and_what_was_left_out():
    counted = [
        Overlap(2, 1, 1, 6),
        Overlap(0, 0, 0, 9),
        Overlap(0, 1, 0, 8),
        Overlap(0, 0, 1, 8),
        Overlap(0, 0, 1, 8, missing=True),
    ]
    summary = summarise(counted)
    assert summary.pop("Dice") == pytest.approx((2 / 3) / 4)
    assert summary.pop("IoU") == pytest.approx((1 / 2) / 4)
    assert summary == {
        "n": 4,
        "true_negatives": 1,
        "false_alarms": 1,
        "missed": 1,
        "missing": 1,
    }
    assert summarise([Overlap(0, 0, 0, 9)])["Dice"] is None


@pytest.mark.parametrize(
    ("prediction", "reference", "message"),
    [
        (
            np.zeros((2, 3)),
            np.zeros((3, 2)),
            r"must have the reference's shape \(3, 2\), got \(2, 3",
        ),
        (np.full((2, 2), 2), np.zeros((2, 2)), r"prediction must hold classes below 2, got 2"),
        (np.zeros((2, 2)), np.full((2, 2), 5), r"reference must hold classes below 2, got 5"),
        (np.full((2, 2), -1), np.zeros((2, 2)), r"prediction must hold classes below 2, got -1"),
    ],
)
def test_masks_that_do_not_fit_are_refused(prediction, reference, message):
    with pytest.raises(ValueError, match=message):
        overlaps(prediction.astype(np.int16), reference.astype(np.uint8), 2)
