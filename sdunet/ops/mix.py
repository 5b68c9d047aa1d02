"""Mixing a swept map with a convolved one by gates of the sweep, in one pass over memory."""

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sdunet.ops.cpu_library import number_of, run, why_not


class _Mix(ctypes.Structure):
    """`SdnMix` of csrc/sweep.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("images", "cells", "features", "outputs", "planes")),
        *((name, ctypes.c_int64) for name in ("bytes", "threads", "instructions")),
        *((name, ctypes.c_void_p) for name in ("swept", "other", "w", "b", "y", "grad_y")),
        *((name, ctypes.c_void_p) for name in ("grad_swept", "grad_other", "grad_w", "grad_b")),
    ]


def gated_mix(
    swept: Tensor, weight: Tensor, bias: Tensor, other: Tensor, *, channels_last: bool
) -> Tensor:
    r"""Mix a map with what a swept map says instead, by gates of the swept map.

    $$y = g \odot \mathrm{other} + (1 - g) \odot v, \quad [v, g'] = W\,\mathrm{swept} + b, \quad
      g = \sigma(g')$$

    Args:
        swept: `(N, F, ...)`.
        weight: `(2O, F)`, rows of values, then of gates.
        bias: `(2O,)`.
        other: `(N, O, ...)`.
        channels_last: lay the result out in memory so, else contiguous.

    Returns:
        `(N, O, ...)`. Float32 and float64 on processors by the compiled kernel, where it is there;
        these have no second derivatives.
    """
    dtypes = [tensor.dtype for tensor in (swept, weight, bias, other)]
    if dtypes in ([torch.float32] * 4, [torch.float64] * 4):
        cells, others = (x.movedim(1, -1).contiguous() for x in (swept, other))  # (N, ..., F or O)
        y = _mix(cells, weight.contiguous(), bias.contiguous(), others, not channels_last)
        return y.movedim(-1, 1) if channels_last else y
    layout = _CHANNELS_LAST[swept.dim()] if channels_last else torch.contiguous_format
    value, gate = F.linear(swept.movedim(1, -1), weight, bias).movedim(-1, 1).chunk(2, 1)
    return torch.lerp(value, other, torch.sigmoid(gate)).contiguous(memory_format=layout)


_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


@torch.library.custom_op("sdunet::mix", mutates_args=())
def _mix(swept: Tensor, weight: Tensor, bias: Tensor, other: Tensor, planes: bool) -> Tensor:
    """Return `(N, O, ...)` if `planes`, else `(N, ..., O)`, of maps `(N, ..., channels)`."""
    if why_not(swept.device, swept.dtype):
        value, gate = F.linear(swept, weight, bias).chunk(2, -1)
        y = torch.lerp(value, other, torch.sigmoid(gate))
        return y.movedim(-1, 1).contiguous() if planes else y
    y = other.new_empty(_shape(other, planes))
    call = _describe(swept, weight, bias, other, planes)
    call.y = y.data_ptr()
    run("sdn_mix_forward", call)
    return y


@_mix.register_fake
def _(swept, weight, bias, other, planes) -> Tensor:
    return other.new_empty(_shape(other, planes))


@torch.library.custom_op("sdunet::mix_backward", mutates_args=())
def _mix_backward(
    grad_y: Tensor, swept: Tensor, weight: Tensor, bias: Tensor, other: Tensor, planes: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of the four tensors."""
    if why_not(swept.device, swept.dtype):
        return _plain_backward(grad_y, swept, weight, bias, other, planes)
    grads = (
        *(torch.empty_like(swept), torch.empty_like(weight)),
        *(torch.empty_like(bias), torch.empty_like(other)),
    )
    grad_y = grad_y.contiguous()
    call = _describe(swept, weight, bias, other, planes)
    call.grad_y = grad_y.data_ptr()
    names = ("grad_swept", "grad_w", "grad_b", "grad_other")
    for name, grad in zip(names, grads, strict=True):
        setattr(call, name, grad.data_ptr())
    run("sdn_mix_backward", call)
    return grads


def _plain_backward(
    grad_y: Tensor, swept: Tensor, weight: Tensor, bias: Tensor, other: Tensor, planes: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    grad_y = grad_y.movedim(1, -1) if planes else grad_y
    value, gate = F.linear(swept, weight, bias).chunk(2, -1)
    gate = torch.sigmoid(gate)
    to_other = (grad_y * gate).contiguous()
    to_value = grad_y - to_other
    grads = torch.cat([to_value, to_value * gate * (other - value)], -1)  # (N, ..., 2O)
    rows = grads.flatten(0, -2)
    return grads @ weight, rows.T @ swept.flatten(0, -2), rows.sum(0), to_other


@_mix_backward.register_fake
def _(grad_y, swept, weight, bias, other, planes) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(tensor) for tensor in (swept, weight, bias, other))


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.planes = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    return (*_mix_backward(grad_y, *ctx.saved_tensors, ctx.planes), None)


_mix.register_autograd(_differentiate, setup_context=_save)


def _shape(other: Tensor, planes: bool) -> tuple[int, ...]:
    images, *sizes, outputs = other.shape
    return (images, outputs, *sizes) if planes else (images, *sizes, outputs)


def _describe(swept: Tensor, weight: Tensor, bias: Tensor, other: Tensor, planes: bool) -> _Mix:
    images, *sizes, features = swept.shape
    call = _Mix(images, torch.Size(sizes).numel(), features, other.shape[-1], planes)
    call.bytes, call.threads = swept.element_size(), torch.get_num_threads()
    call.instructions = number_of("best")
    call.swept, call.other = swept.data_ptr(), other.data_ptr()
    call.w, call.b = weight.data_ptr(), bias.data_ptr()
    return call
