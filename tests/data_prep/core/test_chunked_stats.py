"""Statistics slab by slab are those of NumPy over all at once, also where there is nothing."""

import numpy as np
import pytest

from data_prep.core import chunked_stats
from data_prep.core.chunked_stats import (
    block_means,
    class_counts,
    extent_of,
    mean_and_deviation,
    slabs,
    some_of,
    value_counts,
)

DTYPES = [*"?bBhHiIlLefd"]
EMPTY = [(0,), (0, 4), (3, 0, 2)]


@pytest.mark.parametrize("shape", EMPTY, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_empty_array_has_no_values_and_none_of_its_statistics(dtype, shape):
    array = np.zeros(shape, dtype)
    values, counts = value_counts(array)
    assert (values.shape, values.dtype, counts.shape) == ((0,), array.dtype, (0,))
    assert class_counts(array, 3).tolist() == [0, 0, 0]
    assert some_of(array).shape == (0,)
    assert np.isnan([*mean_and_deviation(array), *extent_of(array)]).all()
    assert np.isnan(block_means(array, 2)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_are_counted_as_numpy_counts_them(dtype, monkeypatch):
    monkeypatch.setattr(chunked_stats, "_SLAB_CELLS", 7)
    array = np.random.default_rng(0).integers(0, 5, (6, 5, 4)).astype(dtype)
    assert sum(len(slab) for slab in slabs(array)) == len(array)
    for found, due in zip(value_counts(array), np.unique(array, return_counts=True), strict=True):
        np.testing.assert_array_equal(found, due)
    whole = array.astype(np.int64)
    np.testing.assert_array_equal(class_counts(array, 5), np.bincount(whole.ravel(), minlength=5))
