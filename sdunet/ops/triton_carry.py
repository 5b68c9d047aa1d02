"""The carrying sweep in Triton, for CUDA; products stay PyTorch's.

Channels do not mix on the way, so a program takes a few channels of an image and walks all lines
in one launch: the line above is in the nearest cache, and nothing waits for another program.
Lines too long for that are spread over programs, one launch a line. What cells make of themselves,
and its gradients, are kernels of their own over all cells at once, as the many small operations of
PyTorch would take longer to launch than to run.

Along an axis every cell is read three times, as a cell at the edge reads itself once more. So the
way back gathers, too: K terms at every cell, and no number that two programs add to.

Letters: N images, T lines of H x W cells (H = 1 in images), C channels in G groups,
K = 3 (9) cells read on the line above, R = 2C + (K-1)G rows of weights.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sdunet.ops.triton_backend import on_its_device, why_not

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

__all__ = ["backward", "forward", "why_not"]

# Measured on an H100: fewer channels leave too little to a program, more too few programs.
_CHANNELS = 4
_CELLS = {3: 512, 9: 256}  # that a program handles in one step, by K
_NUMBERS_A_WARP = 128  # four a thread, one wide access
_MOST_STEPS = 4  # along a line by one program; a launch takes as long
_TILE = {3: 1024, 9: 512}  # cells times channels of a group, handled at once where cells are apart


@on_its_device
def forward(x: Tensor, w: Tensor, b: Tensor, reverse: bool) -> Tensor:
    """Return the swept map, contiguous."""
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    made = F.linear(x, w, b)  # (N, T, ..., R)
    carries, shares = _terms(made, x)
    _walk(_carry_lines, 0, y, shares, carries, made, REVERSE=reverse)
    return y


@on_its_device
def backward(
    grad_y: Tensor, x: Tensor, y: Tensor, w: Tensor, b: Tensor, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `(x, w, b)`; the equations are in `torch_carry`."""
    made = F.linear(x, w, b)
    carries, shares = _terms(made, x)
    grad_lines = grad_y.clone(memory_format=torch.contiguous_format)
    _walk(_carry_back, 1, grad_lines, shares, carries, REVERSE=reverse)
    grads = torch.empty_like(made)
    _over_cells(_made_back, x, shares, carries, made, y, grad_lines, grads, REVERSE=reverse)
    rows = grads.flatten(0, -2)
    grad_x = torch.empty_like(x).copy_(grads @ w)
    return grad_x, rows.T @ x.flatten(0, -2), rows.sum(0)


