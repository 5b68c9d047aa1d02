"""The published sweep, of a GRU cell: checks, choice of a backend, registration with PyTorch."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from sdunet.ops import cpu_backend, torch_backend, triton_backend
from sdunet.ops.dispatch import check_map, check_weights, choose, inner_dtype
from sdunet.ops.gates import empty_gates
from sdunet.ops.reference import sdn_sweep_reference

# Each module has `forward` and `backward`.
_BACKENDS: dict[str, ModuleType] = {
    "cpu": cpu_backend,
    "triton": triton_backend,
    "torch": torch_backend,
}

# With more features than these, products outweigh all else, and keeping the gates for the
# backward pass costs less time than computing them again. With fewer, memory is worth more.
_KEEPS_GATES_ABOVE = 64


def sdn_sweep(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    *,
    reverse: bool = False,
    backend: str = "auto",
) -> Tensor:
    r"""Sweep a gated update down a feature map, one line after another.

    Line 0 is returned as it is. Each cell of line $t > 0$ is the hidden state of a GRU whose
    hidden state so far is the cell itself, and whose input is the finished cells around it on
    the line above (left, centre, right; zeros past the edge):

    $$y_{t,i} = \mathrm{GRU}\big([\,y_{t-1,i-1},\; y_{t-1,i},\; y_{t-1,i+1}\,],\; x_{t,i}\big)$$

    In volumes a line is a plane of H x W cells and K = 9 cells of the plane above are read, in
    lexicographic order of their offset. Gate order, gate formulas and initial scale are those of
    `torch.nn.GRUCell`, so its parameters can be passed straight in.
    `sdn_sweep_reference` is this definition in code.

    Args:
        x: feature map, `(N, T, W, C)`: T lines of W cells; or `(N, T, H, W, C)` for volumes.
            Need not be square or contiguous. Never written to.
        w_ih: weights of the K cells above, `(3C, K*C)`, K = 3 for images and 9 for volumes.
        w_hh: weights of the cell itself, `(3C, C)`.
        b_ih: bias added to the first product, `(3C,)`.
        b_hh: bias added to the second product, `(3C,)`.
        reverse: sweep from the last line to the first, as if the lines were flipped before and
            after. Flipping costs a third of a sweep, this nothing.
        backend: `"auto"` or one of `backends()`. Auto takes the fastest that can run on the
            device of `x`; a named backend never falls back to another.

    Returns:
        Tensor of the shape and dtype of `x`. Half-precision maps are swept in float32, also
        under autocast. Second derivatives need `backend="reference"`.

    Raises:
        ValueError: if a shape does not fit `x`, dtypes or devices differ, or the backend is
            unknown or cannot run here.

    Examples:
        >>> import torch
        >>> cell = torch.nn.GRUCell(3 * 8, 8)
        >>> sdn_sweep(torch.zeros(2, 5, 7, 8), *cell.parameters()).shape
        torch.Size([2, 5, 7, 8])

    Reference:
        Miladinovic et al., Spatial Dependency Networks, ICLR 2021, arXiv 2103.08877.
    """
    weights = {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh}
    _check(x, weights)
    args = [tensor.to(inner_dtype(x.dtype)) for tensor in (x, *weights.values())]
    if backend == "reference":
        # Half-precision gates lose the state over many lines, so autocast ends here.
        with torch.autocast(x.device.type, enabled=False):
            return sdn_sweep_reference(*args, reverse=reverse).to(x.dtype)
    trains = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in args)
    keep_gates = trains and x.shape[-1] > _KEEPS_GATES_ABOVE
    y, _ = _sweep(*args, reverse, keep_gates, backend)
    return y.to(x.dtype)


@torch.library.custom_op("sdunet::sweep", mutates_args=())
def _sweep(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    reverse: bool,
    keep_gates: bool,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """Return the swept map and its gates (see `empty_gates`), both contiguous."""
    module = _BACKENDS[choose(backend, x)]
    with torch.autocast(x.device.type, enabled=False):
        return module.forward(x, w_ih, w_hh, b_ih, b_hh, reverse, keep_gates)


@_sweep.register_fake
def _(x, w_ih, w_hh, b_ih, b_hh, reverse, keep_gates, backend) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), empty_gates(x, keep_gates)


@torch.library.custom_op("sdunet::sweep_backward", mutates_args=())
def _sweep_backward(
    grad_y: Tensor,
    x: Tensor,
    y: Tensor,
    gates: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of the five tensors.

    That of `x` lies in memory as `x` does, as far as that is dense; the others are contiguous.
    """
    module = _BACKENDS[choose(backend, x)]
    with torch.autocast(x.device.type, enabled=False):
        return module.backward(grad_y, x, y, gates, w_ih, w_hh, b_ih, b_hh, reverse)


@_sweep_backward.register_fake
def _(grad_y, x, y, gates, w_ih, w_hh, b_ih, b_hh, reverse, backend) -> tuple[Tensor, ...]:
    weights = (w_ih, w_hh, b_ih, b_hh)
    return (torch.empty_like(x), *(tensor.new_empty(tensor.shape) for tensor in weights))


def _save(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    x, *weights, ctx.reverse, _, ctx.backend = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(x, *output, *weights)


def _differentiate(ctx: Any, grad_y: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    grads = _sweep_backward(grad_y, *ctx.saved_tensors, ctx.reverse, ctx.backend)
    return (*grads, None, None, None)


_sweep.register_autograd(_differentiate, setup_context=_save)


def _check(x: Tensor, weights: dict[str, Tensor]) -> None:
    check_map(x)
    channels, taps = x.shape[-1], 3 ** (x.dim() - 3)
    shapes = {
        "w_ih": (3 * channels, taps * channels),
        "w_hh": (3 * channels, channels),
        "b_ih": (3 * channels,),
        "b_hh": (3 * channels,),
    }
    check_weights(x, weights, shapes)
