"""Intensities of a scan as a network sees them."""

from dataclasses import dataclass, replace

import numpy as np

from data_prep.core.chunked_stats import mean_and_deviation
from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.preprocessing.hot_values import hot_values


@dataclass(frozen=True)
class Scaling:
    """How intensities of each channel become what a network sees, see `normalise`.

    Attributes:
        shift: is subtracted.
        scale: is divided by then.
        low: what lies below is set to it before; `None` where nothing is clipped.
        high: what lies above is set to it before.
    """

    shift: list[float]
    scale: list[float]
    low: list[float] | None = None
    high: list[float] | None = None


def scaling_of(array: np.ndarray, plan: Plan) -> Scaling:
    """Return how the intensities of a `(C, ...)` scan are to be scaled.

    Args:
        array: values of the scan itself, before any resampling.
        plan: says which kind of intensity.

    Raises:
        DataError: INT_UNIT for real numbers, whose type has no largest number to divide by, and
            for a type of another one than the images have that were planned for.
    """
    if plan.intensity == "unit":
        largest = largest_of(array)
        if largest is None:
            raise DataError("INT_UNIT", f"{array.dtype} values for unit", "use intensity: zscore")
        if plan.largest not in (None, largest):
            found = f"{array.dtype} values, up to {largest}; planned for up to {plan.largest}"
            raise DataError("INT_UNIT", found, "save the image in the type of the others")
        return Scaling([0.0] * len(array), [float(largest)] * len(array))
    if plan.window:
        (low, high), channels = plan.window, len(array)
        bounds = [low] * channels, [high] * channels
        return Scaling([low] * channels, [high - low] * channels, *bounds)
    if plan.intensity == "ct":
        levels = plan.levels or ()
        return Scaling(
            [level.mean for level in levels],
            [level.deviation for level in levels],
            [level.low for level in levels],
            [level.high for level in levels],
        )
    hot = [hot_values(channel) for channel in array]
    moments = [
        (beyond.mean, beyond.deviation) if beyond else mean_and_deviation(channel)
        for channel, beyond in zip(array, hot, strict=True)
    ]
    # A channel without contrast carries nothing; dividing by one keeps it at zero.
    scaling = Scaling([mean for mean, _ in moments], [deviation or 1.0 for _, deviation in moments])
    if not any(hot):
        return scaling
    return replace(
        scaling,
        low=[h.low if h else float(c.min()) for h, c in zip(hot, array, strict=True)],
        high=[h.high if h else float(c.max()) for h, c in zip(hot, array, strict=True)],
    )


def largest_of(array: np.ndarray) -> int | None:
    """Return the largest number of the type of an array; `None` for real numbers."""
    return int(np.iinfo(array.dtype).max) if array.dtype.kind in "ui" else None


def normalise(array: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return `(array - shift) / scale` of each channel, clipped before, float32."""
    shape = (-1,) + (1,) * (array.ndim - 1)
    # In double precision: a large offset would swallow the differences in single.
    values = array.astype(np.float64)
    if scaling.low is not None and scaling.high is not None:
        values = np.clip(values, np.reshape(scaling.low, shape), np.reshape(scaling.high, shape))
    shifted = values - np.reshape(scaling.shift, shape)
    return (shifted / np.reshape(scaling.scale, shape)).astype(np.float32)
