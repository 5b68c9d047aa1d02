"""The sweep's walk over the lines in Triton, for CUDA; all large products stay PyTorch's.

With few features one program walks all lines of an image in one launch: the line above is in the
nearest cache, and only programs of different images run side by side, so nothing has to wait for
another program. With many features a line is one large product and one pointwise kernel.
Products take three passes of the tensor cores (`tf32x3`), which keeps float32's digits.

Letters: N images, T lines of H x W cells (H = 1 in images), C features, K = 3 (9) neighbours.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sdunet.ops import torch_backend
from sdunet.ops.reference import neighbours

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

# Triton's interpreter runs the kernels on the CPU, for tests of their logic.
_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
# With more features the state of a block of cells no longer fits the registers.
_FEW = 64
_BLOCK_NUMBERS = 4096  # cells times features that one step of a program handles
_WARPS = 8


def why_not(device: torch.device, dtype: torch.dtype) -> str | None:
    """Return why this backend cannot run for such tensors, or None if it can."""
    if triton is None:
        return "Triton is not installed; it comes with PyTorch's CUDA builds"
    if _INTERPRETED:
        return None if device.type == "cpu" else "Triton runs in its interpreter, on the CPU"
    if device.type != "cuda":
        return "it runs on CUDA devices only"
    return None if dtype == torch.float32 else f"it computes in float32, not in {dtype}"


def _walk(
    x: Tensor, from_cells: Tensor, w_ih: Tensor, b_ih: Tensor, y: Tensor, gates: Tensor
) -> None:
    images, lines, *line, features = x.shape
    if not images or lines == 1:
        return
    x, from_cells, keep = x.contiguous(), from_cells.contiguous(), gates.numel() > 0
    if features <= _FEW:
        weights, biases = w_ih.contiguous(), b_ih.contiguous()
        sizes = _sizes(line, features)
        _sweep_lines[(images,)](
            x, from_cells, weights, biases, y, gates, lines, **sizes, KEEP=keep, num_warps=_WARPS
        )
        return
    cells = line[0] * (line[1] if len(line) == 2 else 1)
    numbers = cells * features
    for t in range(1, lines):
        above = F.linear(neighbours(y[:, t - 1], len(line)), w_ih, b_ih)
        grid = (triton.cdiv(numbers, _BLOCK_NUMBERS), images)
        _finish_line[grid](
            x, above, from_cells, y, gates, lines, t, numbers, features,
            KEEP=keep, BLOCK=_BLOCK_NUMBERS,
        )  # fmt: skip


def _walk_back(grad_gates: Tensor, grad_lines: Tensor, w_ih: Tensor) -> None:
    images, lines, *line, features = grad_lines.shape
    if not images or lines == 1:
        return
    if features > _FEW:
        torch_backend.walk_back(grad_gates, grad_lines, w_ih)
        return
    sizes = _sizes(line, features)
    weights = w_ih.contiguous()
    _sweep_back[(images,)](grad_gates, grad_lines, weights, lines, **sizes, num_warps=_WARPS)


def on_its_device(launch: Callable) -> Callable:
    """Launch kernels on the device of the first tensor: Triton's own choice is the current one."""

    @functools.wraps(launch)
    def run(first: Tensor, *others: Any) -> Any:
        with torch.cuda.device_of(first):
            return launch(first, *others)

    return run


forward = functools.partial(torch_backend.forward, walk=on_its_device(_walk))
backward = functools.partial(torch_backend.backward, walk_back=on_its_device(_walk_back))


