"""Objects and their pairs against an exhaustive table of overlaps and an optimal assignment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment
from skimage.measure import label
from skimage.segmentation import relabel_sequential

from sdunet.segmentation.metrics.instances import THRESHOLDS, find_objects

MASKS = arrays(bool, (7, 9), elements=st.booleans())


def table_of(prediction, reference):
    """Jaccard index of every predicted with every reference object."""
    rows = [prediction == n for n in range(1, prediction.max() + 1)]
    columns = [reference == n for n in range(1, reference.max() + 1)]
    return np.array(
        [[(r & c).sum() / (r | c).sum() for c in columns] for r in rows], np.float64
    ).reshape(len(rows), len(columns))


@settings(max_examples=200, deadline=None)
@given(MASKS, MASKS, st.sampled_from([0.05, 0.1, 0.5, 0.75]))
def test_pairs_are_as_many_as_an_optimal_assignment_finds(prediction, reference, threshold):
    got = find_objects(prediction, reference)
    ious = table_of(label(prediction, connectivity=2), label(reference, connectivity=2))
    np.testing.assert_allclose(got.ious.toarray(), ious)
    near = ious > threshold
    best = near[linear_sum_assignment(near, maximize=True)].sum()
    pairs = got.pairs(threshold)
    assert (pairs >= 0).sum() == best
    there = np.flatnonzero(pairs >= 0)
    assert len(set(pairs[there])) == len(there)
    assert near[pairs[there], there].all()


@settings(max_examples=100, deadline=None)
@given(MASKS, MASKS)
def test_average_precision_counts_pairs_false_alarms_and_missed(prediction, reference):
    got = find_objects(prediction, reference).average_precision()
    ious = table_of(label(prediction, connectivity=2), label(reference, connectivity=2))
    if not sum(ious.shape):
        assert got is None
        return
    scores = []
    for threshold in THRESHOLDS:
        near = ious > threshold
        paired = near[linear_sum_assignment(near, maximize=True)].sum()
        scores.append(paired / (sum(ious.shape) - paired))
    assert got == pytest.approx(np.mean(scores))


def test_thresholds_are_those_of_the_competition():
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_objects_that_touch_are_told_apart_where_the_reference_does():
    reference = np.ones((4, 6), bool)
    numbered = np.repeat([[7, 7, 7, 2, 2, 2]], 4, axis=0)
    merged = find_objects(reference, reference, numbered)
    assert sorted(merged.reference_sizes) == [12, 12]
    assert merged.average_precision((0.6,)) == 0  # one component over both
    assert find_objects(reference, reference).average_precision() == 1


def test_corners_connect():
    assert len(find_objects(np.eye(4, dtype=bool), np.eye(4, dtype=bool)).predicted_sizes) == 1


IDS = arrays(np.int64, (7, 9), elements=st.integers(0, 4))


@settings(max_examples=100, deadline=None)
@given(IDS, IDS, st.permutations([11, 2, 70_000, 5]))
def test_ids_of_both_sides_are_scored_by_all_pairs_however_they_are_numbered(one, other, order):
    got = find_objects(one, other, other, one)
    ious = table_of(*(relabel_sequential(ids)[0] for ids in (one, other)))
    for threshold in THRESHOLDS:
        # Above one half no object can be in two pairs, so that counting is enough.
        paired, total = (ious > threshold).sum(), sum(ious.shape)
        wanted = pytest.approx(paired / (total - paired)) if total else None
        assert got.average_precision((threshold,)) == wanted
    renamed = np.array([0, *order])[one]
    again = find_objects(renamed, other, other, renamed)
    assert again.average_precision() == got.average_precision()
    if one.any():
        assert find_objects(one, one, one, renamed).average_precision() == 1


def test_a_prediction_whose_objects_are_not_told_is_refused():
    with pytest.raises(ValueError, match="predicted must tell the object of each voxel"):
        find_objects(np.ones((2, 2)), np.ones((2, 2)), None, np.eye(2, dtype=int))
