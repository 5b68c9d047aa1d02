"""The sweep compiled for the processor: loads the library that `setup.py` builds from `csrc/`."""

import ctypes
import functools
from pathlib import Path

import torch
from torch import Tensor

from sdunet.ops.gates import empty_gates

LIBRARY = Path(__file__).with_name("_sweep.so")
INSTRUCTIONS = ("best", "portable", "avx2", "avx512")  # numbered as in csrc/sweep.h


class _Map(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("strides", ctypes.c_int64 * 4)]


class _Sweep(ctypes.Structure):
    """`SdnSweep` of csrc/sweep.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("images", "lines", "rows", "cells", "features")),
        *((name, ctypes.c_int64) for name in ("reverse", "volume", "bytes")),
        *((name, ctypes.c_int64) for name in ("threads", "instructions")),
        ("x", _Map),
        *((name, ctypes.c_void_p) for name in ("w_ih", "w_hh", "b_ih", "b_hh", "y", "gates")),
        ("grad_y", _Map),
        ("grad_x", _Map),
        *((name, ctypes.c_void_p) for name in ("grad_w_ih", "grad_w_hh")),
        *((name, ctypes.c_void_p) for name in ("grad_b_ih", "grad_b_hh")),
    ]


def why_not(device: torch.device, dtype: torch.dtype) -> str | None:
    """Return why this backend cannot run for such tensors, or None if it can."""
    if device.type != "cpu":
        return "it runs on the CPU only"
    return _load()[1]


def instruction_sets() -> tuple[str, ...]:
    """Names of the instruction sets that this processor and the library have, best last."""
    library, problem = _load()
    return () if problem else INSTRUCTIONS[1 : 1 + library.sdn_best_instructions()]


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
    x, weights = _adjacent(x), [w.contiguous() for w in (w_ih, w_hh, b_ih, b_hh)]
    y = torch.empty(x.shape, dtype=x.dtype)
    gates = empty_gates(x, keep_gates)
    sweep = _describe(x, weights, y, gates, reverse, instructions)
    _run(_load()[0].sdn_forward, sweep)
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
    swept_back = grad_x if _is_adjacent(grad_x) else _empty_adjacent(grad_x)
    x, grad_y, y = _adjacent(x), _adjacent(grad_y), y.contiguous()
    weights = [w.contiguous() for w in (w_ih, w_hh, b_ih, b_hh)]
    grads = [torch.empty_like(w, memory_format=torch.contiguous_format) for w in weights]
    sweep = _describe(x, weights, y, gates, reverse, instructions)
    sweep.grad_y, sweep.grad_x = _map(grad_y), _map(swept_back)
    for name, grad in zip(("w_ih", "w_hh", "b_ih", "b_hh"), grads, strict=True):
        setattr(sweep, f"grad_{name}", grad.data_ptr())
    _run(_load()[0].sdn_backward, sweep)
    return grad_x if swept_back is grad_x else grad_x.copy_(swept_back), *grads


@functools.cache
def _load() -> tuple[ctypes.CDLL | None, str | None]:
    """Return the library, or None and why there is none."""
    if not LIBRARY.exists():
        return (
            None,
            "it was not compiled at installation: a C++17 compiler (g++, clang++) is needed",
        )
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        return None, f"the compiled library does not load: {error}"
    for function in (library.sdn_forward, library.sdn_backward):
        function.argtypes = [ctypes.POINTER(_Sweep)]
    return library, None


def _is_adjacent(x: Tensor) -> bool:
    return x.stride(-1) == 1 or x.shape[-1] == 1


def _adjacent(x: Tensor) -> Tensor:
    """Return `x` with the features of a cell side by side, copied only if they are not."""
    if _is_adjacent(x):
        return x
    return _empty_adjacent(x).copy_(x)


def _empty_adjacent(x: Tensor) -> Tensor:
    """Return memory for a map like `x` with the features of a cell side by side.

    The other axes keep their order in memory: across it PyTorch copies several times slower.
    """
    *axes, features = range(x.dim())
    order = sorted(axes, key=x.stride, reverse=True)
    back = [order.index(axis) for axis in axes]
    return x.new_empty([x.shape[axis] for axis in (*order, features)]).permute(*back, features)


def _map(x: Tensor) -> _Map:
    strides = x.stride()[:-1]
    images, lines, *rows, cells = strides
    return _Map(x.data_ptr(), (images, lines, *(rows or [0]), cells))


def _describe(
    x: Tensor, weights: list[Tensor], y: Tensor, gates: Tensor, reverse: bool, instructions: str
) -> _Sweep:
    images, lines, *rows, cells, features = x.shape
    sweep = _Sweep(images, lines, *(rows or [1]), cells, features)
    sweep.reverse, sweep.volume, sweep.bytes = reverse, len(rows), x.element_size()
    sweep.threads = torch.get_num_threads()
    sweep.instructions = INSTRUCTIONS.index(instructions)
    sweep.x = _map(x)
    sweep.w_ih, sweep.w_hh, sweep.b_ih, sweep.b_hh = (w.data_ptr() for w in weights)
    sweep.y = y.data_ptr()
    sweep.gates = gates.data_ptr() if gates.numel() else None
    return sweep


def _run(function: ctypes._CFuncPtr, sweep: _Sweep) -> None:
    status = function(ctypes.byref(sweep))
    if status == 1:
        raise MemoryError("the sweep needs more memory than there is")
    if status:
        raise RuntimeError("this processor does not have the instructions asked for")
