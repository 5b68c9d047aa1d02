r"""The carrying sweep with a hand-derived backward, in batched PyTorch operations; any device.

Gates and values depend on the cells alone and are computed for all lines at once; only the mix of
the line above is sequential, and backwards only what flows through it.

With $c$ the carry gates, $a_k$ the shares of the taps, $v$ the values, $m = \sum_k a_k y_k$ the
mix of the neighbours $y_k$ on the line above, and $y = c\,m + (1 - c)\,v$:

$$\bar c = \bar y (m-v) c (1-c), \quad \bar v = \bar y (1-c), \quad \bar m = \bar y c, \quad
  p_k = \sum_{group} \bar m\,y_k, \quad \bar a_k = a_k (p_k - \sum_j a_j p_j)$$

and $a_k \bar m$, scattered to the cells it was gathered from, is added to $\bar y$ of the line
above. The gradient of $x$ is all these gradients times their weights.
"""

import torch
from torch import Tensor

from sdunet.ops.reference import carry_terms, neighbours_inside, scatter_inside
from sdunet.ops.torch_backend import why_not

__all__ = ["backward", "forward", "why_not"]


def walk(y: Tensor, values: Tensor, carries: Tensor, shares: Tensor) -> None:
    """Fill `y` from its first line on.

    Args:
        y: the swept map, `(N, T, ..., C)`; line 0 is filled.
        values: `(N, T, ..., C)`.
        carries: `(N, T, ..., C)`, 0 to 1.
        shares: of the taps, `(N, T, ..., K, G)`; they sum to 1 over K.
    """
    for t in range(1, y.shape[1]):
        seen = neighbours_inside(y[:, t - 1], y.dim() - 3)
        mixed = _mix(shares[:, t], seen)
        torch.lerp(values[:, t], mixed, carries[:, t], out=y[:, t])


def walk_back(grad_lines: Tensor, carries: Tensor, shares: Tensor) -> None:
    """Add to the gradient of every line what flows back to it from the next, last line first.

    Args:
        grad_lines: cotangent of `y`, `(N, T, ..., C)`.
        carries: as in `walk`.
        shares: as in `walk`.
    """
    for t in range(grad_lines.shape[1] - 1, 0, -1):
        to_mix = grad_lines[:, t] * carries[:, t]
        to_seen = _spread(shares[:, t], to_mix)  # (N, ..., K, C)
        grad_lines[:, t - 1] += scatter_inside(to_seen, grad_lines.dim() - 3)


def forward(x: Tensor, w: Tensor, b: Tensor, reverse: bool) -> Tensor:
    """Return the swept map, contiguous."""
    lines = x.flip(1) if reverse else x
    y = torch.empty_like(lines, memory_format=torch.contiguous_format)
    carries, shares, values = carry_terms(lines, w, b)
    y[:, 0] = values[:, 0]
    walk(y, values, carries, shares)
    return y.flip(1) if reverse else y


def backward(
    grad_y: Tensor, x: Tensor, y: Tensor, w: Tensor, b: Tensor, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `(x, w, b)` for the cotangent `grad_y`."""
    grad_x = torch.empty_like(x)
    if reverse:
        grad_y, x, y = (lines.flip(1) for lines in (grad_y, x, y))
    carries, shares, values = carry_terms(x, w, b)
    grad_lines = grad_y.clone(memory_format=torch.contiguous_format)
    walk_back(grad_lines, carries, shares)

    seen = neighbours_inside(y[:, :-1], x.dim() - 3)  # (N, T-1, ..., K, C)
    later, carries, shares = grad_lines[:, 1:], carries[:, 1:], shares[:, 1:]
    to_mix = later * carries
    to_shares = (to_mix.unsqueeze(-2) * seen).unflatten(-1, (shares.shape[-1], -1)).sum(-1)
    to_shares = shares * (to_shares - (shares * to_shares).sum(-2, keepdim=True))
    before, _, after = to_shares.tensor_split([seen.shape[-2] // 2, seen.shape[-2] // 2 + 1], -2)
    to_carries = (later - to_mix) * carries * (_mix(shares, seen) - values[:, 1:])
    later -= to_mix
    grads = x.new_zeros(*x.shape[:-1], len(b))  # line 0 has no gates
    grads[..., len(b) - x.shape[-1] :] = grad_lines
    gates = [to_carries, before.flatten(-2), after.flatten(-2)]
    grads[:, 1:, ..., : len(b) - x.shape[-1]] = torch.cat(gates, dim=-1)
    grad_lines, rows = grads @ w, grads.flatten(0, -2)
    return (
        grad_x.copy_(grad_lines.flip(1) if reverse else grad_lines),
        rows.T @ x.flatten(0, -2),
        rows.sum(0),
    )


def _mix(shares: Tensor, seen: Tensor) -> Tensor:
    """Return the sum over taps, `(..., C)`, of neighbours `(..., K, C)` by their shares."""
    return (shares.unsqueeze(-1) * seen.unflatten(-1, (shares.shape[-1], -1))).sum(-3).flatten(-2)


def _spread(shares: Tensor, to_mix: Tensor) -> Tensor:
    """Adjoint of `_mix` in the neighbours."""
    grouped = to_mix.unflatten(-1, (shares.shape[-1], -1)).unsqueeze(-3)  # (..., 1, G, C / G)
    return (shares.unsqueeze(-1) * grouped).flatten(-2)
