"""Statistics of large arrays slab by slab, so that no temporary is as large as the scan."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

_SLAB_CELLS = 1 << 22
_ENOUGH = 1_000_000


def slabs(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield parts of an array along its first axis, of some million voxels each; at least one."""
    rows = max(1, _SLAB_CELLS // max(1, array[:1].size))
    for start in range(0, max(1, len(array)), rows):
        yield array[start : start + rows]


def value_counts(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of an array in rising order, and how often each is there."""
    if array.dtype.kind in "ui" and array.dtype.itemsize <= 2:
        low = int(np.iinfo(array.dtype).min)
        counts = np.zeros(1 << 8 * array.dtype.itemsize, np.int64)
        for slab in slabs(array):
            counts += np.bincount(slab.ravel().astype(np.int64) - low, minlength=len(counts))
        (there,) = counts.nonzero()
        return (there + low).astype(array.dtype), counts[there]
    found = [np.unique(slab, return_counts=True) for slab in slabs(array)]
    values, place = np.unique(np.concatenate([v for v, _ in found]), return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, place, np.concatenate([n for _, n in found]))
    return values, counts


def class_counts(array: np.ndarray, classes: int) -> np.ndarray:
    """Return how often each of the numbers `0 ... classes - 1` is in an array of them, `(n,)`."""
    counts = np.zeros(classes, np.int64)
    for slab in slabs(array):
        counts += np.bincount(slab.ravel().astype(np.int64), minlength=classes)
    return counts


def mean_and_deviation(array: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of all voxels, in double precision; of none, NaN."""
    if not array.size:
        return math.nan, math.nan
    mean = sum(float(slab.sum(dtype=np.float64)) for slab in slabs(array)) / array.size
    squares = sum(float(np.square(slab - mean, dtype=np.float64).sum()) for slab in slabs(array))
    return mean, float(np.sqrt(squares / array.size))


def some_of(array: np.ndarray) -> np.ndarray:
    """Return all values of an array, `(n,)`; of a large one a million, the same every time."""
    some = array.ravel()
    if some.size > _ENOUGH:
        # Drawn at random: every nth value could always lie in one slice.
        some = some[np.random.default_rng(0).integers(some.size, size=_ENOUGH)]
    return some


def block_means(array: np.ndarray, blocks: int) -> np.ndarray:
    """Return means over equal blocks along every axis, whose borders may lie inside of voxels.

    Of no voxels they are NaN.
    """
    out = array
    for axis in range(array.ndim):
        out = np.moveaxis(_along_first(np.moveaxis(out, axis, 0), blocks), 0, axis)
    return out


def _along_first(array: np.ndarray, blocks: int) -> np.ndarray:
    size = len(array)
    borders = np.linspace(0, size, blocks + 1)
    out = np.zeros((blocks, *array.shape[1:]))
    for block, (low, high) in enumerate(pairwise(borders)):
        for cell in range(int(low), min(size, int(np.ceil(high)))):
            share = min(high, cell + 1) - max(low, cell)
            out[block] += share * array[cell]
    return out * (blocks / size if size else math.nan)


def extent_of(values: np.ndarray) -> tuple[float, float]:
    """Return the 0.5 and 99.5 percentile of an array, of a large one those of a million values.

    Of no values they are NaN.
    """
    if not values.size:
        return math.nan, math.nan
    low, high = np.percentile(some_of(values), (0.5, 99.5))
    return float(low), float(high)
