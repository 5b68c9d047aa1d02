"""Scores where part of the reference is ignored: those of the rest, whatever is predicted there."""

import numpy as np
import pytest
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_recall_fscore_support,
)

from sdunet.segmentation.metrics.case_scores import METRICS, score_case
from sdunet.segmentation.metrics.overlap import overlaps

SPACING = (1.0, 0.5, 3.0)
CLASSES = 3


@pytest.fixture(params=range(3))
def drawn(request):
    """A prediction, a reference, and what is ignored of both."""
    random = np.random.default_rng(request.param)
    prediction, reference = random.integers(0, CLASSES, (2, 6, 5, 4), np.uint8)
    return prediction, reference, random.random(reference.shape) < 0.3


def test_scores_of_overlap_are_those_of_the_rest(drawn):
    prediction, reference, ignored = drawn
    there, found = reference[~ignored], prediction[~ignored]
    labels = [1, 2]
    jaccard = jaccard_score(there, found, labels=labels, average=None)
    dice = f1_score(there, found, labels=labels, average=None)
    precision, recall, *_ = precision_recall_fscore_support(there, found, labels=labels)
    table = confusion_matrix(there, found)
    for c, scores in enumerate(score_case(*drawn[:2], SPACING, CLASSES, ignored=ignored)):
        wanted = {"dice": dice[c], "jaccard": jaccard[c]}
        wanted |= {"precision": precision[c], "recall": recall[c]}
        for name, value in wanted.items():
            assert scores.values[name] == pytest.approx(value, abs=1e-12), name
        o = scores.overlap
        assert o.tp == table[c + 1, c + 1]
        assert o.tp + o.fp + o.fn + o.tn == len(there)


def test_what_is_predicted_where_it_is_ignored_changes_no_score(drawn):
    prediction, reference, ignored = drawn
    other = np.where(ignored, 255 - prediction, prediction)  # numbers of no class, too
    void = np.where(ignored, CLASSES, reference)
    one = score_case(prediction, reference, SPACING, CLASSES, ignored=ignored)
    same = score_case(other, void, SPACING, CLASSES, ignored=ignored)
    assert [s.values for s in one] == [s.values for s in same]
    assert [s.overlap for s in one] == [s.overlap for s in same]


def test_surfaces_and_components_are_those_with_background_in_both(drawn):
    prediction, reference, ignored = drawn
    emptied = [np.where(ignored, 0, label).astype(np.uint8) for label in (prediction, reference)]
    one = score_case(prediction, reference, SPACING, CLASSES, ignored=ignored)
    same = score_case(*emptied, SPACING, CLASSES)
    for found, wanted in zip(one, same, strict=True):
        assert {n: found.values[n] for n in METRICS} == wanted.values


def test_a_missing_prediction_misses_what_is_not_ignored(drawn):
    _, reference, ignored = drawn
    for c, scores in enumerate(score_case(None, reference, SPACING, CLASSES, ignored=ignored), 1):
        assert scores.overlap.missing
        assert scores.overlap.fn == ((reference == c) & ~ignored).sum()
        assert scores.overlap.tn == ((reference != c) & ~ignored).sum()


def test_a_mask_of_what_is_ignored_must_be_one(drawn):
    prediction, reference, ignored = drawn
    for wrong in (ignored.astype(np.uint8), ignored[:3]):
        with pytest.raises(ValueError, match="ignored must be truth values of the shape"):
            overlaps(prediction, reference, CLASSES, wrong)