def _terms(made: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return carry gates `(N, T, ..., C)` and shares of the taps `(N, T, ..., K, G)`."""
    channels, taps = x.shape[-1], 3 ** (x.dim() - 3)
    groups = (made.shape[-1] - 2 * channels) // (taps - 1)
    carries = made.new_empty(x.shape)
    shares = made.new_empty(*x.shape[:-1], taps, groups)
    _over_cells(_carry_terms, x, shares, carries, made)
    return carries, shares


def _over_cells(kernel: Any, x: Tensor, shares: Tensor, *others: Tensor, **options: bool) -> None:
    """Run a kernel over blocks of all cells, and groups of channels."""
    _, lines, *line, channels = x.shape
    taps, groups = shares.shape[-2:]
    width = triton.next_power_of_2(channels // groups)
    number, cells = x[..., 0].numel(), max(1, _TILE[taps] // width)
    if number:
        kernel[(triton.cdiv(number, cells), groups)](
            shares, *others, number, lines, *_plane(line), **options,
            C=channels, K=taps, G=groups, PADDED=triton.next_power_of_2(taps),
            CELLS=cells, CHANNELS=width,
        )  # fmt: skip


def _walk(
    kernel: Any, start: int, y: Tensor, shares: Tensor, *others: Tensor, **options: bool
) -> None:
    """Run a kernel over the lines of the contiguous `y`, in order, from number `start` on."""
    images, lines, *line, channels = y.shape
    rows, columns = _plane(line)
    taps, groups = shares.shape[-2:]
    cells, width = _block(rows * columns, channels, taps)
    programs, steps = images * triton.cdiv(channels, width), triton.cdiv(rows * columns, cells)
    alone = steps <= _MOST_STEPS
    for first, last in [(start, lines)] if alone else ((t, t + 1) for t in range(start, lines)):
        if programs:
            kernel[(programs, 1 if alone else steps)](
                y, shares, *others, first, last, lines, rows, columns, **options,
                C=channels, K=taps, G=groups, CELLS=cells, CHANNELS=width,
                num_warps=_warps(cells, width),
            )  # fmt: skip


def _plane(line: list[int]) -> tuple[int, int]:
    """Return the rows and columns of a line."""
    return (line[0], line[1]) if len(line) == 2 else (1, line[0])


def _block(cells: int, channels: int, taps: int) -> tuple[int, int]:
    """Return how many cells and channels a program handles in one step."""
    cells, channels = triton.next_power_of_2(cells), triton.next_power_of_2(channels)
    return min(_CELLS[taps], cells), min(_CHANNELS, channels)


def _warps(cells: int, channels: int) -> int:
    return max(1, cells * channels // _NUMBERS_A_WARP)


if triton is not None:

    @triton.jit
    def _step(at, by, size):
        """Return where a step along an axis leads, not past the edge, and the step back."""
        to = at + by
        inside = (to >= 0) & (to < size)
        return tl.where(inside, to, at), tl.where(inside, -by, by)

    @triton.jit
    def _carry_terms(
        shares, carries, made, number, lines, rows, columns,
        C: tl.constexpr, K: tl.constexpr, G: tl.constexpr, PADDED: tl.constexpr,
        CELLS: tl.constexpr, CHANNELS: tl.constexpr,
    ):  # fmt: skip
        R: tl.constexpr = 2 * C + (K - 1) * G
        cell = tl.program_id(0).to(tl.int64) * CELLS + tl.arange(0, CELLS)[:, None]
        group = tl.program_id(1)
        inside = cell < number
        tap = tl.arange(0, PADDED)[None, :]
        # The cell straight above has no row: its weight is 1, that of the others exp(side).
        side = made + cell * R + C + (tap - (tap > K // 2).to(tl.int32)) * G + group
        logit = tl.load(side, inside & (tap < K) & (tap != K // 2), 0)
        logit = tl.where(tap < K, logit, float("-inf"))
        weight = tl.exp(logit - tl.max(logit, 1)[:, None])
        share = weight / tl.sum(weight, 1)[:, None]
        tl.store(shares + (cell * K + tap) * G + group, share, inside & (tap < K))
        channel = tl.arange(0, CHANNELS)[None, :]
        mask = inside & (channel < C // G)
        channel += group * (C // G)
        carry = tl.sigmoid(tl.load(made + cell * R + channel, mask, 0))
        tl.store(carries + cell * C + channel, carry, mask)

    @triton.jit
    def _made_back(
        shares, carries, made, y, grad_lines, grads, number, lines, rows, columns,
        REVERSE: tl.constexpr, C: tl.constexpr, K: tl.constexpr, G: tl.constexpr,
        PADDED: tl.constexpr, CELLS: tl.constexpr, CHANNELS: tl.constexpr,
    ):  # fmt: skip
        """Write the gradient of all that is made of the cells, from that of the swept lines."""
        R: tl.constexpr = 2 * C + (K - 1) * G
        cell = tl.program_id(0).to(tl.int64) * CELLS + tl.arange(0, CELLS)[:, None]
        group = tl.program_id(1)
        channel = tl.arange(0, CHANNELS)[None, :]
        inside = cell < number
        mask = inside & (channel < C // G)
        channel += group * (C // G)
        cells = rows * columns
        t, at = cell // cells % lines, cell % cells
        above = cell - at + (cells if REVERSE else -cells)  # start of the line above
        later = t != (lines - 1 if REVERSE else 0)  # the first line sees none and has no gates

        mixed = tl.zeros((CELLS, CHANNELS), y.dtype.element_ty)
        for i in tl.static_range(K // 3):
            row, _ = _step(at // columns, i - K // 9, rows)
            for j in tl.static_range(3):
                column, _ = _step(at % columns, j - 1, columns)
                share = tl.load(shares + (cell * K + i * 3 + j) * G + group, inside, 0)
                seen = y + (above + row * columns + column) * C + channel
                mixed += share * tl.load(seen, mask & later, 0)
        grad = tl.load(grad_lines + cell * C + channel, mask, 0)
        carry = tl.load(carries + cell * C + channel, mask & later, 0)
        value = tl.load(made + cell * R + R - C + channel, mask, 0)
        to_mix = grad * carry
        to_value = grad - to_mix
        tl.store(grads + cell * R + R - C + channel, to_value, mask)
        tl.store(grads + cell * R + channel, to_value * carry * (mixed - value), mask)
        of_all = tl.sum(to_mix * mixed, 1)[:, None]
        for i in tl.static_range(K // 3):
            row, _ = _step(at // columns, i - K // 9, rows)
            for j in tl.static_range(3):
                if i * 3 + j != K // 2:
                    column, _ = _step(at % columns, j - 1, columns)
                    share = tl.load(shares + (cell * K + i * 3 + j) * G + group, inside, 0)
                    seen = y + (above + row * columns + column) * C + channel
                    of_tap = tl.sum(to_mix * tl.load(seen, mask & later, 0), 1)[:, None]
                    side = i * 3 + j - (1 if i * 3 + j > K // 2 else 0)
                    to_side = share * (of_tap - of_all)
                    tl.store(grads + cell * R + C + side * G + group, to_side, inside)

    @triton.jit(do_not_specialize=["first", "last"])
    def _carry_lines(
        y, shares, carries, made, first, last, lines, rows, columns,
        REVERSE: tl.constexpr, C: tl.constexpr, K: tl.constexpr, G: tl.constexpr,
        CELLS: tl.constexpr, CHANNELS: tl.constexpr,
    ):  # fmt: skip
        R: tl.constexpr = 2 * C + (K - 1) * G
        blocks: tl.constexpr = (C + CHANNELS - 1) // CHANNELS
        image = (tl.program_id(0) // blocks).to(tl.int64)
        channel = tl.program_id(0) % blocks * CHANNELS + tl.arange(0, CHANNELS)[None, :]
        group = channel // (C // G)
        cells = rows * columns
        for t in range(first, last):
            line = (image * lines + (lines - 1 - t if REVERSE else t)) * cells
            before = line + (cells if REVERSE else -cells)
            for start in range(tl.program_id(1) * CELLS, cells, tl.num_programs(1) * CELLS):
                cell = start + tl.arange(0, CELLS)[:, None]
                mask = (cell < cells) & (channel < C)
                later = mask & (t > 0)
                mixed = tl.zeros((CELLS, CHANNELS), y.dtype.element_ty)
                for i in tl.static_range(K // 3):
                    row, _ = _step(cell // columns, i - K // 9, rows)
                    for j in tl.static_range(3):
                        column, _ = _step(cell % columns, j - 1, columns)
                        share = shares + ((line + cell) * K + i * 3 + j) * G + group
                        above = y + (before + row * columns + column) * C + channel
                        mixed += tl.load(share, later, 0) * tl.load(above, later, 0)
                value = tl.load(made + (line + cell) * R + R - C + channel, mask, 0)
                carry = tl.load(carries + (line + cell) * C + channel, later, 0)
                tl.store(y + (line + cell) * C + channel, value + carry * (mixed - value), mask)
            # The next line reads what other threads of this program have just written.
            tl.debug_barrier()

    @triton.jit(do_not_specialize=["first", "last"])
    def _carry_back(
        y, shares, carries, first, last, lines, rows, columns,
        REVERSE: tl.constexpr, C: tl.constexpr, K: tl.constexpr, G: tl.constexpr,
        CELLS: tl.constexpr, CHANNELS: tl.constexpr,
    ):  # fmt: skip
        """Add to the gradient of every line what flows back to it from the next."""
        blocks: tl.constexpr = (C + CHANNELS - 1) // CHANNELS
        image = (tl.program_id(0) // blocks).to(tl.int64)
        channel = tl.program_id(0) % blocks * CHANNELS + tl.arange(0, CHANNELS)[None, :]
        group = channel // (C // G)
        cells = rows * columns
        for back in range(first, last):
            line = (image * lines + (back if REVERSE else lines - 1 - back)) * cells
            after = line + (-cells if REVERSE else cells)
            for start in range(tl.program_id(1) * CELLS, cells, tl.num_programs(1) * CELLS):
                cell = start + tl.arange(0, CELLS)[:, None]
                mask = (cell < cells) & (channel < C)
                grad = tl.load(y + (line + cell) * C + channel, mask, 0)
                for i in tl.static_range(K // 3):
                    row, up = _step(cell // columns, i - K // 9, rows)
                    for j in tl.static_range(3):
                        column, left = _step(cell % columns, j - 1, columns)
                        below = after + row * columns + column
                        tap = (up + K // 9) * 3 + left + 1
                        share = tl.load(shares + (below * K + tap) * G + group, mask, 0)
                        carry = tl.load(carries + below * C + channel, mask, 0)
                        grad += share * carry * tl.load(y + below * C + channel, mask, 0)
                tl.store(y + (line + cell) * C + channel, grad, mask)
            tl.debug_barrier()
