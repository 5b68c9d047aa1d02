"""Intervals, tests and corrections against known values and their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sdunet.segmentation.metrics.statistics import holm, interval, signed_rank


def test_holm_corrects_a_known_example():
    # Worked by hand: 0.01 * 4, 0.02 * 3, 0.03 * 2 after 0.06, 0.04 * 1 after 0.06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(values):
    corrected = np.array(holm(values))
    assert (corrected >= values).all()
    assert (corrected <= np.minimum(1, np.array(values) * len(values)) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(values, kind="stable")]) >= 0).all()


def test_interval_covers_the_mean_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        low, high = interval(random.normal(5, 2, 60))
        inside += low <= 5 <= high
    assert 0.89 <= inside / 200 <= 0.99  # 0.95, with the noise of 200 trials


def test_interval_of_many_cases_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).uniform(0, 1, 4000)
    half = stats.norm.ppf(0.975) * values.std() / len(values) ** 0.5
    assert interval(values) == pytest.approx([values.mean() - half, values.mean() + half], abs=5e-4)


def test_interval_of_equal_cases_is_a_point():
    assert interval([0.25] * 7) == [0.25, 0.25]


def test_interval_repeats_and_needs_two_cases():
    assert interval([0.2, 0.9, 0.4]) == interval([0.2, 0.9, 0.4])
    assert interval([1.0]) is None


def test_signed_rank_sees_a_shift_and_no_more():
    random = np.random.default_rng(0)
    assert signed_rank(random.normal(0.5, 1, 60)) < 0.01
    assert signed_rank([0.0] * 9) == 1
    assert signed_rank([1, -1, 2, -2, 3, -3]) == 1
    alike = [signed_rank(random.normal(0, 1, 20)) for _ in range(300)]
    assert 0.02 <= np.mean(np.array(alike) < 0.05) <= 0.09
