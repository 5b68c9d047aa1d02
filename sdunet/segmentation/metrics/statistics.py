"""How sure a mean or a difference is, over cases."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

_DRAWS = 10_000


def interval(values: Sequence[float]) -> list[float] | None:
    """Return the 95 % interval of a mean by bootstrap over cases; `None` of fewer than two.

    The same values give the same interval. Cases of one patient count as if they were of several.
    """
    if len(values) < 2:
        return None
    if len(set(values)) == 1:
        return [float(values[0])] * 2  # of which SciPy would say that it is degenerate
    # In parts: all draws of thousands of cases at once would fill the memory.
    draws = {"n_resamples": _DRAWS, "batch": _DRAWS // 20, "rng": np.random.default_rng(0)}
    bounds = stats.bootstrap((values,), np.mean, method="percentile", **draws).confidence_interval
    return [float(bounds.low), float(bounds.high)]


def signed_rank(differences: Sequence[float]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test; 1 where nothing differs.

    Differences of zero keep their ranks, half of each on either side.
    """
    if not np.any(differences):
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="zsplit").pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number, in the order given.

    Reference:
        Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    order = np.argsort(values)
    left = len(values) - np.arange(len(values))
    stepped = np.maximum.accumulate(np.asarray(values, np.float64)[order] * left)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(stepped, 1)
    return corrected.tolist()
