"""All scores of a case under the policy for empty masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sdunet.segmentation.metrics.case_scores import METRICS, ScoreOptions, score_case

LABELS = arrays(np.uint8, (4, 5, 3), elements=st.integers(0, 2))
SPACING = (1.0, 0.5, 3.0)
DIAGONAL = float(np.linalg.norm(np.multiply((4, 5, 3), SPACING)))


def values(prediction, reference):
    return [s.values for s in score_case(prediction, reference, SPACING, 3)]


def worse_or_equal(name, changed, before):
    return changed <= before if METRICS[name].best else changed >= before


@settings(max_examples=150, deadline=None)
@given(LABELS, LABELS)
def test_deleting_or_emptying_a_prediction_never_raises_a_score(prediction, reference):
    emptied = values(np.zeros_like(reference), reference)
    gone = values(None, reference)
    given_scores = values(prediction, reference)
    for c, (before, empty, deleted) in enumerate(zip(given_scores, emptied, gone, strict=True), 1):
        there = reference == c
        for name in METRICS:
            assert worse_or_equal(name, deleted[name], 0 if METRICS[name].best else DIAGONAL)
            if before[name] is not None and empty[name] is not None:
                assert worse_or_equal(name, empty[name], before[name]), name
            # Without a score is only what is rightly empty.
            assert (empty[name] is None) == (not there.any())


@settings(max_examples=100, deadline=None)
@given(LABELS)
def test_a_prediction_like_its_reference_has_the_best_scores(reference):
    for scores in values(reference, reference):
        for name, value in scores.items():
            assert value is None or value == METRICS[name].best, name


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(LABELS, LABELS)
def test_scores_keep_their_range_and_most_are_symmetric(prediction, reference):
    there, back = values(prediction, reference), values(reference, prediction)
    for one, other in zip(there, back, strict=True):
        for name in METRICS:
            if one[name] is not None:
                assert 0 <= one[name] <= (1 if METRICS[name].best else DIAGONAL)
        swapped = {"precision": "recall", "object_precision": "object_sensitivity"}
        swapped |= {b: a for a, b in swapped.items()}
        for name in METRICS:
            assert one[name] == pytest.approx(other[swapped.get(name, name)], abs=1e-12), name


@settings(max_examples=60, deadline=None)
@given(LABELS, LABELS, st.integers(0, 2))
def test_scores_do_not_depend_on_how_the_image_lies(prediction, reference, axis):
    flipped = values(np.flip(prediction, axis), np.flip(reference, axis))
    for one, other in zip(values(prediction, reference), flipped, strict=True):
        for name in METRICS:
            assert one[name] == pytest.approx(other[name], abs=1e-12), name


EMPTY, FULL = np.zeros((4, 5, 3), np.uint8), np.ones((4, 5, 3), np.uint8)


@pytest.mark.parametrize(
    ("prediction", "reference", "share", "distance", "outcome"),
    [
        (EMPTY, EMPTY, None, None, "true negative"),
        (FULL, EMPTY, 0, DIAGONAL, "false alarm"),
        (EMPTY, FULL, 0, DIAGONAL, "missed"),
        (None, FULL, 0, DIAGONAL, "missing"),
        (None, EMPTY, 0, DIAGONAL, "missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_score_follows_the_policy(prediction, reference, share, distance, outcome):
    scores = score_case(prediction, reference, SPACING, 3)[0]
    assert scores.overlap.outcome == outcome
    for name, metric in METRICS.items():
        assert scores.values[name] == (share if metric.best else distance), name


def test_a_class_is_measured_in_its_box_as_in_the_whole_image():
    random = np.random.default_rng(0)
    reference, prediction = np.zeros((2, 30, 40, 20), np.uint8)
    reference[5:9, 20:30, 3:9] = random.random((4, 10, 6)) < 0.7
    prediction[6:11, 18:29, 4:9] = random.random((5, 11, 5)) < 0.7
    cut = np.s_[4:12, 17:31, 2:10]
    for whole, inside in zip(
        values(prediction, reference), values(prediction[cut], reference[cut]), strict=True
    ):
        for name in METRICS:
            assert whole[name] == pytest.approx(inside[name]), name


def test_a_volume_of_one_slice_is_measured_as_the_picture_it_is():
    reference, prediction = np.zeros((2, 20, 20), np.uint8)
    reference[2:12, 2:12] = 1
    prediction[6:16, 2:12] = 1
    flat = score_case(prediction, reference, (1.0, 2.0), 2)[0].values
    for axis in range(3):
        spacing = np.insert([1.0, 2.0], axis, 7.0)
        labels = (np.expand_dims(label, axis) for label in (prediction, reference))
        got = score_case(*labels, tuple(spacing), 2)[0].values
        assert got == pytest.approx(flat)


def test_options_decide_what_is_near_and_what_is_found():
    reference, prediction = np.zeros((2, 12, 12), np.uint8)
    reference[2:8, 2:8] = 1
    prediction[4:10, 2:8] = 1  # two voxels lower: Jaccard 24 / 48

    def scores(**options):
        return score_case(prediction, reference, (1.0, 1.0), 2, ScoreOptions(**options))[0].values

    assert scores(tolerance=2.0)["surface_dice"] == 1
    assert scores(tolerance=1.9)["surface_dice"] < 1
    assert scores(match=0.49)["object_sensitivity"] == 1
    assert scores(match=0.5)["object_sensitivity"] == 0


@pytest.mark.parametrize(
    "option", [{"tolerance": np.nan}, {"tolerance": -1}, {"match": 1.0}, {"match": -0.1}]
)
def test_options_out_of_their_range_are_refused(option):
    with pytest.raises(ValueError, match="must be"):
        ScoreOptions(**option)
