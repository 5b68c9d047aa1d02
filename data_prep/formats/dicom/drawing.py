"""Closed contours of one slice, filled.

A voxel is in a structure if its centre lies in an odd number of the contours, so that a contour
in another is a hole, or on an edge of any of them. Programs that trace the outermost voxels put
edges through their centres, around structures and around holes in them: those voxels are drawn,
whatever the last digits of their places are.
"""

from dataclasses import dataclass

import numpy as np
from skimage.draw import polygon2mask

from data_prep.core.findings import Findings

EDGE = 0.02  # voxels: a centre that near to an edge is on it; files round by a hundredth of a mm
_NEARLY = 0.9  # of the voxels of two contours in common: one drawn twice, or a thin wall
_MEANT = "look whether the structure is meant"


@dataclass(frozen=True)
class Contour:
    """One contour: its points in voxels `(n, 2)`, and whether it says that it may cross others."""

    points: np.ndarray
    xor: bool = False


def fill(
    contours: list[Contour], size: tuple[int, int], where: str, findings: Findings
) -> np.ndarray:
    """Return whether each voxel of a slice is in its contours, `size`.

    Contours that overlap, and are not one in the other, are taken together; one that is there
    twice is one.

    Args:
        contours: all of a structure in one slice.
        size: of the slice.
        where: the structure and the slice, in words.
        findings: take copies, contours that overlap, and areas unlike those of the voxels.

    Raises:
        DataError: DCM_CROSSING for a contour that crosses itself and for two that are nearly the
            same, unless accepted.
    """
    contours = [_once_around(one, where, findings) for one in contours]
    edges = [_on_edges(one.points, size) for one in contours]
    edge = np.logical_or.reduce(edges)
    inside = [polygon2mask(size, one.points) for one in contours]
    for one, plane, own in zip(contours, inside, edges, strict=True):
        _check_area(one, int((plane | own).sum()), where, findings)
    planes = [(plane & ~edge, one.xor) for plane, one in zip(inside, contours, strict=True)]
    return np.logical_xor.reduce(_regions(planes, where, findings)) | edge


def _once_around(one: Contour, where: str, findings: Findings) -> Contour:
    """Return a contour that goes round twice as one that does so once."""
    half, odd = divmod(len(one.points), 2)
    if odd or half < 3 or np.abs(one.points[:half] - one.points[half:]).max() > EDGE:
        return one
    findings.note("DCM_COPY", f"{where}: a contour that goes round twice counts once")
    return _once_around(Contour(one.points[:half], one.xor), where, findings)


def _on_edges(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return whether the centre of each voxel lies on an edge of a contour."""
    mask = np.zeros(size, bool)
    steps = np.roll(points, -1, axis=0) - points
    for along, across in ((0, 1), (1, 0)):
        longer = np.abs(steps[:, along]) >= np.abs(steps[:, across])
        start, step = points[longer], steps[longer]
        ends = start[:, along] + np.stack([0 * step[:, along], step[:, along]])
        first = np.ceil(ends.min(0) - EDGE).astype(int)
        count = np.maximum(np.floor(ends.max(0) + EDGE).astype(int) - first + 1, 0)
        which = np.repeat(np.arange(len(start)), count)
        line = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        length = step[which, along]
        share = (line - start[which, along]) / np.where(length == 0, 1, length)
        place = start[which, across] + np.clip(share, 0, 1) * step[which, across]
        other = np.rint(place).astype(int)
        on = np.abs(place - other) <= EDGE
        cells = np.empty((int(on.sum()), 2), int)
        cells[:, along], cells[:, across] = line[on], other[on]
        cells = cells[((cells >= 0) & (cells < size)).all(1)]
        mask[tuple(cells.T)] = True
    return mask


def _check_area(one: Contour, cells: int, where: str, findings: Findings) -> None:
    """Tell a contour whose area is far from that of its voxels.

    Those of a contour that does not cross itself differ from its area by less than half a voxel
    along its edge, whose own voxels count whole.
    """
    points = one.points - one.points[0]
    steps = np.roll(points, -1, axis=0) - points
    area = abs(float(points[:, 0] @ steps[:, 1] - points[:, 1] @ steps[:, 0])) / 2
    length = float(np.hypot(*steps.T).sum())
    if one.xor or abs(area - cells) <= length / 2 + 1:
        return
    if abs(area - cells) > length + 1:
        findings.ask("DCM_CROSSING", f"{where}: a contour that crosses itself", _MEANT)
        return
    found = f"{where}: a contour has the area of {area:.3g} voxels, and {cells} are in it"
    findings.warn("DCM_AREA", found, _MEANT)


def _regions(
    planes: list[tuple[np.ndarray, bool]], where: str, findings: Findings
) -> list[np.ndarray]:
    """Return what is in each contour, those that overlap taken together."""
    apart: list[tuple[np.ndarray, bool]] = []
    for plane, xor in planes:
        if plane.any() and any((plane == other).all() for other, _ in apart):
            findings.note("DCM_COPY", f"{where}: a contour that is there twice counts once")
            continue
        together, rest = plane, []
        for other, other_xor in apart:
            both, fewer, more = int((plane & other).sum()), *sorted((plane.sum(), other.sum()))
            if not (xor and other_xor) and 0 < both < fewer:
                found = f"{where}: two contours with {both} voxels in common are taken together"
                findings.warn("DCM_CROSSING", found, _MEANT)
                together = together | other
                continue
            if not (xor and other_xor) and both > _NEARLY * more:
                found = f"{where}: two contours that have {both} voxels in common"
                findings.ask("DCM_CROSSING", found, _MEANT)
            rest.append((other, other_xor))
        apart = [*rest, (together, xor)]
    return [plane for plane, _ in apart]
