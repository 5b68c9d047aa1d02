"""The carrying sweep compiled for the processor."""

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

__all__ = ["backward", "forward", "why_not"]


class _Carry(ctypes.Structure):
    """`SdnCarry` of csrc/sweep.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("images", "lines", "rows", "cells", "features")),
        *((name, ctypes.c_int64) for name in ("groups", "reverse", "volume", "bytes")),
        *((name, ctypes.c_int64) for name in ("threads", "instructions")),
        ("x", Map),
        *((name, ctypes.c_void_p) for name in ("w", "b")),
        *((name, Map) for name in ("y", "grad_y", "grad_x")),
        *((name, ctypes.c_void_p) for name in ("grad_w", "grad_b")),
    ]


def forward(x: Tensor, w: Tensor, b: Tensor, reverse: bool, instructions: str = "best") -> Tensor:
    """Return the swept map, contiguous."""
    x, w, b = adjacent(x), w.contiguous(), b.contiguous()
    # Writing across memory costs twice what reading so does; the next sweep mostly runs along.
    y = torch.empty(x.shape, dtype=x.dtype)
    run("sdn_carry_forward", _describe(x, w, b, y, reverse, instructions))
    return y


def backward(
    grad_y: Tensor,
    x: Tensor,
    y: Tensor,
    w: Tensor,
    b: Tensor,
    reverse: bool,
    instructions: str = "best",
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `(x, w, b)` for the cotangent `grad_y`."""
    grad_x = torch.empty_like(x)
    # Of a map that overlaps itself the features may lie apart here, which is then a copy.
    swept_back = grad_x if is_adjacent(grad_x) else empty_adjacent(grad_x)
    grad_y, x, y = adjacent(grad_y), adjacent(x), adjacent(y)
    w, b = w.contiguous(), b.contiguous()
    grad_w, grad_b = torch.empty_like(w), torch.empty_like(b)
    call = _describe(x, w, b, y, reverse, instructions)
    call.grad_y, call.grad_x = map_of(grad_y), map_of(swept_back)
    call.grad_w, call.grad_b = grad_w.data_ptr(), grad_b.data_ptr()
    run("sdn_carry_backward", call)
    return grad_x if swept_back is grad_x else grad_x.copy_(swept_back), grad_w, grad_b


def _describe(
    x: Tensor, w: Tensor, b: Tensor, y: Tensor, reverse: bool, instructions: str
) -> _Carry:
    images, lines, *rows, cells, features = x.shape
    call = _Carry(images, lines, *(rows or [1]), cells, features)
    call.groups = (w.shape[0] - 2 * features) // (3 ** (1 + len(rows)) - 1)
    call.reverse, call.volume, call.bytes = reverse, len(rows), x.element_size()
    call.threads = torch.get_num_threads()
    call.instructions = number_of(instructions)
    call.x, call.y = map_of(x), map_of(y)
    call.w, call.b = w.data_ptr(), b.data_ptr()
    return call
