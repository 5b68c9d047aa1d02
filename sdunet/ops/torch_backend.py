r"""The sweep with a hand-derived backward, in batched PyTorch operations; runs on any device.

Only the product with the line above is sequential. The product of the cells themselves,
the gates of the backward pass and all weight gradients are computed for all lines at once.

With $s$ the neighbours of the line above, $h$ the cell, $a = W_{ih} s + b_{ih}$ and
$c = W_{hh} h + b_{hh}$ (each in three parts r, z, n):

$$r = \sigma(a_r + c_r), \quad z = \sigma(a_z + c_z), \quad n = \tanh(a_n + r\,c_n), \quad
  y = (1 - z)\,n + z\,h$$

$$\bar n = \bar y (1-z)(1-n^2), \quad \bar z = \bar y (h-n) z (1-z), \quad
  \bar r = \bar n\,c_n\,r(1-r)$$

$$\bar a = [\bar r, \bar z, \bar n], \quad \bar c = [\bar r, \bar z, r \bar n], \quad
  \bar h = \bar y z + W_{hh}^T \bar c, \quad \bar s = W_{ih}^T \bar a$$

and $\bar s$, scattered to the cells it was gathered from, is added to $\bar y$ of the line above.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sdunet.ops.gates import empty_gates
from sdunet.ops.reference import neighbours, scatter_neighbours


def why_not(device: torch.device, dtype: torch.dtype) -> str | None:
    """Return why this backend cannot run for such tensors; it always can."""
    return None


def walk(
    x: Tensor, from_cells: Tensor, w_ih: Tensor, b_ih: Tensor, y: Tensor, gates: Tensor
) -> None:
    """Fill `y` from its first line on, and `gates` unless they are empty.

    Args:
        x: the map, `(N, T, ..., C)`.
        from_cells: product of every cell but the first line's, `(N, T-1, ..., 3C)`.
        w_ih: as in `sdn_sweep`.
        b_ih: as in `sdn_sweep`.
        y: the swept map, like `x`; line 0 is filled.
        gates: see `empty_gates`.
    """
    for t in range(1, x.shape[1]):
        from_above = F.linear(neighbours(y[:, t - 1], x.dim() - 3), w_ih, b_ih)
        at_line = gates_of(from_above, from_cells[:, t - 1])
        _, update, new, _ = at_line
        torch.lerp(new, x[:, t], update, out=y[:, t])
        if gates.numel():
            torch.stack(at_line, dim=-2, out=gates[:, t - 1])


def walk_back(grad_gates: Tensor, grad_lines: Tensor, w_ih: Tensor) -> None:
    """Turn what a unit of gradient at `y` becomes into gradients, from the last line on.

    Args:
        grad_gates: at each gate, `(N, T-1, ..., 3, C)`; multiplied in place by the gradient.
        grad_lines: cotangent of `y`, `(N, T, ..., C)`; what flows back along the lines is added.
        w_ih: as in `sdn_sweep`.
    """
    for t in range(grad_lines.shape[1] - 1, 0, -1):
        at_line = grad_gates[:, t - 1].mul_(grad_lines[:, t].unsqueeze(-2))
        grad_above = at_line.flatten(-2) @ w_ih  # (N, ..., K*C)
        grad_lines[:, t - 1] += scatter_neighbours(grad_above, grad_lines.dim() - 3)


def forward(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    reverse: bool,
    keep_gates: bool,
    walk: Callable[..., None] = walk,
) -> tuple[Tensor, Tensor]:
    """Return the swept map, `(N, T, ..., C)` like `x`, and its gates, see `empty_gates`."""
    x = x.flip(1) if reverse else x
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    gates = empty_gates(x, keep_gates)
    y[:, 0] = x[:, 0]
    walk(x, F.linear(x[:, 1:], w_hh, b_hh), w_ih, b_ih, y, gates)
    return y.flip(1) if reverse else y, gates


def backward(
    grad_y: Tensor,
    x: Tensor,
    y: Tensor,
    gates: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    reverse: bool,
    walk_back: Callable[..., None] = walk_back,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of `(x, w_ih, w_hh, b_ih, b_hh)` for the cotangent `grad_y`."""
    grad_x = torch.empty_like(x)
    if reverse:
        grad_y, x, y = (lines.flip(1) for lines in (grad_y, x, y))
    plane_dims, channels = x.dim() - 3, x.shape[-1]
    hidden = x[:, 1:]
    above = neighbours(y[:, :-1], plane_dims)  # (N, T-1, ..., K*C)
    if gates.dim() > 1:
        reset, update, new, new_cell = gates.unbind(-2)
    else:
        from_above, from_cells = F.linear(above, w_ih, b_ih), F.linear(hidden, w_hh, b_hh)
        reset, update, new, new_cell = gates_of(from_above, from_cells)

    # What a unit of gradient at y becomes at each gate is known for all lines beforehand.
    to_new = (1 - update) * (1 - new * new)
    to_update = (hidden - new) * update * (1 - update)
    to_reset = to_new * new_cell * reset * (1 - reset)
    grad_gates = torch.stack([to_reset, to_update, to_new], dim=-2)  # (N, T-1, ..., 3, C)
    grad_lines = grad_y.clone(memory_format=torch.contiguous_format)
    walk_back(grad_gates, grad_lines, w_ih)

    grad_a = grad_gates.flatten(-2)  # (N, T-1, ..., 3C)
    grad_c = torch.cat([grad_a[..., : 2 * channels], grad_a[..., 2 * channels :] * reset], dim=-1)
    grad_lines[:, 1:] = grad_lines[:, 1:] * update + grad_c @ w_hh
    rows_a, rows_c = grad_a.flatten(0, -2), grad_c.flatten(0, -2)
    return (
        grad_x.copy_(grad_lines.flip(1) if reverse else grad_lines),
        rows_a.T @ above.flatten(0, -2),
        rows_c.T @ hidden.flatten(0, -2),
        rows_a.sum(0),
        rows_c.sum(0),
    )


def gates_of(from_above: Tensor, from_cell: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return `(reset, update, new, new_cell)` of a GRU from its two products, each `(..., 3C)`."""
    reset_above, update_above, new_above = from_above.chunk(3, -1)
    reset_cell, update_cell, new_cell = from_cell.chunk(3, -1)
    reset = torch.sigmoid(reset_above + reset_cell)
    update = torch.sigmoid(update_above + update_cell)
    return reset, update, torch.tanh(new_above + reset * new_cell), new_cell
