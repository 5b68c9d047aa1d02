"""Objects told apart, also where they touch, by what a network found to be their inside."""

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.memory_limits import check_bytes
from data_prep.preprocessing.instances import INSIDE
from sdunet.segmentation.metrics.connected_components import connected_components

SURE = 255  # in place of `INSIDE`, where that is nearly certain; no class has this number
_COPIES = 81  # bytes a voxel of the box around the foreground, measured on blocks: 51 to 81


def check_instances(plan: Plan, *, asked: bool) -> None:
    """Refuse to tell objects apart by networks that learned no boundaries.

    Raises:
        DataError: PRED_INSTANCES.
    """
    if asked and plan.instances is None:
        found = f"the model was trained on classes ({', '.join(plan.classes)}), not on objects"
        fix = "predict its classes, or prepare with dataset.instances: true and train again"
        raise DataError("PRED_INSTANCES", found, fix)


def tell_apart(label: np.ndarray) -> np.ndarray:
    """Return the number, from 1, of the object that each voxel is of; 0 outside all.

    Connected components of the inside, corners connect, that are sure somewhere are the seeds. All
    of them grow together, a voxel at a time, into the foreground that hangs together with them: a
    watershed of a flat image (`skimage.segmentation.watershed`). Foreground without a seed is no
    object.

    Args:
        label: background, inside, boundary and sure inside, see `most_probable`; `(H, W)` or
            `(X, Y, Z)`.

    Returns:
        uint16, or uint32 of more than 65535 objects.

    Raises:
        DataError: IO_MEMORY, see `memory_within`.
    """
    boxes = ndimage.find_objects((label != 0).astype(np.uint8))
    if not boxes:
        return np.zeros(label.shape, np.uint16)
    (around,) = boxes
    check_bytes(label[around].size, _COPIES)
    grown = _grown(label[around])
    out = np.zeros(label.shape, grown.dtype)
    out[around] = grown
    return out


def _grown(label: np.ndarray) -> np.ndarray:
    parts, _ = connected_components((label == INSIDE) | (label == SURE))
    numbers = np.unique(parts[label == SURE])
    new = np.zeros(int(parts.max(initial=0)) + 1, parts.dtype)
    new[numbers] = np.arange(1, len(numbers) + 1)
    seeds = new[parts]
    kind = np.uint16 if len(numbers) <= np.iinfo(np.uint16).max else np.uint32
    grown = watershed(
        np.zeros(label.shape, np.uint8), seeds, connectivity=label.ndim, mask=label != 0
    )
    return grown.astype(kind)
