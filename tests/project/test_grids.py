"""Grids of settings: what every run takes of them, and that the long one takes all."""

import itertools

from grids import crossed


def test_every_value_is_in_every_run_and_every_combination_in_the_long_one():
    axes = ("abc", [False, True], {"x": 1, "y": 2})
    grid = crossed(*axes)
    assert [p.values for p in grid] == [*itertools.product(*axes)]
    soon = [p.values for p in grid if not p.marks]
    assert {(axis, values[axis]) for values in soon for axis in range(3)} == {
        (axis, value) for axis in range(3) for value in axes[axis]
    }
    assert len(soon) == 1 + 2 + 1 + 1
    assert all(mark.name == "long" for p in grid for mark in p.marks)
