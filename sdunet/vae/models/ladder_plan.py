"""Which layers a ladder has: the size of each, and what sweeps there."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import get_args

from sdunet.layers import Direction

_DIRECTIONS: tuple[Direction, ...] = get_args(Direction)[:4]
_FEWEST_FEATURES = 50


@dataclass(frozen=True)
class Sweeping:
    """What sweeps on the way down.

    Attributes:
        max_scale: largest scale that sweeps; 0 for none.
        min_scale: smallest scale that sweeps.
        features: at the largest sweeping scale.
        features_step: taken off at each halving; never below 50 or `features`.
        directions: sweeps of each block, 1 to 4.
    """

    max_scale: int = 0
    min_scale: int = 0
    features: int = 0
    features_step: int = 0
    directions: int = 2


@dataclass(frozen=True)
class LayerPlan:
    """One layer.

    Attributes:
        size: height and width of its output on the way down.
        halve: whether the layer above has half of that.
        features: that its blocks sweep with; 0 for plain convolutions.
        directions: of its first and of its second block down.
    """

    size: tuple[int, int]
    halve: bool
    features: int = 0
    directions: tuple[tuple[Direction, ...], tuple[Direction, ...]] = ((), ())


def plan_layers(
    size: tuple[int, int], depth: int, downsample_at: Sequence[int], sweeping: Sweeping
) -> tuple[list[LayerPlan], tuple[Direction, ...]]:
    """Return the layers, the one at the image's resolution first; and what the last block sweeps.

    Directions are dealt out in turn: every block takes the next ones of right, left, down, up.

    Raises:
        ValueError: if an argument is out of its range, or a sweeping scale does not occur.
    """
    wrong = [level for level in downsample_at if level not in range(depth)]
    if wrong:
        raise ValueError(f"downsample_at must be layers in 0..{depth - 1}, got {wrong}")
    if sweeping.max_scale and not 1 <= sweeping.directions <= 4:
        raise ValueError(f"sdn_directions must be from 1 to 4, got {sweeping.directions}")
    if sweeping.max_scale and sweeping.features < 1:
        raise ValueError(f"sdn_features must be positive to sweep, got {sweeping.features}")
    turn = cycle(_DIRECTIONS)
    layers: list[LayerPlan] = []
    features, fewest = sweeping.features, min(_FEWEST_FEATURES, sweeping.features)
    for index in range(depth):
        halve = index in downsample_at
        if sweeping.max_scale >= max(size) >= sweeping.min_scale:
            first, second = (tuple(islice(turn, sweeping.directions)) for _ in range(2))
            layers.append(LayerPlan(size, halve, features, (first, second)))
            features = max(fewest, features - sweeping.features_step * halve)
        else:
            layers.append(LayerPlan(size, halve))
        if halve:
            size = (size[0] // 2, size[1] // 2)
    if sweeping.max_scale and not any(layer.features for layer in layers):
        scales = sorted({max(layer.size) for layer in layers}, reverse=True)
        raise ValueError(
            f"no layer has a scale from sdn_min_scale {sweeping.min_scale} to sdn_max_scale "
            f"{sweeping.max_scale}; the scales are {scales}"
        )
    return layers, tuple(islice(turn, 4))
