"""Intensity `window`: a range of numbers brought to 0 to 1."""

import numpy as np
import pytest

from data_prep.core.config import Plan, Seen
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.preprocessing.intensity import normalise, scaling_of
from sdunet.segmentation.inference.domain_check import check_like_training

WINDOW = (-1000.0, 1000.0)
SEEN = Seen(5, (-990.0,), (950.0,), ((1500.0, 1900.0),), None)
PLAN = Plan(
    2, ("a",), {"background": 0, "b": 1}, {}, "window", None, (8, 8), seen=SEEN, window=WINDOW
)


def test_window_becomes_0_to_1_and_what_lies_beyond_is_clipped():
    values = np.array([-2000, -1000, 0, 500, 1000, 3000], np.int16).reshape(1, 1, -1)
    found = normalise(values, scaling_of(values, PLAN))
    np.testing.assert_allclose(found[0, 0], [0, 0, 0.5, 0.75, 1, 1], atol=1e-7)


def test_scan_of_another_unit_is_refused_and_one_of_its_own_is_not():
    values = np.random.default_rng(0).uniform(-950, 940, (1, 20, 20)).astype(np.float32)
    check_like_training(Scan(values), PLAN, findings := Findings())
    assert not findings.found
    for other in (values / 1000, values * 20 + 9e4):
        with pytest.raises(DataError, match=r"PRED_RANGE.*unit of training"):
            check_like_training(Scan(other), PLAN, Findings())
