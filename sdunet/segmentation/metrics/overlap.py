"""Overlap of a prediction with its reference, by class. Counts first, scores from counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.core.chunked_stats import slabs
from sdunet.segmentation.metrics.arguments import (
    check_classes,
    check_shapes,
    count_of,
    labels_of,
    without,
)

# By case and class; shown in every report.
POLICY = (
    "both empty: excluded from means, counted as true negative; reference empty, prediction not: "
    "0, counted as false alarm; prediction empty, reference not: 0, counted as missed; no "
    "prediction: as missed, counted as missing; distances are the image's diagonal instead of 0"
)


@dataclass(frozen=True)
class Overlap:
    """Voxel counts of one class in one case.

    Each score is `None` if both masks are empty, 0 if one is, 0 if the prediction is missing.

    Attributes:
        tp: in both.
        fp: in the prediction only.
        fn: in the reference only.
        tn: in neither.
        missing: whether there was no prediction for the case.
    """

    tp: int
    fp: int
    fn: int
    tn: int
    missing: bool = False

    @property
    def dice(self) -> float | None:
        """2 TP / (2 TP + FP + FN), 0 to 1."""
        return self._share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def jaccard(self) -> float | None:
        """TP / (TP + FP + FN), 0 to 1."""
        return self._share(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP), 0 to 1."""
        return self._share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """TP / (TP + FN), 0 to 1."""
        return self._share(self.tp, self.tp + self.fn)

    @property
    def volume_similarity(self) -> float | None:
        """1 - |FP - FN| / (2 TP + FP + FN), 0 to 1; 1 for equal volumes, wherever they lie."""
        total = 2 * self.tp + self.fp + self.fn
        return self._share(total - abs(self.fp - self.fn), total)

    def _share(self, part: int, whole: int) -> float | None:
        """Return a score that is `None` where both masks are empty, and 0 if one is or missing."""
        if self.missing:
            return 0.0
        if self.outcome == "true negative":
            return None
        return part / whole if whole else 0.0

    @property
    def outcome(self) -> str:
        """One of `missing`, `true negative`, `false alarm`, `missed`, `scored`."""
        if self.missing:
            return "missing"
        if self.tp + self.fn == 0:
            return "false alarm" if self.fp else "true negative"
        return "scored" if self.tp + self.fp else "missed"


def overlaps(
    prediction: np.ndarray,
    reference: np.ndarray,
    num_classes: int,
    ignored: np.ndarray | None = None,
    sets: Sequence[Sequence[int]] | None = None,
) -> list[Overlap]:
    """Count the overlap of each class but the background, or of each set of classes.

    Args:
        prediction: class numbers, any shape.
        reference: class numbers, the same shape.
        num_classes: classes, background included.
        ignored: where voxels count nowhere, the same shape; both may hold any number there.
        sets: of class numbers, each taken as one; they may overlap. Default: each class alone.

    Returns:
        One for each class 1, 2, ..., or for each set.

    Raises:
        ValueError: if shapes differ or a number is no class; as `labels_of` and `count_of`.
    """
    prediction, reference = labels_of("prediction", prediction), labels_of("reference", reference)
    check_shapes(prediction, reference)
    num_classes = count_of("num_classes", num_classes)
    if ignored is not None:
        prediction, reference = without(ignored, prediction, reference)
    for name, array in (("prediction", prediction), ("reference", reference)):
        check_classes(name, array, num_classes)
    table = np.zeros(num_classes**2, np.int64)
    for there, found in zip(slabs(reference), slabs(prediction), strict=True):
        both = there.astype(np.int64).ravel() * num_classes + found.ravel()
        table += np.bincount(both, minlength=num_classes**2)
    table = table.reshape(num_classes, num_classes)
    if ignored is not None:
        table[0, 0] -= np.count_nonzero(ignored)
    result = []
    for numbers in [[c] for c in range(1, num_classes)] if sets is None else map(list, sets):
        tp = int(table[np.ix_(numbers, numbers)].sum())
        fp = int(table[:, numbers].sum()) - tp
        fn = int(table[numbers].sum()) - tp
        result.append(Overlap(tp, fp, fn, int(table.sum()) - tp - fp - fn))
    return result


def missing(
    reference: np.ndarray,
    num_classes: int,
    ignored: np.ndarray | None = None,
    sets: Sequence[Sequence[int]] | None = None,
) -> list[Overlap]:
    """Count a case without a prediction, as if nothing had been predicted."""
    empty = overlaps(np.zeros_like(reference), reference, num_classes, ignored, sets)
    return [Overlap(o.tp, o.fp, o.fn, o.tn, missing=True) for o in empty]


def summarise(counted: Iterable[Overlap]) -> dict[str, float | int | None]:
    """Return means over cases of one class, with the number they are over and what was left out."""
    counted = list(counted)
    dice = [o.dice for o in counted if o.dice is not None]
    jaccard = [o.jaccard for o in counted if o.jaccard is not None]
    outcomes = [o.outcome for o in counted]
    return {
        "Dice": float(np.mean(dice)) if dice else None,
        "IoU": float(np.mean(jaccard)) if jaccard else None,
        "n": len(dice),
        "true_negatives": outcomes.count("true negative"),
        "false_alarms": outcomes.count("false alarm"),
        "missed": outcomes.count("missed"),
        "missing": outcomes.count("missing"),
    }
