"""Our sweep, of a cell that carries the line above: checks, choice of a backend, registration."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from sdunet.ops import cpu_carry, torch_carry, triton_carry
from sdunet.ops.dispatch import check_map, check_weights, choose, inner_dtype
from sdunet.ops.reference import carry_sweep_reference

# Each module has `forward` and `backward`.
_BACKENDS: dict[str, ModuleType] = {"cpu": cpu_carry, "triton": triton_carry, "torch": torch_carry}


def carry_sweep(
    x: Tensor, w: Tensor, b: Tensor, *, reverse: bool = False, backend: str = "auto"
) -> Tensor:
    r"""Carry a feature map from line to line, each cell choosing what to take from above.

    From its own features every cell makes a carry gate for each channel, weights of the K cells
    around it on the line above, and a value: $[\hat c, \hat a, v] = W x_{t,i} + b$. Line 0 is its
    values. With $c = \sigma(\hat c)$ and the softmax $a$ of $\hat a$ over the K cells, where
    $\hat a$ of the cell right above is 0,

    $$y_{t,i} = c \odot \sum_k a_k\, y_{t-1,i+k} + (1 - c) \odot v_{t,i}$$

    Past the edge stands the cell at the edge again. So every cell is a mean of values, never
    larger than the largest of them, and as the line above enters linearly, by gates that do not
    depend on it, a gradient over many lines neither vanishes nor explodes by itself.
    `carry_sweep_reference` is this definition in code.

    Args:
        x: feature map, `(N, T, W, C)`: T lines of W cells; or `(N, T, H, W, C)` for volumes.
            Need not be square or contiguous. Never written to.
        w: weights, `(2C + (K-1)*G, C)`: rows of C carry gates, then of each of the K cells (3 in
            images, 9 in volumes, in lexicographic order of their offset) but the one right above,
            of G groups of channels that are mixed alike, then of C values. G must divide C.
        b: biases, `(2C + (K-1)*G,)`.
        reverse: sweep from the last line to the first.
        backend: see `sdn_sweep`.

    Returns:
        Tensor of the shape and dtype of `x`. Half-precision maps are swept in float32, also
        under autocast. Second derivatives need `backend="reference"`.

    Raises:
        ValueError: if a shape does not fit `x`, dtypes or devices differ, or the backend is
            unknown or cannot run here.

    Examples:
        >>> import torch
        >>> w, b = torch.zeros(16 + 2 * 4, 8), torch.zeros(16 + 2 * 4)  # 4 groups of 2
        >>> carry_sweep(torch.zeros(2, 5, 7, 8), w, b).shape
        torch.Size([2, 5, 7, 8])

    Reference:
        The row-stochastic mix is that of generalized spatial propagation networks (Wang et al.,
        2025, arXiv 2501.12381), the gate that of a minimal gated recurrence whose gates do not
        read the state (Qin et al., HGRN, 2023, arXiv 2311.04823).
    """
    _check(x, w, b)
    args = [_adjacent(x).to(inner_dtype(x.dtype)), *(p.to(inner_dtype(x.dtype)) for p in (w, b))]
    if backend == "reference":
        with torch.autocast(x.device.type, enabled=False):
            return carry_sweep_reference(*args, reverse=reverse).to(x.dtype)
    return _carry(*args, reverse, backend).to(x.dtype)


@torch.library.custom_op("sdunet::carry", mutates_args=())
def _carry(x: Tensor, w: Tensor, b: Tensor, reverse: bool, backend: str) -> Tensor:
    """Return the swept map, contiguous."""
    module = _BACKENDS[choose(backend, x)]
    with torch.autocast(x.device.type, enabled=False):
        return module.forward(x, w, b, reverse)


@_carry.register_fake
def _(x, w, b, reverse, backend) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("sdunet::carry_backward", mutates_args=())
def _carry_backward(
    grad_y: Tensor, x: Tensor, y: Tensor, w: Tensor, b: Tensor, reverse: bool, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the three tensors; that of `x` lies in memory as `x`, if dense."""
    module = _BACKENDS[choose(backend, x)]
    with torch.autocast(x.device.type, enabled=False):
        return module.backward(grad_y, x, y, w, b, reverse)


@_carry_backward.register_fake
def _(grad_y, x, y, w, b, reverse, backend) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), w.new_empty(w.shape), b.new_empty(b.shape)


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, w, b, ctx.reverse, ctx.backend = inputs
    ctx.save_for_backward(x, output, w, b)


def _differentiate(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    grads = _carry_backward(grad_y, *ctx.saved_tensors, ctx.reverse, ctx.backend)
    return (*grads, None, None)


_carry.register_autograd(_differentiate, setup_context=_save)


def _adjacent(x: Tensor) -> Tensor:
    """Return `x` with the features of a cell side by side; the other axes keep their order."""
    if x.stride(-1) == 1 or x.shape[-1] == 1:
        return x
    if torch.compiler.is_compiling():  # strides that are not known yet have no order
        return x.contiguous()
    *axes, features = range(x.dim())
    order = sorted(axes, key=x.stride, reverse=True)
    back = [order.index(axis) for axis in axes]
    return x.permute(*order, features).contiguous().permute(*back, features)


def _check(x: Tensor, w: Tensor, b: Tensor) -> None:
    check_map(x)
    channels, sides = x.shape[-1], 3 ** (x.dim() - 3) - 1
    rows = w.shape[0] if w.dim() else 0
    groups, rest = divmod(rows - 2 * channels, sides)
    if rest or groups < 1 or channels % groups:
        raise ValueError(
            f"w must have 2C + {sides}G rows, with G a divisor of C={channels}, "
            f"got {tuple(w.shape)}"
        )
    check_weights(x, {"w": w, "b": b}, {"w": (rows, channels), "b": (rows,)})
