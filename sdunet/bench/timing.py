"""Timing that survives a noisy machine: contenders in turn, medians of repeated runs."""

import contextlib
import ctypes
import gc
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import torch

from data_prep import parallel
from data_prep.core.errors import DataError

_WARM_UPS = 2


def interleave(
    contenders: Mapping[str, Callable[[], object]], seconds: float, fewest: int = 3, most: int = 25
) -> dict[str, float]:
    """Run every contender in turn, again and again, and return the median seconds of each.

    Args:
        contenders: what to time, by name.
        seconds: budget of the measured rounds together.
        fewest: rounds at least, whatever they take.
        most: rounds at most.
    """
    for run in contenders.values():
        started = time.perf_counter()
        for _ in range(_WARM_UPS):
            _timed(run)
            if time.perf_counter() - started > seconds / 4:
                break
    times: dict[str, list[float]] = {name: [] for name in contenders}
    began = time.perf_counter()
    for done in range(most):
        if done >= fewest and time.perf_counter() - began > seconds:
            break
        for name, run in contenders.items():
            times[name].append(_timed(run))
    return {name: median(found) for name, found in times.items()}


def listed(times: Mapping[str, float]) -> str:
    """Return medians as a line for the terminal, so that an interrupted run has told them."""
    return "  " + ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in times.items())


def _timed(run: Callable[[], object]) -> float:
    synchronize()
    started = time.perf_counter()
    run()
    synchronize()
    return time.perf_counter() - started


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_extra_bytes(
    device: str, prepare: Callable[..., Callable[[], object]], *args: object
) -> int | None:
    """Return by how much memory grows at its peak while what `prepare(*args)` returns runs.

    On the CPU that is the growth of the resident set, in a process of its own; on CUDA what the
    allocator says. None where the system does not tell. `prepare` must be importable.

    Raises:
        DataError: JOB_KILLED if that process died.
    """
    if device == "cuda":
        run = prepare(*args)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    if not Path("/proc/self/clear_refs").exists():
        return None
    (growth,) = parallel.run(_growth, [(torch.get_num_threads(), prepare, args)], workers=1)
    if isinstance(growth, DataError):
        raise growth
    return growth


def _growth(threads: int, prepare: Callable, args: tuple) -> int:
    torch.set_num_threads(threads)
    run = prepare(*args)
    run()  # loads code and starts threads, which is not the contender's memory
    gc.collect()
    with contextlib.suppress(AttributeError):  # of glibc: gives freed memory back
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is resident now
    before = _status_bytes("VmRSS")
    result = run()
    growth = _status_bytes("VmHWM") - before
    del result
    return growth


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
