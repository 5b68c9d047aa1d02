"""The definitions of both sweeps, plain loops under autograd. Every backend is held to them.

Letters: N batch, T lines, W cells of a line (H x W of a plane in volumes), C channels,
K = 3 (9) neighbours, G groups of channels.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def neighbours(lines: Tensor, plane_dims: int) -> Tensor:
    """Gather around each cell the cells of its own line, zeros past the edge.

    Args:
        lines: `(..., W, C)`, or `(..., H, W, C)` for volumes.
        plane_dims: 1 if a line is a row of cells, 2 if it is a plane of cells.

    Returns:
        `(..., W, 3C)` or `(..., H, W, 9C)`, neighbours in lexicographic order of their offset.
    """
    sizes = lines.shape[-1 - plane_dims : -1]
    padded = F.pad(lines, (0, 0, *(1, 1) * plane_dims))
    return torch.cat([_shifted(padded, at, sizes) for at in offsets(plane_dims)], dim=-1)


def neighbours_inside(lines: Tensor, plane_dims: int) -> Tensor:
    """Gather around each cell the cells of its own line; past the edge stands the edge again.

    Arguments as in `neighbours`; returns `(..., K, C)`.
    """
    sizes = lines.shape[-1 - plane_dims : -1]
    for dim in range(-1 - plane_dims, -1):
        first, last = lines.narrow(dim, 0, 1), lines.narrow(dim, lines.shape[dim] - 1, 1)
        lines = torch.cat([first, lines, last], dim)
    places = offsets(plane_dims)
    return torch.stack([_shifted(lines, at, sizes) for at in places], dim=-2)


def scatter_inside(gathered: Tensor, plane_dims: int) -> Tensor:
    """Adjoint of `neighbours_inside`: add each copy back to the cell it was taken from."""
    *batch, _, channels = gathered.shape
    sizes = batch[len(batch) - plane_dims :]
    padded = gathered.new_zeros(
        *batch[: len(batch) - plane_dims], *(size + 2 for size in sizes), channels
    )
    for at, tap in zip(offsets(plane_dims), gathered.unbind(-2), strict=True):
        _shifted(padded, at, sizes).add_(tap)
    for dim in range(-1 - plane_dims, -1):
        size = padded.shape[dim] - 2
        padded.narrow(dim, 1, 1).add_(padded.narrow(dim, 0, 1))
        padded.narrow(dim, size, 1).add_(padded.narrow(dim, size + 1, 1))
        padded = padded.narrow(dim, 1, size)
    return padded


def scatter_neighbours(gathered: Tensor, plane_dims: int) -> Tensor:
    """Adjoint of `neighbours`: add each copy back to the cell it was taken from."""
    *batch, channels = gathered.shape
    sizes = batch[len(batch) - plane_dims :]
    taps = gathered.chunk(3**plane_dims, dim=-1)
    padded_sizes = (*batch[: len(batch) - plane_dims], *(size + 2 for size in sizes))
    padded = gathered.new_zeros(*padded_sizes, channels // len(taps))
    for at, tap in zip(offsets(plane_dims), taps, strict=True):
        _shifted(padded, at, sizes).add_(tap)
    return _shifted(padded, (1,) * plane_dims, sizes)


def offsets(plane_dims: int) -> list[tuple[int, ...]]:
    """Positions of the neighbours in a padded line: 0 is before the cell, 1 is at it."""
    return list(itertools.product(range(3), repeat=plane_dims))


def _shifted(padded: Tensor, at: Sequence[int], sizes: Sequence[int]) -> Tensor:
    for dim, (start, size) in enumerate(zip(at, sizes, strict=True), start=-1 - len(at)):
        padded = padded.narrow(dim, start, size)
    return padded


def sdn_sweep_reference(
    x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, *, reverse: bool = False
) -> Tensor:
    """Sweep `x` line by line; arguments as in `sdn_sweep`. Any dtype, twice differentiable."""
    first, *others = x.unbind(1)[:: -1 if reverse else 1]
    lines = [first]
    for hidden in others:
        from_above = F.linear(neighbours(lines[-1], x.dim() - 3), w_ih, b_ih)
        from_cell = F.linear(hidden, w_hh, b_hh)
        reset_above, update_above, new_above = from_above.chunk(3, -1)
        reset_cell, update_cell, new_cell = from_cell.chunk(3, -1)
        reset = torch.sigmoid(reset_above + reset_cell)
        update = torch.sigmoid(update_above + update_cell)
        new = torch.tanh(new_above + reset * new_cell)
        lines.append((1 - update) * new + update * hidden)
    return torch.stack(lines[:: -1 if reverse else 1], dim=1)


def carry_terms(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what each cell of a carrying sweep makes of itself; arguments as in `carry_sweep`.

    Returns:
        carry gates `(N, T, ..., C)`, shares of the taps `(N, T, ..., K, G)` and values
        `(N, T, ..., C)`.
    """
    channels = x.shape[-1]
    carries, sides, values = F.linear(x, w, b).tensor_split([channels, len(b) - channels], -1)
    sides = sides.unflatten(-1, (3 ** (x.dim() - 3) - 1, -1))
    before, after = sides.tensor_split(2, -2)
    shares = torch.cat([before, torch.zeros_like(sides[..., :1, :]), after], -2).softmax(-2)
    return torch.sigmoid(carries), shares, values


def carry_sweep_reference(x: Tensor, w: Tensor, b: Tensor, *, reverse: bool = False) -> Tensor:
    """Sweep `x` line by line; arguments as in `carry_sweep`. Any dtype, twice differentiable."""
    carries, shares, values = carry_terms(x, w, b)
    lines = list(range(x.shape[1]))[:: -1 if reverse else 1]
    y = {lines[0]: values[:, lines[0]]}
    for before, t in itertools.pairwise(lines):
        seen = neighbours_inside(y[before], x.dim() - 3)  # (..., K, C)
        groups = seen.unflatten(-1, (shares.shape[-1], -1))  # (..., K, G, C / G)
        mixed = (shares[:, t].unsqueeze(-1) * groups).sum(-3).flatten(-2)
        y[t] = carries[:, t] * mixed + (1 - carries[:, t]) * values[:, t]
    return torch.stack([y[t] for t in sorted(lines)], dim=1)
