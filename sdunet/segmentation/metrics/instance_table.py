"""Tables of single objects: where each is, how large, whether it was found."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import ndimage

from sdunet.segmentation.metrics.case_scores import ClassScores

AXES = ("x", "y", "z")
COLUMNS = (
    *("case", "class", "side", "object", "outcome", "partner", "jaccard", "cells", "volume"),
    *AXES,
    "probability",
)


def volume_in(affine: np.ndarray | None) -> float:
    """Return the volume of a voxel in ml; 1 for pictures, whose unit is the pixel."""
    return 1.0 if affine is None else abs(float(np.linalg.det(affine[:3, :3]))) / 1000


def place_in(cell: np.ndarray, affine: np.ndarray | None) -> tuple[float, ...]:
    """Return where a voxel lies: x, y, z in mm, RAS+; of pictures column and row."""
    if affine is None:
        return float(cell[1]), float(cell[0])
    return tuple(float(v) for v in affine[:3, :3] @ cell + affine[:3, 3])


def centres(numbered: np.ndarray, count: int) -> np.ndarray:
    """Return the centre of gravity of each object, `(count, axes)` in voxels."""
    if not count:
        return np.zeros((0, numbered.ndim))
    found = ndimage.center_of_mass(numbered > 0, numbered, np.arange(1, count + 1))
    return np.array(found)


def object_rows(
    scores: ClassScores,
    affine: np.ndarray | None,
    probabilities: np.ndarray | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each object of the reference, then for each predicted one.

    `partner` is the object of the other side that it is paired with, `jaccard` that with the
    object it overlaps most, `probability` the mean over its voxels.

    Args:
        scores: of one class.
        affine: of the case; `None` for pictures.
        probabilities: probability of the class at each voxel, `(1, ...)`.
    """
    objects = scores.objects
    ious = objects.ious
    predicted_of = scores.pairs + 1
    reference_of = np.zeros(len(objects.predicted_sizes), int)
    found = np.flatnonzero(scores.pairs >= 0)
    reference_of[scores.pairs[found]] = found + 1
    sides = (
        ("reference", objects.reference, objects.reference_sizes, predicted_of, 0, "missed"),
        ("prediction", objects.predicted, objects.predicted_sizes, reference_of, 1, "false alarm"),
    )
    cell = volume_in(affine)
    for side, numbered, sizes, partners, axis, alone in sides:
        best = ious.max(axis=axis).toarray().ravel() if ious.nnz else np.zeros(len(sizes))
        middle = centres(numbered, len(sizes)) + scores.corner
        certain = [None] * len(sizes)
        if probabilities is not None and len(sizes):
            inside = tuple(
                slice(start, start + length)
                for start, length in zip(scores.corner, numbered.shape, strict=True)
            )
            labels = np.arange(1, len(sizes) + 1)
            certain = ndimage.mean(probabilities[0][inside], numbered, labels).tolist()
        for i, size in enumerate(sizes.tolist()):
            yield {
                "side": side,
                "object": i + 1,
                "outcome": "found" if partners[i] else alone,
                "partner": int(partners[i]) or None,
                "jaccard": float(best[i]),
                "cells": size,
                "volume": size * cell,
                **dict(zip(AXES, place_in(middle[i], affine), strict=False)),
                "probability": certain[i],
            }
