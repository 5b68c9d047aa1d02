"""Objects, such as lesions or nuclei, in a prediction and in its reference, and which are found."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching
from skimage.segmentation import relabel_sequential

from sdunet.segmentation.metrics.arguments import masks_of, numbers_of
from sdunet.segmentation.metrics.connected_components import connected_components

THRESHOLDS = tuple(float(t) for t in np.arange(50, 100, 5) / 100)


@dataclass(frozen=True)
class Objects:
    """Objects of one class in one case.

    Attributes:
        predicted: number, from 1, of the predicted object of each voxel; 0 outside all.
        reference: the same of the reference's objects.
    """

    predicted: np.ndarray
    reference: np.ndarray

    @cached_property
    def predicted_sizes(self) -> np.ndarray:
        """Cells of each predicted object."""
        return np.bincount(self.predicted.ravel())[1:]

    @cached_property
    def reference_sizes(self) -> np.ndarray:
        """Cells of each object of the reference."""
        return np.bincount(self.reference.ravel())[1:]

    @cached_property
    def ious(self) -> sparse.csr_array:
        """Jaccard index of each predicted (row) with each reference object (column), sparse."""
        shape = (len(self.predicted_sizes), len(self.reference_sizes))
        both = (self.predicted > 0) & (self.reference > 0)
        places = (self.predicted[both] - 1, self.reference[both] - 1)
        # Cells of the same two objects are summed up.
        shared = sparse.coo_array((np.ones(len(places[0])), places), shape).tocsr()
        row, column = shared.nonzero()
        cells = self.predicted_sizes[row] + self.reference_sizes[column] - shared.data
        return sparse.csr_array((shared.data / cells, (row, column)), shape)

    def pairs(self, threshold: float) -> np.ndarray:
        """Return for each object of the reference the row of its predicted one, or -1.

        Each object is in one pair at most; there are as many pairs as can be of a Jaccard index
        above the threshold.
        """
        near = self.ious.copy()
        near.data = (near.data > threshold).astype(np.float64)
        near.eliminate_zeros()
        if not near.nnz:
            return np.full(len(self.reference_sizes), -1)
        return maximum_bipartite_matching(near, perm_type="row")

    def average_precision(self, thresholds: Sequence[float] = THRESHOLDS) -> float | None:
        """Return the mean over thresholds of pairs / (pairs + false alarms + missed), 0 to 1.

        `None` if there is no object in either. This is how the 2018 Data Science Bowl scored.
        """
        total = len(self.predicted_sizes) + len(self.reference_sizes)
        if not total:
            return None
        paired = [int((self.pairs(t) >= 0).sum()) for t in thresholds]
        return float(np.mean([n / (total - n) for n in paired]))


def find_objects(
    prediction: np.ndarray,
    reference: np.ndarray,
    numbered: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
) -> Objects:
    """Find the objects of two masks.

    Args:
        prediction: mask; its connected components are its objects, corners connect.
        reference: mask, the same shape.
        numbered: number, not 0, of the object at each voxel of the reference, where objects that
            touch are known. Default: its connected components.
        predicted: the same of the prediction, where its objects are told apart.

    Raises:
        ValueError: if shapes differ; as `masks_of`.
    """
    prediction, reference = masks_of(prediction, reference)
    return Objects(
        _objects("predicted", prediction, predicted), _objects("numbered", reference, numbered)
    )


def _objects(name: str, mask: np.ndarray, numbered: np.ndarray | None) -> np.ndarray:
    if numbered is None or not mask.size:  # of nothing, scikit-image has no numbers
        return connected_components(mask)[0]
    return relabel_sequential(np.where(mask, numbers_of(numbered, mask, name), 0))[0]
