"""Scores of a prediction against its reference, as `sdunet evaluate` computes them.

`POLICY` says what each score is where a mask is empty: never NaN, and never left out unsaid.
Masks and labels are truth values, integers, or reals that are whole. Anything else is a
`ValueError` that names the argument: NaN, infinity, fractions, other shapes, numbers of no class.
"""

import numpy as np

from sdunet.segmentation.metrics.arguments import masks_of
from sdunet.segmentation.metrics.batch_pooled import BatchPooledDice
from sdunet.segmentation.metrics.case_scores import METRICS, ClassScores, ScoreOptions, score_case
from sdunet.segmentation.metrics.instances import Objects, find_objects
from sdunet.segmentation.metrics.overlap import POLICY, Overlap, overlaps, summarise
from sdunet.segmentation.metrics.surface import SurfaceDistances, surface_distances

__all__ = [
    "METRICS",
    "POLICY",
    "BatchPooledDice",
    "ClassScores",
    "Objects",
    "Overlap",
    "ScoreOptions",
    "SurfaceDistances",
    "dice",
    "find_objects",
    "overlaps",
    "score_case",
    "summarise",
    "surface_distances",
]


def dice(prediction: np.ndarray, reference: np.ndarray) -> float | None:
    """Return the Dice of two masks, 0 to 1.

    Args:
        prediction: mask, any shape; what is not 0 is inside.
        reference: mask, the same shape.

    Returns:
        `None` if both are empty, 0 if one of them is, see `POLICY`.

    Raises:
        ValueError: if shapes differ, or a mask holds NaN, infinity or fractions, such as
            probabilities.

    Examples:
        >>> import numpy as np
        >>> dice(np.array([[1, 1, 0]]), np.array([[0, 1, 1]]))
        0.5
    """
    return overlaps(*masks_of(prediction, reference), 2)[0].dice