def _sizes(line: list[int], features: int) -> dict[str, int]:
    """Return the sizes of a line, and of the block of it that a program handles in one step."""
    rows, columns = line if len(line) == 2 else (1, line[0])
    padded = max(16, triton.next_power_of_2(features))  # 16 is the least that `tl.dot` takes
    block = max(16, min(triton.next_power_of_2(rows * columns), _BLOCK_NUMBERS // padded))
    sizes = {"rows": rows, "columns": columns, "features": features}
    return sizes | {"TAPS": 3 ** len(line), "BLOCK": block, "PADDED": padded}


if triton is not None:

    @triton.jit
    def _seen(cell, rows, columns, tap, sign, TAPS: tl.constexpr):
        """Return the cells that tap `tap` sees from `cell`, and whether they are inside."""
        row, column = cell // columns, cell % columns + sign * (tap % 3 - 1)
        if TAPS == 9:
            row += sign * (tap // 3 - 1)
        inside = (cell < rows * columns) & (column >= 0) & (column < columns)
        return row * columns + column, inside & (row >= 0) & (row < rows)

    @triton.jit
    def _tanh(x):
        return 2 * tl.sigmoid(2 * x) - 1

    @triton.jit
    def _sweep_lines(
        x, from_cells, w_ih, b_ih, y, gates, lines, rows, columns, features,
        KEEP: tl.constexpr, TAPS: tl.constexpr, BLOCK: tl.constexpr, PADDED: tl.constexpr,
    ):  # fmt: skip
        image = tl.program_id(0).to(tl.int64)
        feature = tl.arange(0, PADDED)
        real = feature < features
        square = real[:, None] & real[None, :]
        # Weight of input feature k (down) for output feature f (across), of tap 0 and gate 0.
        weight = w_ih + feature[None, :] * TAPS * features + feature[:, None]
        gate_step = features * TAPS * features
        bias_reset = tl.load(b_ih + feature, real, 0)[None, :]
        bias_update = tl.load(b_ih + features + feature, real, 0)[None, :]
        bias_new = tl.load(b_ih + 2 * features + feature, real, 0)[None, :]
        cells = rows * columns
        for t in range(1, lines):
            line = image * lines + t
            for start in range(0, cells, BLOCK):
                cell = start + tl.arange(0, BLOCK)
                reset = tl.zeros((BLOCK, PADDED), x.dtype.element_ty) + bias_reset
                update = tl.zeros((BLOCK, PADDED), x.dtype.element_ty) + bias_update
                new = tl.zeros((BLOCK, PADDED), x.dtype.element_ty) + bias_new
                for tap in tl.range(TAPS, num_stages=1):
                    at, inside = _seen(cell, rows, columns, tap, 1, TAPS)
                    at = ((line - 1) * cells + at)[:, None] * features + feature[None, :]
                    above = tl.load(y + at, inside[:, None] & real[None, :], 0)
                    w = weight + tap * features
                    w_reset = tl.load(w, square, 0)
                    w_update = tl.load(w + gate_step, square, 0)
                    w_new = tl.load(w + 2 * gate_step, square, 0)
                    reset += tl.dot(above, w_reset, input_precision="tf32x3")
                    update += tl.dot(above, w_update, input_precision="tf32x3")
                    new += tl.dot(above, w_new, input_precision="tf32x3")
                mask = (cell < cells)[:, None] & real[None, :]
                kept = (line - image - 1) * cells + cell  # line 0 of an image has no gates
                from_cell = from_cells + kept[:, None] * 3 * features + feature[None, :]
                reset = tl.sigmoid(reset + tl.load(from_cell, mask, 0))
                update = tl.sigmoid(update + tl.load(from_cell + features, mask, 0))
                new_cell = tl.load(from_cell + 2 * features, mask, 0)
                new = _tanh(new + reset * new_cell)
                at = (line * cells + cell)[:, None] * features + feature[None, :]
                hidden = tl.load(x + at, mask, 0)
                tl.store(y + at, new + update * (hidden - new), mask)
                if KEEP:
                    gate = gates + kept[:, None] * 4 * features + feature[None, :]
                    tl.store(gate, reset, mask)
                    tl.store(gate + features, update, mask)
                    tl.store(gate + 2 * features, new, mask)
                    tl.store(gate + 3 * features, new_cell, mask)
            # The next line reads what other threads of this program have just written.
            tl.debug_barrier()

    @triton.jit
    def _sweep_back(
        grad_gates, grad_lines, w_ih, lines, rows, columns, features,
        TAPS: tl.constexpr, BLOCK: tl.constexpr, PADDED: tl.constexpr,
    ):  # fmt: skip
        image = tl.program_id(0).to(tl.int64)
        feature = tl.arange(0, PADDED)
        real = feature < features
        square = real[:, None] & real[None, :]
        # Weight of output feature k (down) for input feature f (across), of tap 0 and gate 0.
        weight = w_ih + feature[:, None] * TAPS * features + feature[None, :]
        gate_step = features * TAPS * features
        cells = rows * columns
        for back in range(1, lines):
            t = lines - back
            line = image * lines + t
            gate_line = (line - image - 1) * cells
            for start in range(0, cells, BLOCK):
                cell = start + tl.arange(0, BLOCK)
                mask = (cell < cells)[:, None] & real[None, :]
                at = (line * cells + cell)[:, None] * features + feature[None, :]
                grad = tl.load(grad_lines + at, mask, 0)
                gate = grad_gates + (gate_line + cell)[:, None] * 3 * features + feature[None, :]
                for _ in tl.static_range(3):
                    tl.store(gate, tl.load(gate, mask, 0) * grad, mask)
                    gate += features
            tl.debug_barrier()
            for start in range(0, cells, BLOCK):
                cell = start + tl.arange(0, BLOCK)
                mask = (cell < cells)[:, None] & real[None, :]
                at = ((line - 1) * cells + cell)[:, None] * features + feature[None, :]
                grad = tl.load(grad_lines + at, mask, 0)
                for tap in tl.range(TAPS, num_stages=1):
                    below, inside = _seen(cell, rows, columns, tap, -1, TAPS)
                    gate = (gate_line + below)[:, None] * 3 * features + feature[None, :]
                    inside = inside[:, None] & real[None, :]
                    for i in tl.static_range(3):
                        part = tl.load(grad_gates + gate + i * features, inside, 0)
                        w = tl.load(weight + i * gate_step + tap * features, square, 0)
                        grad += tl.dot(part, w, input_precision="tf32x3")
                tl.store(grad_lines + at, grad, mask)
            tl.debug_barrier()

    @triton.jit
    def _finish_line(
        x, above, from_cells, y, gates, lines, t, numbers, features,
        KEEP: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        image = tl.program_id(1).to(tl.int64)
        mask = number < numbers
        cell, feature = number // features, number % features
        kept = image * (lines - 1) + t - 1
        from_above = above + (image * numbers + cell * features) * 3 + feature
        from_cell = from_cells + (kept * numbers + cell * features) * 3 + feature
        reset = tl.sigmoid(tl.load(from_above, mask, 0) + tl.load(from_cell, mask, 0))
        update = tl.load(from_above + features, mask, 0)
        update = tl.sigmoid(update + tl.load(from_cell + features, mask, 0))
        new_cell = tl.load(from_cell + 2 * features, mask, 0)
        new = _tanh(tl.load(from_above + 2 * features, mask, 0) + reset * new_cell)
        at = (image * lines + t) * numbers + number
        hidden = tl.load(x + at, mask, 0)
        tl.store(y + at, new + update * (hidden - new), mask)
        if KEEP:
            gate = gates + (kept * numbers + cell * features) * 4 + feature
            tl.store(gate, reset, mask)
            tl.store(gate + features, update, mask)
            tl.store(gate + 2 * features, new, mask)
            tl.store(gate + 3 * features, new_cell, mask)
