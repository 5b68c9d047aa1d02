"""Values on a plan's grid brought back to their scan plane by plane, as they become known."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from nibabel.affines import from_matvec

from data_prep.preprocessing.grid import Grid, to_turned
from data_prep.preprocessing.resample import resample

PLANES = 8
_STRAIGHT = 1e-6


def planes_back(slabs: Iterable[np.ndarray], grid: Grid) -> Iterator[np.ndarray]:
    """Yield the values on the axes of the scan, turned to RAS+, slab by slab along the first.

    Joined along axis 1 they are what `resample` makes of all slabs joined, in much less memory.

    Args:
        slabs: `(C, n, ...)` values on the plan's grid, joined along axis 1 all of them.
        grid: of the scan.
    """
    if grid.flat is not None:  # a slice is small
        yield to_turned(np.concatenate(list(slabs), axis=1), grid)
        return
    if not grid.resamples:
        yield from slabs
        return
    if needs_all(grid):
        yield to_turned(np.concatenate(list(slabs), axis=1), grid)
        return
    there, (turned, resampled) = _place(grid), grid.affines
    slabs = iter(slabs)
    waiting, first = next(slabs), 0  # planes of the plan from number `first` on
    last, planes = grid.size[0] - 1, grid.turned_size[0]
    for start in range(0, planes, PLANES):
        count = min(PLANES, planes - start)
        places = there[0, 0] * np.array([start, start + count - 1]) + there[0, 3]
        low, high = np.clip([np.floor(places[0]), np.floor(places[1]) + 1], 0, last).astype(int)
        while first + waiting.shape[1] <= high:
            dropped = min(waiting.shape[1], max(0, low - first))
            waiting, first = np.concatenate([waiting[:, dropped:], next(slabs)], 1), first + dropped
        yield resample(
            waiting[:, low - first : high + 1 - first],
            resampled @ _along_first(low),
            turned @ _along_first(start),
            (count, *grid.turned_size[1:]),
        )
    for _ in slabs:  # beyond the last plane of the scan: what is wrong in them is raised, too
        pass


def mean_planes(
    streams: Sequence[Iterable[np.ndarray]], weights: Sequence[float]
) -> Iterator[np.ndarray]:
    """Yield the weighted mean of several arrays, each given slab by slab along axis 1.

    Slabs of different streams may be of different thickness; a single stream is passed on as it
    is. What is left of the others when one ends is not given.

    Args:
        streams: `(C, n, ...)` slabs, which are as many planes in all.
        weights: of each, which are 1 in sum.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    left = [iter(stream) for stream in streams]
    slabs: list[np.ndarray | None] = [next(stream, None) for stream in left]
    while all(slab is not None for slab in slabs):
        there = [slab for slab in slabs if slab is not None]
        count = min(slab.shape[1] for slab in there)
        parts = zip(weights, there, strict=True)
        yield np.sum([weight * slab[:, :count] for weight, slab in parts], axis=0)
        rests = [slab[:, count:] for slab in there]
        slabs = [
            rest if rest.shape[1] else next(stream, None)
            for rest, stream in zip(rests, left, strict=True)
        ]


def needs_all(grid: Grid) -> bool:
    """Tell whether each plane of the scan is made of all of the plan's.

    So it is where their axes are not the same, but for their spacing; 2D images are small.
    """
    if grid.affine is None:
        return True
    there = _place(grid)[:3, :3]
    return bool(np.abs(there - np.diag(there.diagonal())).max() > _STRAIGHT)


def _place(grid: Grid) -> np.ndarray:
    """Return what takes a voxel of the scan, turned, to its place among the voxels of the plan."""
    turned, resampled = grid.affines
    return np.linalg.inv(resampled) @ turned


def _along_first(planes: int) -> np.ndarray:
    return from_matvec(np.eye(3), (planes, 0, 0))
