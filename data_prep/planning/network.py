"""Fit a U-Net to patches: which axes each level halves, how wide its windows are, its widths."""

import math
from collections.abc import Sequence

from data_prep.core.config import NetworkPlan

_WIDTHS = (16, 32, 64, 128, 256, 256)  # channels of each level, full resolution first
_LEAST = 4  # cells that halving leaves of an axis
NEAR = 2.0  # times the finest spacing: from here on an axis is not halved, its windows are 1
_BATCH = (2, 4)  # patches of a step: at least, at most


def fit_network(
    patch: Sequence[int], spacing: Sequence[float] | None, patches: float, why: dict[str, str]
) -> NetworkPlan:
    """Choose strides, kernel sizes, widths and batch of a U-Net for patches of a size.

    An axis is halved while at least four cells are left of it, and its spacing is less than twice
    the finest of the axes that can be halved. The windows of convolutions are 1 along an axis
    until the others have come near its spacing, and 3 from then on.

    Args:
        patch: voxels along each axis.
        spacing: millimetres between voxels along each axis; `None` for 2D images.
        patches: that memory holds at once in training.
        why: takes the reason, under `network`.

    Reference:
        Isensee et al., nnU-Net, Nature Methods 2021, whose rule of strides this is.
    """
    cells, mm = list(patch), list(spacing or (1.0,) * len(patch))
    windows = [_windows(mm, (1,) * len(patch))]
    strides: list[tuple[int, ...]] = []
    while len(strides) < len(_WIDTHS) - 1 and (step := _step(cells, mm)):
        cells = [-(-n // by) for n, by in zip(cells, step, strict=True)]
        mm = [distance * by for distance, by in zip(mm, step, strict=True)]
        strides.append(step)
        windows.append(_windows(mm, windows[-1]))
    if not strides:  # a U-Net has two levels at least
        strides.append(tuple(min(n, 2) for n in patch))
        windows.append(windows[-1])
    least, most = _BATCH
    batch = min(max(math.floor(patches), least), most)
    times = [math.prod(by) for by in zip(*strides, strict=True)]
    why["network"] = (
        f"{len(windows)} levels: axes are halved while {_LEAST} voxels are left and their spacing "
        f"is less than twice the finest, in all by {', '.join(map(str, times))}"
    )
    if thick := [str(axis) for axis, n in enumerate(windows[0]) if n == 1]:
        why["network"] += (
            f"; slices are thick along axis {', '.join(thick)}: convolutions start with windows "
            "of one voxel there; sweeps run along it from the start, as they go voxel by voxel "
            "and blur nothing"
        )
    return NetworkPlan(_WIDTHS[: len(windows)], tuple(strides), tuple(windows), batch)


def _step(cells: Sequence[int], mm: Sequence[float]) -> tuple[int, ...] | None:
    """Return by how much each axis shrinks; `None` if none can."""
    can = [axis for axis, n in enumerate(cells) if n >= 2 * _LEAST]
    if not can:
        return None
    finest = min(mm[axis] for axis in can)
    return tuple(2 if axis in can and mm[axis] < NEAR * finest else 1 for axis in range(len(cells)))


def _windows(mm: Sequence[float], before: Sequence[int]) -> tuple[int, ...]:
    near = [distance < NEAR * min(mm) for distance in mm]
    return tuple(3 if n == 3 or close else 1 for n, close in zip(before, near, strict=True))
