"""The carrying sweep's walk over the lines in Triton, for CUDA; the gates stay PyTorch's.

Channels do not mix on the way, so a program takes a few channels of an image and walks all lines
in one launch: the line above is in the nearest cache, and nothing waits for another program.
Lines too long for that are spread over programs, one launch a line.

Along an axis every cell is read three times, as a cell at the edge reads itself once more. So the
way back gathers, too: K terms at every cell, and no number that two programs add to.

Letters: N images, T lines of H x W cells (H = 1 in images), C channels in G groups,
K = 3 (9) cells read on the line above.
"""

import functools
from typing import Any

from torch import Tensor

from sdunet.ops import torch_carry
from sdunet.ops.triton_backend import _on_its_device, why_not

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

__all__ = ["backward", "forward", "why_not"]

_CHANNELS = 8  # 32 bytes, the least that memory hands out
_CELLS = {3: 256, 9: 128}  # that a program handles in one step, by K; more spill registers
_NUMBERS_A_WARP = 128  # four a thread, one wide access
_MOST_STEPS = 16  # along a line by one program; a launch takes as long, by estimate


def _walk(y: Tensor, values: Tensor, carries: Tensor, shares: Tensor) -> None:
    rows = values.flatten(0, -2)
    rows = rows if rows.stride(1) == 1 else rows.contiguous()
    if y.shape[0]:
        _launch(_carry_lines, y, shares, carries, rows, STEP=rows.stride(0))


def _walk_back(grad_lines: Tensor, carries: Tensor, shares: Tensor) -> None:
    if grad_lines.shape[0]:
        _launch(_carry_back, grad_lines, shares, carries)


def _launch(
    kernel: Any, y: Tensor, shares: Tensor, carries: Tensor, *others: Tensor, **sizes: int
) -> None:
    """Run a kernel over all lines of the contiguous `y` but the one it starts from."""
    images, lines, *line, channels = y.shape
    rows, columns = line if len(line) == 2 else (1, line[0])
    taps, groups = shares.shape[-2:]
    cells, width = _block(rows * columns, channels, taps)
    shares, carries = shares.contiguous(), carries.contiguous()
    programs, steps = images * triton.cdiv(channels, width), triton.cdiv(rows * columns, cells)
    alone = steps <= _MOST_STEPS
    for first, last in [(1, lines)] if alone else ((t, t + 1) for t in range(1, lines)):
        kernel[(programs, 1 if alone else steps)](
            y, shares, carries, *others, first, last, lines, rows, columns, **sizes,
            C=channels, K=taps, G=groups, CELLS=cells, CHANNELS=width,
            num_warps=_warps(cells, width),
        )  # fmt: skip


def _block(cells: int, channels: int, taps: int) -> tuple[int, int]:
    """Return how many cells and channels a program handles in one step."""
    cells, channels = triton.next_power_of_2(cells), triton.next_power_of_2(channels)
    return min(_CELLS[taps], cells), min(_CHANNELS, channels)


def _warps(cells: int, channels: int) -> int:
    return max(1, cells * channels // _NUMBERS_A_WARP)


forward = functools.partial(torch_carry.forward, walk=_on_its_device(_walk))
backward = functools.partial(torch_carry.backward, walk_back=_on_its_device(_walk_back))

if triton is not None:

    @triton.jit
    def _step(at, by, size):
        """Return where a step along an axis leads, not past the edge, and the step back."""
        to = at + by
        inside = (to >= 0) & (to < size)
        return tl.where(inside, to, at), tl.where(inside, -by, by)

    @triton.jit(do_not_specialize=["first", "last"])
    def _carry_lines(
        y, shares, carries, values, first, last, lines, rows, columns,
        STEP: tl.constexpr, C: tl.constexpr, K: tl.constexpr, G: tl.constexpr,
        CELLS: tl.constexpr, CHANNELS: tl.constexpr,
    ):  # fmt: skip
        blocks: tl.constexpr = (C + CHANNELS - 1) // CHANNELS
        image = (tl.program_id(0) // blocks).to(tl.int64)
        channel = tl.program_id(0) % blocks * CHANNELS + tl.arange(0, CHANNELS)[None, :]
        group = channel // (C // G)
        cells = rows * columns
        for t in range(first, last):
            line = (image * lines + t) * cells
            for start in range(tl.program_id(1) * CELLS, cells, tl.num_programs(1) * CELLS):
                cell = start + tl.arange(0, CELLS)[:, None]
                mask = (cell < cells) & (channel < C)
                mixed = tl.zeros((CELLS, CHANNELS), y.dtype.element_ty)
                for i in tl.static_range(K // 3):
                    row, _ = _step(cell // columns, i - K // 9, rows)
                    for j in tl.static_range(3):
                        column, _ = _step(cell % columns, j - 1, columns)
                        share = shares + ((line + cell) * K + i * 3 + j) * G + group
                        above = y + (line - cells + row * columns + column) * C + channel
                        mixed += tl.load(share, mask, 0) * tl.load(above, mask, 0)
                value = tl.load(values + (line + cell) * STEP + channel, mask, 0)
                carry = tl.load(carries + (line + cell) * C + channel, mask, 0)
                tl.store(y + (line + cell) * C + channel, value + carry * (mixed - value), mask)
            # The next line reads what other threads of this program have just written.
            tl.debug_barrier()

    @triton.jit(do_not_specialize=["first", "last"])
    def _carry_back(
        y, shares, carries, first, last, lines, rows, columns,
        C: tl.constexpr, K: tl.constexpr, G: tl.constexpr,
        CELLS: tl.constexpr, CHANNELS: tl.constexpr,
    ):  # fmt: skip
        blocks: tl.constexpr = (C + CHANNELS - 1) // CHANNELS
        image = (tl.program_id(0) // blocks).to(tl.int64)
        channel = tl.program_id(0) % blocks * CHANNELS + tl.arange(0, CHANNELS)[None, :]
        group = channel // (C // G)
        cells = rows * columns
        for back in range(first, last):
            line = (image * lines + lines - back) * cells
            for start in range(tl.program_id(1) * CELLS, cells, tl.num_programs(1) * CELLS):
                cell = start + tl.arange(0, CELLS)[:, None]
                mask = (cell < cells) & (channel < C)
                above = y + (line - cells + cell) * C + channel
                grad = tl.load(above, mask, 0)
                for i in tl.static_range(K // 3):
                    row, up = _step(cell // columns, i - K // 9, rows)
                    for j in tl.static_range(3):
                        column, left = _step(cell % columns, j - 1, columns)
                        below = line + row * columns + column
                        tap = (up + K // 9) * 3 + left + 1
                        share = tl.load(shares + (below * K + tap) * G + group, mask, 0)
                        carry = tl.load(carries + below * C + channel, mask, 0)
                        grad += share * carry * tl.load(y + below * C + channel, mask, 0)
                tl.store(above, grad, mask)
            tl.debug_barrier()
