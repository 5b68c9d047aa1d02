"""Single values far beyond all others, as dead pixels and damaged exports leave them.

One such value can set the mean and the deviation of a whole image, and so hide all else in it.
"""

from dataclasses import dataclass

import numpy as np

from data_prep.core.chunked_stats import mean_and_deviation, some_of
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan

_USUAL = 99.9  # percentile of the distances from the median
_FAR = 30.0  # times that distance
_FEW = 10, 1e-4  # voxels, or share of all, up to which values are single ones


@dataclass(frozen=True)
class Hot:
    """Single values of one channel, and all others.

    Attributes:
        low: smallest of the others.
        high: largest of them.
        mean: of the others.
        deviation: of the others.
        count: how many values lie beyond.
        worst: the one farthest away.
    """

    low: float
    high: float
    mean: float
    deviation: float
    count: int
    worst: float


def hot_values(array: np.ndarray) -> Hot | None:
    """Return the single values far beyond all others, `None` where there are none.

    Args:
        array: finite values of one channel.
    """
    some = some_of(array).astype(np.float64)
    middle = float(np.median(some))
    distances = np.abs(some - middle)
    usual = float(np.percentile(distances, _USUAL, method="lower"))
    if not usual:  # of what is nearly all one value, the rest
        rest = distances[distances > 0]
        usual = float(np.percentile(rest, _USUAL, method="lower")) if len(rest) else 0.0
    low, high = middle - _FAR * usual, middle + _FAR * usual
    least, most = float(array.min()), float(array.max())
    if not usual or (low <= least and most <= high):
        return None
    others = array[(array >= low) & (array <= high)]
    count = array.size - others.size
    if count > max(_FEW[0], _FEW[1] * array.size):
        return None
    worst = most if most - middle >= middle - least else least
    return Hot(float(others.min()), float(others.max()), *mean_and_deviation(others), count, worst)


def look_at_hot_values(image: Scan, channels: tuple[str, ...], findings: Findings) -> None:
    """Warn of single values, with what they would do to normalisation."""
    for name, values in zip(channels, image.array, strict=True):
        hot = hot_values(values)
        if hot is None:
            continue
        _, moved = mean_and_deviation(values)
        findings.warn(
            "INT_OUTLIER",
            f"{hot.count} of {values.size} values of {name} up to {hot.worst:.4g}, all others from "
            f"{hot.low:.4g} to {hot.high:.4g}: of all, the deviation is {moved:.4g}, without them "
            f"{hot.deviation:.4g}, which zscore uses; it clips to the range of the others",
            "look at them, and export the image again if they are wrong",
        )
