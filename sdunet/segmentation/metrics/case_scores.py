"""All scores of a case, class by class, under one policy for empty masks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from data_prep.core.memory_limits import check_bytes
from data_prep.core.values.numbers import NumberFrom0, ShareBelowOne
from data_prep.core.values.regions import inside
from sdunet.segmentation.metrics.arguments import labels_of, lengths_of, numbers_of, without
from sdunet.segmentation.metrics.instances import Objects, find_objects
from sdunet.segmentation.metrics.overlap import Overlap, missing, overlaps
from sdunet.segmentation.metrics.surface import diagonal_of, surface_distances

_COPIES = 36  # bytes a voxel of the box around a class, measured on a block


@dataclass(frozen=True)
class Metric:
    """What a score is called, and what it is at its best.

    Attributes:
        label: in reports and in `summary.json`.
        best: 1 for shares, 0 for distances.
        about: in a few words.
    """

    label: str
    best: int
    about: str


USUAL = ("dice", "surface_dice", "hd95")  # that models are compared by
METRICS = {
    "dice": Metric("Dice", 1, "2 TP / (2 TP + FP + FN)"),
    "jaccard": Metric("IoU", 1, "TP / (TP + FP + FN)"),
    "precision": Metric("Precision", 1, "TP / (TP + FP)"),
    "recall": Metric("Recall", 1, "TP / (TP + FN)"),
    "volume_similarity": Metric("VolumeSimilarity", 1, "1 - |FP - FN| / (2 TP + FP + FN)"),
    "surface_dice": Metric("NSD", 1, "share of both surfaces within the tolerance of the other"),
    "hd": Metric("HD", 0, "largest distance of the surfaces"),
    "hd95": Metric("HD95", 0, "95th percentile of the distances, the larger direction"),
    "assd": Metric("ASSD", 0, "average symmetric surface distance"),
    "object_sensitivity": Metric("ObjectSensitivity", 1, "share of reference objects found"),
    "object_precision": Metric("ObjectPrecision", 1, "share of predicted objects that are one"),
    "ap50": Metric("AP50", 1, "pairs / (pairs + false alarms + missed) above Jaccard 0.5"),
    "ap": Metric("AP", 1, "the same, mean over Jaccard 0.5, 0.55 ... 0.95"),
}


@dataclass(frozen=True)
class ScoreOptions:
    """What scores depend on.

    Attributes:
        tolerance: distance that the surface Dice forgives, mm (pixels of pictures).
        match: Jaccard index above which a predicted object counts as one of the reference.
    """

    tolerance: NumberFrom0 = 1.0
    match: ShareBelowOne = 0.1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance must be a length from 0, got {self.tolerance}")
        if not 0 <= self.match < 1:
            raise ValueError(f"match must be from 0 to below 1, got {self.match}")


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class in one case.

    Attributes:
        overlap: counts of voxels.
        objects: in the box that holds the class in prediction and reference.
        corner: first voxel of that box.
        pairs: for each object of the reference the row of its predicted one, or -1.
        values: score by its name in `METRICS`; `None` where there is nothing to score.
    """

    overlap: Overlap
    objects: Objects
    corner: tuple[int, ...]
    pairs: np.ndarray
    values: dict[str, float | None]

    @property
    def found(self) -> int:
        """Objects of the reference that were found."""
        return int((self.pairs >= 0).sum())


