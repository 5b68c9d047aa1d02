"""The GRU sweep compiled for the processor."""

import ctypes

import torch
from torch import Tensor

from sdunet.ops.cpu_library import (
    Map,
    adjacent,
    empty_adjacent,
    is_adjacent,
    map_of,
    number_of,
    run,
    why_not,
)
from sdunet.ops.gates import empty_gates

__all__ = ["backward", "forward", "why_not"]


class _Sweep(ctypes.Structure):
    """`SdnSweep` of csrc/sweep.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("images", "lines", "rows", "cells", "features")),
        *((name, ctypes.c_int64) for name in ("reverse", "volume", "bytes")),
        *((name, ctypes.c_int64) for name in ("threads", "instructions")),
        ("x", Map),
        *((name, ctypes.c_void_p) for name in ("w_ih", "w_hh", "b_ih", "b_hh", "y", "gates")),
        ("grad_y", Map),
        ("grad_x", Map),
        *((name, ctypes.c_void_p) for name in ("grad_w_ih", "grad_w_hh")),
        *((name, ctypes.c_void_p) for name in ("grad_b_ih", "grad_b_hh")),
    ]


def forward(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    reverse: bool,
    keep_gates: bool,
    instructions: str = "best",
) -> tuple[Tensor, Tensor]:
    """Return the swept map and its gates, see `empty_gates`."""
    x, weights = adjacent(x), [w.contiguous() for w in (w_ih, w_hh, b_ih, b_hh)]
    y = torch.empty(x.shape, dtype=x.dtype)
    gates = empty_gates(x, keep_gates)
    sweep = _describe(x, weights, y, gates, reverse, instructions)
    run("sdn_forward", sweep)
    return y, gates


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
    instructions: str = "best",
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of `(x, w_ih, w_hh, b_ih, b_hh)` for the cotangent `grad_y`."""
    grad_x = torch.empty_like(x)
    # Where features lie apart in `x`, so they do in its gradient, which is then a copy.
    swept_back = grad_x if is_adjacent(grad_x) else empty_adjacent(grad_x)
    x, grad_y, y = adjacent(x), adjacent(grad_y), y.contiguous()
    weights = [w.contiguous() for w in (w_ih, w_hh, b_ih, b_hh)]
    grads = [torch.empty_like(w, memory_format=torch.contiguous_format) for w in weights]
    sweep = _describe(x, weights, y, gates, reverse, instructions)
    sweep.grad_y, sweep.grad_x = map_of(grad_y), map_of(swept_back)
    for name, grad in zip(("w_ih", "w_hh", "b_ih", "b_hh"), grads, strict=True):
        setattr(sweep, f"grad_{name}", grad.data_ptr())
    run("sdn_backward", sweep)
    grad_w_ih, grad_w_hh, grad_b_ih, grad_b_hh = grads
    if swept_back is not grad_x:
        grad_x.copy_(swept_back)
    return grad_x, grad_w_ih, grad_w_hh, grad_b_ih, grad_b_hh


def _describe(
    x: Tensor, weights: list[Tensor], y: Tensor, gates: Tensor, reverse: bool, instructions: str
) -> _Sweep:
    images, lines, *rows, cells, features = x.shape
    sweep = _Sweep(images, lines, *(rows or [1]), cells, features)
    sweep.reverse, sweep.volume, sweep.bytes = reverse, len(rows), x.element_size()
    sweep.threads = torch.get_num_threads()
    sweep.instructions = number_of(instructions)
    sweep.x = map_of(x)
    sweep.w_ih, sweep.w_hh, sweep.b_ih, sweep.b_hh = (w.data_ptr() for w in weights)
    sweep.y = y.data_ptr()
    sweep.gates = gates.data_ptr() if gates.numel() else None
    return sweep
