"""Backends of the sweep and the published loop, side by side on maps like those of the papers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn

from sdunet.bench.published_loop import LoopSweep
from sdunet.bench.timing import interleave, listed, peak_extra_bytes
from sdunet.cells import CellName
from sdunet.layers import Direction, Sweep
from sdunet.ops import backends

# As in the tests; the loop sums bias gradients line by line, which costs it a digit.
_GATE = {"loop": 2e-5, "reference": 2e-5}
_GATE_DEFAULT = 2e-6
_ONE_THREAD = " (1 thread)"


@dataclass(frozen=True)
class Case:
    """One map to sweep: images `(N, C, H, W)` or volumes `(N, C, D, H, W)`."""

    images: int
    features: int
    sizes: tuple[int, ...]
    directions: tuple[Direction, ...]
    cell: CellName = "gru"

    @property
    def work(self) -> str:
        """What is swept, whatever the cell."""
        size = "x".join(map(str, self.sizes))
        return f"F={self.features} {size} batch {self.images}, {len(self.directions)} directions"

    def __str__(self) -> str:
        return f"{self.cell} {self.work}"

    @property
    def flops(self) -> float:
        """Multiplications and additions of the products, forward."""
        cells = self.images * math.prod(self.sizes)
        weights = self.sweep("down").cell.parameters()
        of_cell = sum(weight.numel() for weight in weights if weight.dim() == 2)
        return 2.0 * of_cell * cells * len(self.directions)

    def sweep(self, direction: Direction) -> Sweep:
        """Return a new sweep of the case."""
        return Sweep(self.features, direction, len(self.sizes), cell=self.cell)


_FOUR, _SIX = get_args(Direction)[:4], get_args(Direction)
_TWO: tuple[Direction, ...] = ("right", "down")
CASES = (
    Case(1, 16, (256, 256), _FOUR),
    Case(4, 16, (256, 256), _FOUR),
    Case(4, 16, (128, 128), _FOUR),
    Case(4, 150, (64, 64), _TWO),
    Case(8, 360, (32, 32), _TWO),
    Case(1, 16, (32, 64, 64), _SIX),
)
QUICK_CASES = (Case(1, 16, (128, 128), _FOUR), Case(1, 16, (8, 24, 24), _SIX))
CUDA_CASE = Case(8, 16, (256, 256), _FOUR)
SIDES = (32, 64, 128, 256, 512)
QUICK_SIDES = (32, 64, 128)


def of_both_cells(cases: Sequence[Case]) -> list[Case]:
    """Return each case with the published cell, then with the carrying one."""
    return [replace(case, cell=cell) for case in cases for cell in get_args(CellName)]


@dataclass(frozen=True)
class Row:
    """One contender on one case; seconds, bytes, and what made it unfit if it was refused."""

    case: str
    contender: str
    forward: float | None = None
    both: float | None = None
    peak_bytes: int | None = None
    refused: str | None = None


def contenders(case: Case, device: str) -> list[str]:
    """Names of what can sweep the case: fast backends, the definition, the published loop."""
    names = list(backends(device))
    published = case.cell == "gru" and len(case.sizes) == 2
    return [*names, "loop"] if published else names


def stack(case: Case, contender: str, device: str) -> nn.Sequential:
    """Return the sweeps of the case, with the same weights for every contender."""
    torch.manual_seed(0)
    sweeps = [case.sweep(direction) for direction in case.directions]
    if contender == "loop":
        return nn.Sequential(*map(LoopSweep, sweeps)).to(device)
    for sweep in sweeps:
        sweep.backend = contender.removesuffix(_ONE_THREAD)
    return nn.Sequential(*sweeps).to(device)


def error(contender: str, case: Case, device: str) -> float:
    """Return the largest relative error of value and gradients on a small map of the case."""
    sizes = tuple(range(9, 9 + len(case.sizes)))
    small = replace(case, images=2, sizes=sizes)
    x, cotangent = _map_and_cotangent(small, device)
    exact = stack(small, "reference", device).double()
    want = _value_and_grads(exact, x.double(), cotangent.double())
    got = _value_and_grads(stack(small, contender, device), x, cotangent)
    pairs = zip(got, want, strict=True)
    return max(((g.double() - w).norm() / w.norm()).item() for g, w in pairs)


def run_sweeps(
    cases: Sequence[Case], device: str, seconds: float, say: Callable[[str], None]
) -> list[Row]:
    """Time every contender on every case, forward and with backward."""
    rows = []
    for case in cases:
        say(f"{case} ...")
        fit, unfit = _gate(case, device)
        rows += unfit
        if device == "cpu" and case.images == 1 and "cpu" in fit:
            fit.append("cpu" + _ONE_THREAD)
        forward = interleave({n: _prepare(case, n, device, False) for n in fit}, seconds / 3)
        both = interleave({n: _prepare(case, n, device, True) for n in fit}, seconds)
        say(listed(both))
        rows += [Row(str(case), name, forward[name], both[name]) for name in fit]
    return rows


def run_memory(case: Case, device: str, say: Callable[[str], None]) -> list[Row]:
    """Measure what forward and backward need beside input, weights and their gradients."""
    rows = []
    for name in contenders(case, device):
        say(f"memory of {name} ...")
        peak = peak_extra_bytes(device, _prepare, case, name, device, True)
        rows.append(Row(str(case), name, peak_bytes=peak))
    return rows


def run_growth(
    sides: Sequence[int], device: str, seconds: float, say: Callable[[str], None]
) -> dict[str, dict[int, float]]:
    """Time forward and backward of square maps of growing side, by cell and contender."""
    found: dict[str, dict[int, float]] = {}
    for side in sides:
        runs: dict[str, Callable[[], object]] = {}
        for case in of_both_cells([Case(1, 16, (side, side), _FOUR)]):
            say(f"{case} ...")
            names, _ = _gate(case, device)
            runs |= {f"{case.cell} {name}": _prepare(case, name, device, True) for name in names}
        medians = interleave(runs, seconds)
        say(listed(medians))
        for name, median in medians.items():
            found.setdefault(name, {})[side] = median
    return found


def run_cells(
    cases: Sequence[Case], device: str, seconds: float, say: Callable[[str], None]
) -> list[Row]:
    """Time both cells in turn on every case, each by its fastest backend; measure memory, too."""
    rows = []
    name = backends(device)[0]
    for case in cases:
        say(f"both cells, {case.work} ...")
        both = of_both_cells([case])
        forward, step = (
            interleave({c.cell: _prepare(c, name, device, back) for c in both}, seconds)
            for back in (False, True)
        )
        say(listed(step))
        for one in both:
            peak = peak_extra_bytes(device, _prepare, one, name, device, True)
            rows.append(Row(case.work, one.cell, forward[one.cell], step[one.cell], peak))
    return rows


def matmul_flops(device: str, seconds: float = 1.0) -> float:
    """Return the floating-point operations a second that PyTorch reaches on a large product."""
    a, b = (torch.randn(2048, 2048, device=device) for _ in range(2))
    return 2 * 2048**3 / interleave({"mm": partial(torch.mm, a, b)}, seconds)["mm"]


def copy_bytes(device: str, seconds: float = 1.0) -> float:
    """Return the bytes a second, read and written, of copying a tensor larger than any cache."""
    a, b = (torch.ones(1 << 26, device=device) for _ in range(2))
    return 2 * a.nbytes / interleave({"copy": partial(a.copy_, b)}, seconds)["copy"]


def _gate(case: Case, device: str) -> tuple[list[str], list[Row]]:
    fit, unfit = [], []
    for name in contenders(case, device):
        found = error(name, case, device)
        if found < _GATE.get(name, _GATE_DEFAULT):
            fit.append(name)
        else:
            unfit.append(Row(str(case), name, refused=f"relative error {found:.1e}"))
    return fit, unfit


def _prepare(case: Case, name: str, device: str, backward: bool) -> Callable[[], object]:
    sweeps = stack(case, name, device)
    x, cotangent = _map_and_cotangent(case, device)
    run = (
        partial(_value_and_grads, sweeps, x, cotangent) if backward else partial(_value, sweeps, x)
    )
    return partial(_on_one_thread, run) if name.endswith(_ONE_THREAD) else run


def _map_and_cotangent(case: Case, device: str) -> tuple[Tensor, Tensor]:
    """Return both as a layer has them: the channels of a cell side by side.

    The cotangent is positive: sums of it over cells do not cancel, which would leave but rounding.
    """
    torch.manual_seed(1)
    layout = {2: torch.channels_last, 3: torch.channels_last_3d}[len(case.sizes)]
    shape = (case.images, case.features, *case.sizes)
    draws = (torch.randn(shape, device=device), torch.rand(shape, device=device))
    x, cotangent = (drawn.to(memory_format=layout) for drawn in draws)
    return x.requires_grad_(), cotangent


@torch.no_grad()
def _value(sweeps: nn.Module, x: Tensor) -> Tensor:
    return sweeps(x)


def _value_and_grads(sweeps: nn.Module, x: Tensor, cotangent: Tensor) -> tuple[Tensor, ...]:
    y = sweeps(x)
    return y.detach(), *torch.autograd.grad(y, [x, *sweeps.parameters()], cotangent)


def _on_one_thread(run: Callable[[], object]) -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run()
    finally:
        torch.set_num_threads(before)
