"""Which backends can run, and the choice among them. The same for both sweeps."""

from types import ModuleType

import torch
from torch import Tensor

from sdunet.ops import cpu_backend, torch_backend, triton_backend

# Fastest first. Each module has `why_not`.
_BACKENDS: dict[str, ModuleType] = {
    "cpu": cpu_backend,
    "triton": triton_backend,
    "torch": torch_backend,
}


def backends(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[str, ...]:
    """Names that the sweeps accept as `backend` for such tensors, fastest first."""
    missing = missing_backends(device, dtype)
    return (*(name for name in _BACKENDS if name not in missing), "reference")


def missing_backends(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> dict[str, str]:
    """Names of the backends that cannot run for such tensors, each with the reason."""
    device, dtype = torch.device(device), inner_dtype(dtype)
    reasons = {name: module.why_not(device, dtype) for name, module in _BACKENDS.items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def choose(backend: str, x: Tensor) -> str:
    """Return the name of the backend to run for `x`.

    Raises:
        ValueError: if `backend` is unknown or cannot run there.
    """
    missing = missing_backends(x.device, x.dtype)
    if backend == "auto":
        return next(name for name in _BACKENDS if name not in missing)
    if backend not in _BACKENDS:
        names = ("auto", *_BACKENDS, "reference")
        raise ValueError(f"backend must be one of {names}, got {backend!r}")
    if backend in missing:
        raise ValueError(f"backend {backend!r} cannot run on {x.device}: {missing[backend]}")
    return backend


def inner_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the type a sweep computes in: half-precision gates lose the state over many lines."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def check_map(x: Tensor) -> None:
    """Refuse what is not a map of lines.

    Raises:
        ValueError: if the number of axes, the dtype or a size does not fit.
    """
    if x.dim() not in (4, 5):
        raise ValueError(f"x must be (N, T, W, C) or (N, T, H, W, C), got {tuple(x.shape)}")
    if inner_dtype(x.dtype) not in (torch.float32, torch.float64):
        raise ValueError(f"x must be a floating-point tensor of 16 bits or more, got {x.dtype}")
    if 0 in x.shape[1:]:
        raise ValueError(f"x must have at least one line, cell and channel, got {tuple(x.shape)}")


def check_weights(
    x: Tensor, weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> None:
    """Refuse weights that do not fit the map.

    Raises:
        ValueError: if a shape, device or dtype differs.
    """
    for name, tensor in weights.items():
        if tensor.shape != shapes[name]:
            raise ValueError(
                f"{name} must be {shapes[name]} for x with C={x.shape[-1]}, "
                f"got {tuple(tensor.shape)}"
            )
        if tensor.device != x.device:
            raise ValueError(f"{name} must be on {x.device} like x, got {tensor.device}")
        if inner_dtype(tensor.dtype) != inner_dtype(x.dtype):
            raise ValueError(f"{name} must have the dtype of x, {x.dtype}, got {tensor.dtype}")
