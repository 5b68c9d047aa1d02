"""The compiled library that `setup.py` builds from `csrc/`: how it is loaded and given maps."""

import ctypes
import functools
from pathlib import Path

import torch
from torch import Tensor

LIBRARY = Path(__file__).with_name("_sweep.so")
INSTRUCTIONS = ("best", "portable", "avx2", "avx512")  # numbered as in csrc/sweep.h
VERSION = 2  # SDN_VERSION of csrc/sweep.h
_chosen: dict[str, int] = {}
PASSES = tuple(
    f"sdn_{kind}{way}" for kind in ("", "carry_", "mix_") for way in ("forward", "backward")
)


class Map(ctypes.Structure):
    """`SdnMap` of csrc/sweep.h."""

    _fields_ = [("data", ctypes.c_void_p), ("strides", ctypes.c_int64 * 4)]


def why_not(device: torch.device, dtype: torch.dtype) -> str | None:
    """Return why the library cannot run for such tensors, or None if it can."""
    if device.type != "cpu":
        return "it runs on the CPU only"
    return load()[1]


def instruction_sets() -> tuple[str, ...]:
    """Names of the instruction sets that this processor and the library have, best last."""
    library, _ = load()
    if library is None:
        return ()
    return INSTRUCTIONS[1 : 1 + library.sdn_best_instructions()]


def use_instructions(name: str) -> None:
    """Let "best" mean this one of `INSTRUCTIONS` from now on, to see how older processors do.

    Raises:
        ValueError: if this processor or the library does not have it.
    """
    known = ("best", *instruction_sets())
    if name not in known:
        raise ValueError(f"instructions must be one of {known}, got {name!r}")
    _chosen["best"] = INSTRUCTIONS.index(name)


def number_of(instructions: str) -> int:
    """Return the number by which the library knows an instruction set."""
    return _chosen.get(instructions, INSTRUCTIONS.index(instructions))


@functools.cache
def load() -> tuple[ctypes.CDLL | None, str | None]:
    """Return the library, or None and why there is none."""
    if not LIBRARY.exists():
        return (
            None,
            "it was not compiled at installation: a C++17 compiler (g++, clang++) is needed",
        )
    try:
        library = ctypes.CDLL(str(LIBRARY))
        if not hasattr(library, "sdn_version") or library.sdn_version() != VERSION:
            return None, "the compiled library is of another version: install sdunet again"
        for name in PASSES:
            getattr(library, name).argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError) as error:
        return None, f"the compiled library does not load: {error}"
    return library, None


def run(name: str, call: ctypes.Structure) -> None:
    """Run one of `PASSES`.

    Raises:
        MemoryError: if there is not enough.
        RuntimeError: if the processor lacks the instructions asked for.
    """
    status = getattr(load()[0], name)(ctypes.byref(call))
    if status == 1:
        raise MemoryError("the sweep needs more memory than there is")
    if status:
        raise RuntimeError("this processor does not have the instructions asked for")


def map_of(x: Tensor) -> Map:
    """Describe a map `(N, T, W, C)` or `(N, T, H, W, C)` whose features are adjacent."""
    images, lines, *rows, cells = x.stride()[:-1]
    return Map(x.data_ptr(), (images, lines, *(rows or [0]), cells))


def is_adjacent(x: Tensor) -> bool:
    """Return whether the features of a cell lie side by side."""
    return x.stride(-1) == 1 or x.shape[-1] == 1


def adjacent(x: Tensor) -> Tensor:
    """Return `x` with the features of a cell side by side, copied only if they are not."""
    if is_adjacent(x):
        return x
    return empty_adjacent(x).copy_(x)


def empty_adjacent(x: Tensor) -> Tensor:
    """Return memory for a map like `x` with the features of a cell side by side.

    The other axes keep their order in memory: across it PyTorch copies several times slower.
    """
    *axes, features = range(x.dim())
    order = sorted(axes, key=x.stride, reverse=True)
    back = [order.index(axis) for axis in axes]
    return x.new_empty([x.shape[axis] for axis in (*order, features)]).permute(*back, features)
