"""Values brought back to a scan plane by plane are what they are when brought back at once."""

import itertools

import numpy as np
import pytest

from data_prep.core.scan import Scan
from data_prep.preprocessing.grid import from_grid, grid_of, turn_back
from data_prep.preprocessing.streaming import mean_planes, planes_back

OBLIQUE = np.array([[1.0, 0.1, 0, 3], [-0.1, 1, 0, 4], [0, 0, 2, 5], [0, 0, 0, 1]])
SKEW = np.array([[1.0, 0.3, 0, 3], [0, 1, 0, 4], [0, 0, 2, 5], [0, 0, 0, 1]])


def cut(values, sizes):
    borders = itertools.accumulate(sizes, initial=0)
    return [values[:, a:b] for a, b in itertools.pairwise([*borders, values.shape[1]])]


@pytest.mark.parametrize("spacing", [(1, 1, 2), (0.6, 0.7, 0.9), (2.5, 2.2, 3.1), (1.7, 0.5, 2)])
@pytest.mark.parametrize("affine", [np.diag([-1, 1, 2, 1.0]), OBLIQUE, SKEW], ids=str)
@pytest.mark.parametrize("slabs", [(1, 1, 1), (4, 9), (0, 12), ()])
def test_planes_are_those_of_the_whole(affine, spacing, slabs):
    scan = Scan(np.zeros((1, 31, 12, 10), np.int16), affine)
    grid = grid_of(scan, spacing)
    values = np.random.default_rng(0).normal(size=(3, *grid.size)).astype(np.float32)
    parts = list(planes_back(cut(values, slabs), grid))
    got = turn_back(np.concatenate(parts, 1), grid)
    np.testing.assert_allclose(got, from_grid(values, grid), rtol=0, atol=2e-5)
    if grid.resamples and affine is not SKEW:
        assert max(part.shape[1] for part in parts) <= 8


def test_pictures_pass_as_they_are():
    grid = grid_of(Scan(np.zeros((1, 9, 7), np.uint8), None), None)
    values = np.random.default_rng(0).normal(size=(2, 9, 7))
    assert np.array_equal(np.concatenate(list(planes_back(cut(values, (4,)), grid)), 1), values)


@pytest.mark.parametrize("cuts", [((3, 7), (1, 2, 9)), ((), (5,)), ((5,), (5,)), ((1,), (), (9,))])
def test_streams_of_any_slabs_have_the_mean_of_their_arrays(cuts):
    random = np.random.default_rng(0)
    arrays = [random.normal(size=(2, 10, 3)).astype(np.float32) for _ in cuts]
    weights = random.dirichlet(np.ones(len(cuts)))
    streams = [np.split(array, at, axis=1) for array, at in zip(arrays, cuts, strict=True)]
    mean = np.concatenate(list(mean_planes(streams, weights)), axis=1)
    np.testing.assert_allclose(mean, np.average(arrays, axis=0, weights=weights), atol=1e-6)


def test_a_stream_that_ends_early_gives_fewer_planes():
    streams = [[np.ones((1, 4, 2))], [np.ones((1, 3, 2))]]
    assert sum(slab.shape[1] for slab in mean_planes(streams, [0.5, 0.5])) == 3
