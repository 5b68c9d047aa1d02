"""Curves that never touch, a dot on the end of one: marking that curve needs all of its course.

Every image holds thin random curves that turn and bend back but keep apart from each other and
from themselves. Nothing but the way along it from the dot tells the marked curve from the others.

Letters of sizes: N images, K ways to steer, T steps ahead, D axes; cells of a curve are `(n, D)`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

NOISE = 0.1
GAP = 3  # empty cells between two curves, or two courses of one, at the least
OWN = 8  # cells along its course within which a curve may come nearer to itself
# By the number of axes; volumes have more room, so that longer curves entangle none the less.
CURVES = {2: 4, 3: 6}
SHORTEST, LONGEST = 0.25, {2: 1.5, 3: 3.0}  # cells of a curve, in sides of the image

_RADIUS = 5.0  # of the tightest turn
_MEMORY = 0.95  # of the curvature from step to step
_JITTER = np.linspace(0.03, 0.15, 12)  # added to the curvature, by the way to steer
_AHEAD = 16  # steps
_MISSES = 10  # curves that do not fit before an image starts anew


@dataclass(frozen=True)
class Curves:
    """Images of curves and what is to be marked.

    Attributes:
        images: curves and dot 1, the rest 0, with noise; `(N, *size)`, float32.
        masks: the curve with the dot, and its dot; `(N, *size)`, bool.
        lengths: cells of that curve; `(N,)`.
        dots: the end that has the dot; `(N, D)`.
    """

    images: np.ndarray
    masks: np.ndarray
    lengths: np.ndarray
    dots: np.ndarray


def make_curves(count: int, size: tuple[int, ...], seed: int = 0) -> Curves:
    """Return images in 2D or 3D; the same for the same arguments."""
    curves = CURVES[len(size)]
    random = np.random.default_rng(seed)
    images = np.zeros((count, *size), np.float32)
    masks = np.zeros((count, *size), bool)
    marked = []
    for image, mask, found in zip(
        images, masks, grow_curves(count, size, curves, random), strict=True
    ):
        marked.append(found[random.integers(curves)])
        mask[tuple(marked[-1].T)] = True
        mask[tuple(slice(i - 1, i + 2) for i in marked[-1][0])] = True
        image[tuple(np.concatenate(found).T)] = 1
        image[mask] = 1
    images += random.normal(0, NOISE, images.shape).astype(np.float32)
    lengths, dots = [len(curve) for curve in marked], [curve[0] for curve in marked]
    return Curves(images, masks, np.array(lengths), np.array(dots))


def grow_curves(
    count: int, size: tuple[int, ...], curves: int, random: np.random.Generator
) -> list[list[np.ndarray]]:
    """Return the cells of the curves of each image, one after the other along the curve.

    Where a curve begins it has room for a dot.
    """
    shortest, longest = (share * max(size) for share in (SHORTEST, LONGEST[len(size)]))
    blocked = np.stack([_border(size)] * count)
    found: list[list[np.ndarray]] = [[] for _ in range(count)]
    misses = np.zeros(count, int)
    while wanting := [n for n in range(count) if len(found[n]) < curves]:
        after = blocked[wanting]
        starts = _starts(after, [found[n] for n in wanting], random)
        goals = random.uniform(shortest, longest, len(wanting)).astype(int)
        grown = _grow(after, starts, goals, random)
        for n, curve, full in zip(wanting, grown, after, strict=True):
            if len(curve) >= shortest:
                found[n].append(curve)
                blocked[n] = full
            else:
                misses[n] += 1
            if misses[n] == _MISSES:
                found[n], misses[n], blocked[n] = [], 0, _border(size)
    return found


def _border(size: tuple[int, ...]) -> np.ndarray:
    blocked = np.ones(size, bool)
    blocked[(slice(1, -1),) * len(size)] = False
    return blocked


def _starts(
    blocked: np.ndarray, found: list[list[np.ndarray]], random: np.random.Generator
) -> np.ndarray:
    """Return a cell with room for a dot in each image, `(N, D)`.

    It is anywhere for a first curve and beside a curve for the others, so that they entangle.
    Without room it is the first cell, in a corner, from which nothing grows.
    """
    room = ~ndimage.maximum_filter(blocked, (1, *[3] * (blocked.ndim - 1)))
    starts = np.zeros((len(blocked), blocked.ndim - 1), int)
    for start, cells, curves in zip(starts, map(np.argwhere, room), found, strict=True):
        if not len(cells):
            continue
        start[:] = random.choice(cells)
        if curves:
            beside = random.choice(curves[random.integers(len(curves))])
            start[:] = cells[np.abs(cells - beside).sum(1).argmin()]
    return starts


def _grow(
    blocked: np.ndarray, starts: np.ndarray, goals: np.ndarray, random: np.random.Generator
) -> list[np.ndarray]:
    """Grow one more curve in every image, and block what is near it.

    Args:
        blocked: cells where no curve may go, border included, `(N, *size)`; written to.
        starts: first cell of each curve, `(N, D)`.
        goals: cells of each curve, `(N,)`; there are fewer where it gets stuck.
        random: source of all that is random.
    """
    count, size = len(blocked), blocked.shape[1:]
    flat = blocked.reshape(count, -1)
    at = starts.astype(float)
    heading = _unit(random.normal(size=at.shape))
    curvature = np.zeros_like(at)
    trails = np.zeros((count, goals.max() + 1, len(size)), int)
    trails[:, 0] = starts
    lengths = np.ones(count, int)
    going = np.arange(count)
    while len(going):
        chosen, ahead, turned, free = _steer(
            at[going], heading[going], curvature[going], flat[going], size, random
        )
        going, chosen, ahead, turned = (x[free] for x in (going, chosen, ahead, turned))
        curvature[going], at[going], heading[going] = chosen, ahead, turned
        _append(trails, lengths, going, np.rint(ahead).astype(int))
        old = going[lengths[going] > OWN]
        _block(flat, old, trails[old, lengths[old] - 1 - OWN], size)
        begun = old[lengths[old] == OWN + 1]
        _block(flat, begun, trails[begun, 0], size, GAP + 1)  # room for a dot
        going = going[lengths[going] < goals[going]]
    everyone = np.arange(count)
    _block(flat, everyone, starts, size, GAP + 1)
    for back in range(1, OWN + 1):
        _block(flat, everyone, trails[everyone, np.maximum(lengths - back, 0)], size)
    return [trail[:length] for trail, length in zip(trails, lengths, strict=True)]


def _steer(
    at: np.ndarray,
    heading: np.ndarray,
    curvature: np.ndarray,
    flat: np.ndarray,
    size: tuple[int, ...],
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Choose the least change of curvature with which a curve stays free for longest.

    Returns:
        Curvature, place and heading after one step, `(N, D)`, and whether that step is free.
    """
    jitter = random.normal(size=(len(at), len(_JITTER), at.shape[1])) * _JITTER[:, None]
    ways = _MEMORY * curvature[:, None] + jitter  # (N, K, D)
    place, direction = (np.broadcast_to(x[:, None], ways.shape) for x in (at, heading))
    steps, free = [], np.ones(ways.shape[:2], bool)
    reach = np.zeros(ways.shape[:2], int)
    for _ in range(_AHEAD):
        ways = _across(ways, direction)
        direction = _unit(direction + ways)
        place = place + direction
        steps.append((ways, place, direction))
        cells = np.moveaxis(np.rint(place).astype(int), -1, 0)
        here = np.ravel_multi_index(tuple(cells), size, mode="clip")
        free = free & ~np.take_along_axis(flat, here, 1)
        reach += free
    best = reach.argmax(1)
    rows = np.arange(len(at))
    return (*(x[rows, best] for x in steps[0]), reach[rows, best] > 0)


