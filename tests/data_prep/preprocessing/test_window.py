"""Intensity `window`: a range of numbers brought to 0 to 1."""

import numpy as np
import pytest

from data_prep.checks.window import beyond_window, require_within_window
from data_prep.core.config import DataConfig, Plan, Rules, Seen
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.planning.fingerprint import Fingerprint
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


RULES = Rules(("a",), {"background": 0, "b": 1}, {}, {})


def facts_of(low, high, foreground=()):
    inside = np.array([foreground], np.float32)
    return Fingerprint((8, 8), None, "", {}, [60, 4], [low], [(low, high)], inside, "", inside)


@pytest.mark.parametrize(
    ("window", "low", "high", "foreground", "lost"),
    [
        ((-2000, -1000), 0, 190, (10, 90), True),
        ((100, 1000), 0, 1, (0, 1), True),
        ((-1000, -900), -850, 1200, (), True),
        ((0, 255), 0, 0, (), False),  # nothing is clipped: few voxels are not 0
        ((100, 1000), 0, 1, (0, 500), False),  # a small lesion is all that shines
        ((-1000, 1000), -1024, 1500, (40,), False),
    ],
)
def test_a_window_that_leaves_nothing_is_refused_where_all_are_lost_and_else_told(
    window, low, high, foreground, lost
):
    config = DataConfig(intensity="window", window=window)
    case = facts_of(low, high, foreground)
    errors, findings = beyond_window({"x": case, "y": case}, config, RULES)
    assert [e.code for e in errors] == ["INT_WINDOW"] * lost
    assert not findings.found
    kept = facts_of(window[0], window[1], window)
    errors, findings = beyond_window({"x": case, "y": kept}, config, RULES)
    assert not errors
    assert [(f.level, f.code, f.case) for f in findings.found] == [
        ("warning", "INT_WINDOW", "x")
    ] * lost
    assert not beyond_window({"x": case}, DataConfig(), RULES)[0]


def test_a_scan_of_which_the_window_leaves_nothing_is_refused_unless_accepted():
    scan = Scan(np.linspace(1000, 1300, 64, dtype=np.float32).reshape(1, 8, 8))
    with pytest.raises(DataError, match=r"PRED_RANGE: channel a from 1000 to 1300, beyond"):
        require_within_window(scan, PLAN, Findings())
    require_within_window(scan, PLAN, findings := Findings(("PRED_RANGE",)))
    assert [f.level for f in findings.found] == ["note"]
    require_within_window(Scan(scan.array - 1), PLAN, findings := Findings())
    assert not findings.found
