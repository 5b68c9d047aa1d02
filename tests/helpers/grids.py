"""Grids of settings, of which every test run takes a cross and the long tests take all."""

import itertools

import pytest


def crossed(*axes):
    """Return all combinations as parameters, long those that are off the first of two axes or more.

    So every value of each axis is tried each time, the others being the first of theirs.
    """
    return [
        pytest.param(*values, marks=pytest.mark.long if _off(values, axes) > 1 else ())
        for values in itertools.product(*map(list, axes))
    ]


def _off(values, axes):
    return sum(value != next(iter(axis)) for value, axis in zip(values, axes, strict=True))
