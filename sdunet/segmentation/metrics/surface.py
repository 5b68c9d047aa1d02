"""Distances between the surfaces of a prediction and of its reference.

The surface of a mask is its voxels with a face towards another value or the image's edge; distances
are between centres of voxels. These are the definitions of `monai.metrics`, but for empty masks.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from data_prep.core.memory_limits import check_bytes
from sdunet.segmentation.metrics.arguments import lengths_of, masks_of

_COPIES = 100  # bytes that a voxel of a surface takes, measured on noise


@dataclass(frozen=True)
class SurfaceDistances:
    """How far each surface voxel of one mask is from the surface of the other.

    Where one of the masks is empty, all distances are the image's diagonal.

    Attributes:
        predicted: of each surface voxel of the prediction, mm (voxels for pictures).
        missed: of each surface voxel of the reference.
        apart: whether one of the masks is empty.
    """

    predicted: np.ndarray
    missed: np.ndarray
    apart: bool = False

    def hausdorff(self, percent: float = 100) -> float:
        """Return the larger of both directions' percentiles; 100 for the largest distance."""
        return float(max(np.percentile(d, percent) for d in (self.predicted, self.missed)))

    @property
    def mean(self) -> float:
        """Average symmetric surface distance."""
        return float(np.concatenate([self.predicted, self.missed]).mean())

    def within(self, tolerance: float) -> float:
        """Return the surface Dice, the share of both surfaces that is close to the other, 0 to 1.

        Reference:
            Nikolov et al., Clinically applicable segmentation of head and neck anatomy, 2021.
        """
        if self.apart:
            return 0.0
        return float((np.concatenate([self.predicted, self.missed]) <= tolerance).mean())


def surface_distances(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: tuple[float, ...],
    diagonal: float | None = None,
) -> SurfaceDistances | None:
    """Measure the distances between two surfaces.

    Args:
        prediction: mask, any number of axes.
        reference: mask, the same shape.
        spacing: between voxels along each axis, mm.
        diagonal: of the image, if the masks are cut from it. Default: of the masks.

    Returns:
        `None` if both masks are empty.

    Raises:
        ValueError: if shapes differ, or there is not one length above 0 for each axis
            or for the diagonal; as `masks_of`.
        DataError: IO_MEMORY, see `memory_within`.
    """
    prediction, reference = masks_of(prediction, reference)
    lengths_of(spacing, reference.ndim)
    if diagonal is not None and not 0 < diagonal < math.inf:
        raise ValueError(f"diagonal must be a length above 0, got {diagonal}")
    surfaces = [surface(mask) for mask in (prediction, reference)]
    check_bytes(sum(map(np.count_nonzero, surfaces)), _COPIES)
    points = [np.argwhere(cells) * spacing for cells in surfaces]
    if not any(map(len, points)):
        return None
    if not all(map(len, points)):
        if diagonal is None:
            diagonal = diagonal_of(reference.shape, spacing)
        return SurfaceDistances(np.array([diagonal]), np.array([diagonal]), apart=True)
    # Of a tree, unlike of a distance transform, the cost follows the surfaces, not the volume.
    trees = [KDTree(p, balanced_tree=False, compact_nodes=False) for p in points]
    return SurfaceDistances(
        trees[1].query(points[0], workers=-1)[0], trees[0].query(points[1], workers=-1)[0]
    )


def surface(mask: np.ndarray) -> np.ndarray:
    """Return the voxels of a mask with a face towards its outside or the image's edge."""
    mask = mask.astype(bool, copy=False)
    inside = mask.copy()
    for axis in range(mask.ndim):
        along, there = np.moveaxis(inside, axis, 0), np.moveaxis(mask, axis, 0)
        along[:1] = along[-1:] = False
        along[1:-1] &= there[2:] & there[:-2]
    return mask & ~inside


def diagonal_of(size: tuple[int, ...], spacing: tuple[float, ...]) -> float:
    """Return the length of an image's diagonal, mm."""
    return float(np.linalg.norm(np.multiply(size, spacing)))
