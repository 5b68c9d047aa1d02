"""The cells a sweep can run: their weights, how they start, and the operator that runs them.

Letters in this file: C channels that are swept, K = 3 (9) cells read on the line above, G groups.
"""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from sdunet.ops import carry_sweep, sdn_sweep

CellName = Literal["gru", "carry"]
InitName = Literal["reach", "published"]

_GAIN, _DAMPING, _UPDATE_BIAS = 1.2, 0.3, -3.0
# Lines over which a cell remembers at first, drawn for each feature from 2 to so many.
_LINES = 256
_SIDES = 0.02  # share of the mix from beside
_MOST_GROUPS = 4


def check_whole(low: int = 1, **arguments: int | Sequence[int]) -> None:
    """Refuse arguments that are no whole numbers from `low` on, such as a width of 0.

    Args:
        low: the smallest allowed.
        arguments: by their names, each a number or several.

    Raises:
        ValueError: naming the first that is wrong, and its range.
    """
    for name, value in arguments.items():
        several: list[Any] = list(value) if isinstance(value, list | tuple | range) else [value]
        whole = all(isinstance(n, Integral) and not isinstance(n, bool) for n in several)
        if not whole or min(several, default=low) < low:
            what = "a whole number" if several == [value] else "whole numbers"
            raise ValueError(f"{name} must be {what} from {low} on, got {value!r}")


def one_an_axis(name: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """Return a number for each axis, of one for all or of one each.

    Raises:
        ValueError: if there are not as many as axes.
    """
    several = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(several) != axes:
        raise ValueError(f"{name} must be one number or {axes}, one an axis, got {value!r}")
    return several


class GRUSweepCell(nn.GRUCell):
    """The published cell: a GRU whose hidden state is the cell and whose input is the line above.

    Args:
        channels: C.
        taps: K.
        init: see `reset_to_reach`; "published" is PyTorch's own.
    """

    def __init__(self, channels: int, taps: int, init: InitName) -> None:
        super().__init__(taps * channels, channels)
        if init == "reach":
            self.reset_to_reach()

    @torch.no_grad()
    def reset_to_reach(self) -> None:
        """Draw weights by which a sweep reaches far from the start.

        As the hidden state is the cell itself, the line above enters through the new state alone:

        - The update gate's bias is negative, so that the new state is taken and the cell's own
          forgotten; the idea of choosing a time scale by a gate's bias is Tallec and Ollivier's
          (2018, arXiv 1804.11188), the sign is the opposite of an ordinary GRU's.
        - The new state takes the cell above by an orthogonal matrix and nothing from those beside
          it, which keeps the norm however deep (Saxe et al. 2014, arXiv 1312.6120; delta-orthogonal
          in Xiao et al. 2018, arXiv 1806.05393). The gain makes up for what tanh and gates take.
        - What the own cell adds to it is damped, and no bias shifts it: both drown what is carried.

        Gain, bias and damping are measured: docs/benchmarks/reach.md.
        """
        features = self.hidden_size
        centre = self.input_size // features // 2 * features
        update, new = slice(features, 2 * features), slice(2 * features, None)
        from_above = self.weight_ih[new]
        nn.init.zeros_(from_above)
        nn.init.orthogonal_(from_above[:, centre : centre + features], _GAIN)
        self.weight_hh[new] *= _DAMPING
        nn.init.zeros_(self.bias_ih)
        nn.init.zeros_(self.bias_hh)
        nn.init.constant_(self.bias_ih[update], _UPDATE_BIAS)

    def sweep(self, lines: Tensor, *, reverse: bool, backend: str) -> Tensor:
        """Return the swept map, see `sdn_sweep`."""
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return sdn_sweep(lines, *weights, reverse=reverse, backend=backend)


class CarryCell(nn.Module):
    """The carrying cell: the line above enters linearly, by gates of the cell alone.

    What of the cell is carried on is a product of its features, so that features that one sweep has
    brought are used by the next for others.

    Args:
        channels: C.
        taps: K.
        init: see `reset_to_reach`; "published" is PyTorch's own of a linear layer.
        groups: G, groups of channels that share the weights of the K cells. Default: the largest
            divisor of C up to 4.

    Raises:
        ValueError: if `groups` is no divisor of C.
    """

    def __init__(self, channels: int, taps: int, init: InitName, groups: int | None = None) -> None:
        if groups is not None:
            check_whole(groups=groups)
            if channels % groups:
                raise ValueError(f"groups must divide channels {channels}, got {groups}")
        groups = groups or max(g for g in range(1, _MOST_GROUPS + 1) if channels % g == 0)
        super().__init__()
        self.channels = channels
        rows, bound = 2 * channels + (taps - 1) * groups, 1 / math.sqrt(channels)
        self.weight = nn.Parameter(torch.empty(rows, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(rows).uniform_(-bound, bound))
        if init == "reach":
            self.reset_to_reach(taps)

    @torch.no_grad()
    def reset_to_reach(self, taps: int) -> None:
        """Set what lets a sweep reach far from the start; the weights of gates stay as they are.

        - Carry gates begin at 1 - 1/L, that is with a memory of L lines, which is drawn for each
          feature from 2 to 256, evenly in its logarithm, so that some reach far and others stay
          with their cell (chrono initialisation: Tallec and Ollivier 2018, arXiv 1804.11188).
        - Little of what is mixed comes from the cells beside the one right above, 2 % in all:
          shared evenly, what is carried would blur within some lines.
        - Values are an orthogonal product of the features, which keeps their norm from sweep to
          sweep (Saxe et al. 2014, arXiv 1312.6120).

        All are measured: docs/benchmarks/reach.md.
        """
        sides = self.bias[self.channels : -self.channels]
        lines = torch.empty(self.channels).uniform_(math.log(2), math.log(_LINES)).exp()
        self.bias[: self.channels] = torch.log(lines - 1)
        sides.fill_(math.log(_SIDES / (1 - _SIDES) / (taps - 1)))
        nn.init.orthogonal_(self.weight[-self.channels :])
        nn.init.zeros_(self.bias[-self.channels :])

    def sweep(self, lines: Tensor, *, reverse: bool, backend: str) -> Tensor:
        """Return the swept map, see `carry_sweep`."""
        return carry_sweep(lines, self.weight, self.bias, reverse=reverse, backend=backend)


_CELLS: dict[str, type[GRUSweepCell] | type[CarryCell]] = {"gru": GRUSweepCell, "carry": CarryCell}


def build_cell(
    name: CellName, init: InitName, channels: int, spatial_dims: int
) -> GRUSweepCell | CarryCell:
    """Return a new cell for maps of so many channels and axes.

    Raises:
        ValueError: if the cell or its initialisation is unknown, or `channels` is no whole number
            above 0.
    """
    check_whole(channels=channels)
    if name not in _CELLS:
        raise ValueError(f"cell must be one of {get_args(CellName)}, got {name!r}")
    if init not in get_args(InitName):
        raise ValueError(f"init must be one of {get_args(InitName)}, got {init!r}")
    return _CELLS[name](channels, 3 ** (spatial_dims - 1), init)
