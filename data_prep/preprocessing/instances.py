"""Objects by their ids, and the classes of their voxels that a network learns to tell them apart.

A network cannot learn ids, which say nothing but which voxels belong together. It learns what is
inside of an object and what is its boundary; insides of different objects are never neighbours.
"""

import numpy as np
from scipy import ndimage

INSIDE, BOUNDARY = 1, 2
IGNORED = int(np.iinfo(np.uint32).max)  # id of voxels that are of no object and no background
_WIDTH = 1  # voxels of an object beside others or the background that are its boundary


def object_classes(background: str = "background") -> dict[str, int]:
    """Return the classes that are learned of objects, by name."""
    return {background: 0, "inside": INSIDE, "boundary": BOUNDARY}


def inside_and_boundary(ids: np.ndarray, void: int | None = None) -> np.ndarray:
    """Return for each voxel whether it is background, 0, inside of an object, 1, or boundary, 2.

    Boundary are the voxels of an object that have a neighbour, also across a corner, of another id
    or of the background; the border of the image and what is ignored make none. So the boundaries
    of both lie between the insides of two objects that touch. An object without any inside keeps
    one voxel of it, that nearest to its middle which is no neighbour of another inside; objects of
    single voxels side by side have none, and become one object.

    Args:
        ids: number of the object at each voxel, 0 for none, `IGNORED` where that is ignored;
            any shape.
        void: number that ignored voxels get.

    Returns:
        uint8 of the same shape.
    """
    ignored = ids == IGNORED
    there = (ids != 0) & ~ignored
    side = 2 * _WIDTH + 1
    highest = ndimage.maximum_filter(np.where(ignored, 0, ids), side)
    lowest = ndimage.minimum_filter(ids, side)  # no id is larger than `IGNORED`
    out = there.astype(np.uint8)
    out[there & (highest != lowest)] = BOUNDARY
    _keep_an_inside(out, ids)
    if void is not None:
        out[ignored] = void
    return out


def _keep_an_inside(classes: np.ndarray, ids: np.ndarray) -> None:
    """Give, in place, objects that are boundary alone one voxel of inside."""
    lost = np.setdiff1d(ids[classes == BOUNDARY], ids[classes == INSIDE])
    if not lost.size:
        return
    flat = np.flatnonzero(np.isin(ids, lost))
    flat = flat[np.argsort(ids.ravel()[flat], kind="stable")]
    _, starts = np.unique(ids.ravel()[flat], return_index=True)
    # By their places: how objects are numbered must not matter.
    for cells in sorted(np.split(flat, starts[1:]), key=lambda several: int(several[0])):
        places = np.stack(np.unravel_index(cells, ids.shape), axis=1)
        apart = ((places - places.mean(0)) ** 2).sum(1)
        for place in places[np.argsort(apart, kind="stable")]:
            around = tuple(slice(max(0, at - 1), at + 2) for at in place)
            if not (classes[around] == INSIDE).any():
                classes[tuple(place)] = INSIDE
                break