def _across(curvature: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Return the part of the curvature that turns, no more than the tightest turn has."""
    across = curvature - (curvature * heading).sum(-1, keepdims=True) * heading
    much = np.linalg.norm(across, axis=-1, keepdims=True) * _RADIUS
    return across / np.maximum(much, 1)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _append(trails: np.ndarray, lengths: np.ndarray, rows: np.ndarray, cells: np.ndarray) -> None:
    """Lengthen curves by a cell; a corner that the new cell makes needless is left out."""
    before = trails[rows, np.maximum(lengths[rows] - 2, 0)]
    corner = (lengths[rows] > 1) & (np.abs(cells - before).max(-1) <= 1)
    lengths[rows] -= corner
    moved = (cells != trails[rows, lengths[rows] - 1]).any(-1)
    lengths[rows] += moved
    trails[rows, lengths[rows] - 1] = cells


def _block(
    flat: np.ndarray, rows: np.ndarray, cells: np.ndarray, size: tuple[int, ...], gap: int = GAP
) -> None:
    """Block all within the gap of a cell in each of some images."""
    around = np.stack(np.meshgrid(*[np.arange(-gap, gap + 1)] * len(size)), -1)
    near = cells[:, None] + around.reshape(-1, len(size))
    cells = np.ravel_multi_index(tuple(np.moveaxis(near, -1, 0)), size, mode="clip")
    flat[rows[:, None], cells] = True