def score_case(
    prediction: np.ndarray | None,
    reference: np.ndarray,
    spacing: tuple[float, ...],
    num_classes: int,
    options: ScoreOptions | None = None,
    numbered: np.ndarray | None = None,
    ignored: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
    sets: Sequence[Sequence[int]] | None = None,
) -> list[ClassScores]:
    """Score each class but the background, or each set of classes.

    What is ignored is background in both, so that it cuts surfaces and components of either alike;
    counts of voxels leave it out.

    Args:
        prediction: class numbers, `(H, W)` or `(X, Y, Z)`; `None` if there is none.
        reference: class numbers, the same shape.
        spacing: between voxels along each axis, mm; ones for pictures.
        num_classes: classes, background included.
        options: tolerances. Default: `ScoreOptions()`.
        numbered: see `find_objects`.
        ignored: where voxels count nowhere, truth values of the same shape. Default: nowhere.
        predicted: see `find_objects`.
        sets: of class numbers, each taken as one; they may overlap. Default: each class alone.

    Returns:
        One for each class 1, 2, ..., or for each set.

    Raises:
        ValueError: if shapes differ, a number is no class, or there is not one length above 0 for
            each axis; as `labels_of`.
        DataError: IO_MEMORY, see `memory_within`.
    """
    options = options or ScoreOptions()
    reference = labels_of("reference", reference)
    lengths_of(spacing, reference.ndim)
    if numbered is not None:
        numbered = numbers_of(numbered, reference)  # whole, before boxes are cut from it
    if prediction is not None:
        prediction = labels_of("prediction", prediction)
        if predicted is not None:
            predicted = numbers_of(predicted, prediction, "predicted")
    if prediction is None:
        counted = missing(reference, num_classes, ignored, sets)
        prediction = np.zeros_like(reference)
    else:
        counted = overlaps(prediction, reference, num_classes, ignored, sets)
    if ignored is not None:
        prediction, reference = without(ignored, prediction, reference)
    boxes = [_boxes(label, num_classes) for label in (prediction, reference)]
    diagonal = diagonal_of(reference.shape, spacing)
    result = []
    sets = [(number,) for number in range(1, num_classes)] if sets is None else sets
    for overlap, classes in zip(counted, sets, strict=True):
        box = _around([some[number - 1] for some in boxes for number in classes], reference.ndim)
        check_bytes(math.prod(s.stop - s.start for s in box), _COPIES)
        masks = [inside(label[box], classes) for label in (prediction, reference)]
        told = [None if ids is None else ids[box] for ids in (numbered, predicted)]
        objects = find_objects(*masks, *told)
        pairs = objects.pairs(options.match)
        values = _overlap_scores(overlap)
        # In a volume of one slice every voxel would be surface: it is measured as a picture.
        flat = tuple(axis for axis, n in enumerate(reference.shape) if n == 1)
        if masks[0].size:
            masks = [np.squeeze(mask, flat) for mask in masks]
        within = tuple(s for axis, s in enumerate(spacing) if axis not in flat)
        values |= _surface_scores(overlap, masks, within, diagonal, options.tolerance)
        values |= _object_scores(overlap, objects, int((pairs >= 0).sum()))
        result.append(ClassScores(overlap, objects, tuple(s.start for s in box), pairs, values))
    return result


def mean_scores(scores: Sequence[ClassScores]) -> dict[str, float | None]:
    """Return the means over the classes that have a score, `None` where none has."""
    found = {n: [v for s in scores if (v := s.values[n]) is not None] for n in METRICS}
    return {n: float(np.mean(values)) if values else None for n, values in found.items()}


def _boxes(label: np.ndarray, num_classes: int) -> list[tuple[slice, ...] | None]:
    return ndimage.find_objects(label, num_classes - 1)


def _around(boxes: Sequence[tuple[slice, ...] | None], ndim: int) -> tuple[slice, ...]:
    """Return the box around those that are there; of none, an empty one."""
    there = [box for box in boxes if box is not None]
    if not there:
        return (slice(0, 0),) * ndim
    return tuple(
        slice(min(s.start for s in along), max(s.stop for s in along))
        for along in zip(*there, strict=True)
    )


def _overlap_scores(overlap: Overlap) -> dict[str, float | None]:
    names = ("dice", "jaccard", "precision", "recall", "volume_similarity")
    return {name: getattr(overlap, name) for name in names}


def _surface_scores(
    overlap: Overlap,
    masks: list[np.ndarray],
    spacing: tuple[float, ...],
    diagonal: float,
    tolerance: float,
) -> dict[str, float | None]:
    names = ("surface_dice", "hd", "hd95", "assd")
    if overlap.missing:
        return dict(zip(names, (0.0, diagonal, diagonal, diagonal), strict=True))
    distances = surface_distances(masks[0], masks[1], spacing, diagonal)
    if distances is None:
        return dict.fromkeys(names)
    scores = (
        distances.within(tolerance),
        distances.hausdorff(),
        distances.hausdorff(95),
        distances.mean,
    )
    return dict(zip(names, scores, strict=True))


def _object_scores(overlap: Overlap, objects: Objects, found: int) -> dict[str, float | None]:
    names = ("object_sensitivity", "object_precision", "ap50", "ap")
    if overlap.missing:
        return dict.fromkeys(names, 0.0)
    if overlap.outcome == "true negative":
        return dict.fromkeys(names)
    scores = (
        found / max(1, len(objects.reference_sizes)),
        found / max(1, len(objects.predicted_sizes)),
        objects.average_precision((0.5,)),
        objects.average_precision(),
    )
    return dict(zip(names, scores, strict=True))
