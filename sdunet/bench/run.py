"""What `sdunet bench` does: measure, print tables, keep JSON and a picture."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from data_prep.files.atomic import write_bytes, write_json
from data_prep.files.output_folder import check_free, own_folder
from data_prep.files.png import figure_to_png
from sdunet.bench import net, sweep
from sdunet.bench.report import draw_growth, slopes, table
from sdunet.runtime.run_record import tell


@dataclass(frozen=True)
class Options:
    """How thoroughly to measure, and where to keep it."""

    out: Path
    device: str = "cpu"
    quick: bool = False
    ours: bool = False


def bench_cells(options: Options, say: Callable[[str], None]) -> int:
    """Compare the two cells of the sweep, each by its fastest backend; return 0."""
    check_free(options.out, "bench", ["cells.json"])
    seconds = 1.0 if options.quick else 12.0
    rows = sweep.run_cells(_cases(options), options.device, seconds, say)
    tell(_machine(options.device))
    tell(*table(rows, "gru").splitlines())
    record = {"machine": _machine(options.device), "rows": [asdict(row) for row in rows]}
    with own_folder(options.out, "bench"):
        write_json(options.out / "cells.json", record)
    return _finish(rows, options)


def _cases(options: Options) -> tuple[sweep.Case, ...]:
    if options.quick:
        return sweep.QUICK_CASES
    return (*sweep.CASES, *[sweep.CUDA_CASE] * (options.device == "cuda"))


def bench_sweep(options: Options, say: Callable[[str], None]) -> int:
    """Compare the backends of the sweep; return 1 if one of them was refused."""
    quick, device = options.quick, options.device
    check_free(options.out, "bench", ["sweep.json", "sweep.png"])
    cases = sweep.of_both_cells(_cases(options))
    rows = sweep.run_sweeps(cases, device, 1.0 if quick else 12.0, say)
    sides = sweep.QUICK_SIDES if quick else sweep.SIDES
    growth = sweep.run_growth(sides, device, 0.3 if quick else 6.0, say)
    memory = [] if quick else sweep.run_memory(cases[0], device, say)
    peak, bandwidth = sweep.matmul_flops(device), sweep.copy_bytes(device)
    tell(_machine(device))
    tell(*table(rows, "loop").splitlines(), "")
    if memory:
        tell(*table(memory, "loop").splitlines(), "")
    tell(f"large copy: {bandwidth / 1e9:.0f} GB/s; large matrix product: {peak / 1e9:.0f} GFLOP/s")
    tell("of that product's rate is reached, counting only products that must be done:")
    shares = _shares(cases, rows, peak)
    for name, share in shares.items():
        tell(f"  {name}: {share:.0%}")
    tell(
        "",
        "cost against side, forward+backward: "
        + ", ".join(f"{name} side^{slope:.2f}" for name, slope in slopes(growth).items()),
    )
    record = {
        "machine": _machine(device),
        "rows": [asdict(row) for row in (*rows, *memory)],
        "growth": growth,
        "slopes": slopes(growth),
        "matmul_flops": peak,
        "copy_bytes": bandwidth,
        "share_of_matmul": shares,
    }
    title = "Four sweeps over a square map, 16 features, batch 1"
    with own_folder(options.out, "bench"):
        write_json(options.out / "sweep.json", record)
        write_bytes(options.out / "sweep.png", figure_to_png(draw_growth(growth, title)))
    return _finish(rows, options)


def bench_net(options: Options, say: Callable[[str], None]) -> int:
    """Compare a training step of whole networks; return 1 if the SDU-Net was refused."""
    check_free(options.out, "bench", ["net.json"])
    seconds, full = (2.0, False) if options.quick else (60.0, True)
    images, volume = net.QUICK if options.quick else net.FULL
    makers = net.our_networks() if options.ours else net.networks(with_loop=full)
    rows = net.run_networks(images, makers, options.device, seconds, full, say)
    rows += net.run_networks(volume, net.volume_networks(), options.device, seconds, full, say)
    sizes = net.parameters(makers)
    tell(_machine(options.device))
    tell(*table(rows, net.BASELINE).splitlines(), "")
    tell("parameters: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    record = {
        "machine": _machine(options.device),
        "rows": [asdict(row) for row in rows],
        "parameters": sizes,
    }
    with own_folder(options.out, "bench"):
        write_json(options.out / "net.json", record)
    return _finish(rows, options)


def _shares(cases: Sequence[sweep.Case], rows: list[sweep.Row], peak: float) -> dict[str, float]:
    """Return which part of the machine's rate of products the fastest backend reaches.

    Counted are the products that have to be done: forward once, backward twice as many. Those
    that a backward pass does again to save memory are not counted.
    """
    shares = {}
    for case in cases:
        times = [row.both for row in rows if row.case == str(case) and row.both]
        shares[str(case)] = 3 * case.flops / min(times) / peak
    return shares


def _machine(device: str) -> str:
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _finish(rows: list[sweep.Row], options: Options) -> int:
    tell("", f"kept in {options.out}")
    return 1 if any(row.refused for row in rows) else 0
