"""The sweep as the public code runs it: a GRUCell call per line, written in place into the map.

This is the contender that benchmarks compare against, transcribed from the description of the
published implementation (Miladinovic et al., 2021). Maps are `(N, C, H, W)`. Directions are the
names of `sdunet.layers.Sweep`, and the result is the same function of the same weights.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from sdunet.layers import Direction, Sweep


def sweep_in_place(
    x: Tensor, cells: Sequence[nn.GRUCell], directions: Sequence[Direction]
) -> Tensor:
    """Sweep `x`, `(N, C, H, W)`, in each direction in turn, line after line."""
    x = x.clone(memory_format=torch.channels_last)  # the layout the public code sweeps in
    for cell, direction in zip(cells, directions, strict=True):
        axis = 3 if direction in ("right", "left") else 2
        order = range(x.shape[axis])
        if direction in ("left", "up"):
            order = order[::-1]
        for above, at in pairwise(order):
            _update_line(x, cell, axis, above, at)
    return x.contiguous(memory_format=torch.contiguous_format)


def _update_line(x: Tensor, cell: nn.GRUCell, axis: int, above: int, at: int) -> None:
    n, channels = x.shape[:2]
    edge = x.new_zeros(n, channels, 1)
    line = torch.cat([edge, x.select(axis, above), edge], dim=2).transpose(1, 2)
    around = [line[:, start : start + line.shape[1] - 2] for start in range(3)]
    seen = torch.cat([tap.reshape(-1, channels) for tap in around], dim=1)
    hidden = x.select(axis, at).transpose(1, 2).reshape(-1, channels).clone()
    new = cell(seen, hidden)
    x.select(axis, at).copy_(new.reshape(n, -1, channels).transpose(1, 2))


class LoopSweep(nn.Module):
    """Drop-in for `Sweep` in images that runs the published loop with the same weights."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__()
        if not isinstance(sweep.cell, nn.GRUCell):
            raise ValueError("the published loop is of the published cell")
        self.direction = sweep.direction
        self.cell = sweep.cell

    def forward(self, x: Tensor) -> Tensor:
        """Return the swept map, shaped like `x`."""
        return sweep_in_place(x, [self.cell], [self.direction])
