"""Scores of objects that predictions tell apart, beside those of connected components."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sdunet.segmentation.metrics.case_scores import ClassScores
from sdunet.segmentation.metrics.connected_components import connected_components
from sdunet.segmentation.metrics.instances import THRESHOLDS, Objects
from sdunet.segmentation.metrics.statistics import interval

FILE = "instances.csv"
_MOST = 0.9  # of the Jaccard index, as the 2018 Data Science Bowl and its papers give it
_THRESHOLDS = tuple(t for t in THRESHOLDS if t <= _MOST)
_WAYS = ("objects", "connected components")
_LABELS = tuple(f"AP{100 * t:.0f}" for t in _THRESHOLDS)
COLUMNS = ("case", "told_apart_by", "AP", *_LABELS, "n_pred", "n_ref")
ABOUT = (
    "AP at a Jaccard index: pairs / (pairs + false alarms + missed) of an image, each object in "
    "one pair at most; AP is the mean over 0.5, 0.55 ... 0.9. `connected components` are those of "
    "the same predicted foreground, the baseline"
)


def instance_rows(case: str, scores: ClassScores) -> Iterator[dict[str, Any]]:
    """Yield the scores of one case: by the objects predicted, then by connected components.

    Scores are `None` where neither side has an object; without a prediction they are 0.

    Args:
        case: its id.
        scores: of the class whose objects are told apart.
    """
    told = scores.objects
    merged = Objects(connected_components(told.predicted > 0)[0], told.reference)
    for way, objects in zip(_WAYS, (told, merged), strict=True):
        values: list[float | None] = [objects.average_precision((t,)) for t in _THRESHOLDS]
        if scores.overlap.missing:
            values = [0.0] * len(values)
        there = [value for value in values if value is not None]
        counts = len(objects.predicted_sizes), len(objects.reference_sizes)
        yield dict(
            zip(COLUMNS, (case, way, _mean(there), *values, *counts), strict=True),
        )


def instance_summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean over cases of each score, with the interval of AP and the number of cases."""
    found: dict[str, Any] = {"about": ABOUT}
    for way in _WAYS:
        mine = [row for row in rows if row["told_apart_by"] == way and row["AP"] is not None]
        means = {label: _mean([row[label] for row in mine]) for label in ("AP", *_LABELS)}
        found[way] = means | {
            "interval": interval([row["AP"] for row in mine]),
            "n_cases": len(mine),
        }
    return found


def instance_table(summary: dict[str, Any]) -> list[str]:
    """Return the means as lines of a table."""
    shown = ("AP50", "AP75", "AP90", "AP")
    lines = [f"{'told apart by':<24}" + "".join(f"{name:>9}" for name in shown) + f"{'n':>6}"]
    for way in _WAYS:
        means = summary[way]
        numbers = ("-" if means[n] is None else f"{means[n]:.4f}" for n in shown)
        lines.append(f"{way:<24}" + "".join(f"{n:>9}" for n in numbers) + f"{means['n_cases']:>6}")
    return lines


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
