"""The table of objects that are told apart, beside connected components."""

import numpy as np
import pytest

from sdunet.segmentation.evaluation.instance_scores import (
    instance_rows,
    instance_summary,
    instance_table,
)
from sdunet.segmentation.metrics.case_scores import score_case

REFERENCE = np.zeros((12, 12), int)
REFERENCE[1:5, 1:5], REFERENCE[1:5, 5:9], REFERENCE[8:11, 1:4] = 1, 2, 3
SHIFTED = np.roll(REFERENCE, 1, 0)  # a Jaccard index of 12 / 20, and of 6 / 12


def rows_of(case, predicted, reference=REFERENCE):
    masks = [None if ids is None else (ids != 0).astype(int) for ids in (predicted, reference)]
    scores = score_case(*masks, (1, 1), 2, numbered=reference, predicted=predicted)
    return list(instance_rows(case, scores[0]))


def test_rows_hold_both_ways_and_the_summary_their_means():
    rows = [*rows_of("a", REFERENCE), *rows_of("b", SHIFTED), *rows_of("c", None)]
    rows += rows_of("empty", 0 * REFERENCE, 0 * REFERENCE)
    told, merged = rows[2:4]
    assert (told["n_pred"], merged["n_pred"], told["n_ref"]) == (3, 2, 3)
    assert told["AP50"] == 2 / 4  # the third has exactly 0.5, which is not above
    assert told["AP60"] == told["AP90"] == 0
    assert rows[1]["AP90"] == 1 / 4  # two that touch are one, which is neither
    assert merged["AP50"] == 0
    assert told["AP"] == pytest.approx(2 * (2 / 4) / 9)
    assert rows[4]["AP"] == rows[5]["AP90"] == 0
    assert rows[6]["AP"] is None
    found = instance_summary(rows)
    assert found["objects"]["n_cases"] == 3
    assert found["objects"]["AP50"] == pytest.approx((1 + 2 / 4 + 0) / 3)
    assert found["objects"]["AP90"] == pytest.approx(1 / 3)
    lines = instance_table(found)
    assert lines[1].split() == ["objects", "0.5000", "0.3333", "0.3333", "0.3704", "3"]
    assert "-" in instance_table(instance_summary([]))[1]
