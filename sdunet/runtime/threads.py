"""How many threads a command computes with, and how they wait for each other.

Imports no torch at once: OpenMP, which runs torch's threads, reads the environment when it loads.
"""

import math
import os
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from data_prep.core.memory_limits import control_groups

# How often threads of GNU OpenMP, which torch has on Linux, look whether the others are done before
# they sleep. Its own 300,000 cost a training step 11 times its time where another process has one
# of two cores; few cost a third of it where nothing else runs:
# docs/benchmarks/performance.md has the table.
LOOKS = "GOMP_SPINCOUNT"
WHEN_QUIET, WHEN_BUSY = "60000", "1000"
_ASKED_TO_WAIT = (LOOKS, "OMP_WAIT_POLICY")
_ASKED_FOR_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # those that torch heeds


def waiting_policy(
    environ: Mapping[str, str] = os.environ, load: Path = Path("/proc/loadavg")
) -> dict[str, str]:
    """Return what to add to the environment before torch is imported; nothing if users did.

    It hangs on whether the machine is busy now. Processes that are started inherit it.
    """
    if any(name in environ for name in _ASKED_TO_WAIT):
        return {}
    return {LOOKS: WHEN_BUSY if is_busy(load) else WHEN_QUIET}


def is_busy(load: Path = Path("/proc/loadavg")) -> bool:
    """Return whether other processes compute on cores that this one would compute on.

    Args:
        load: what the system says of its load, as Linux does; where it is missing, nothing is busy.
    """
    seen = []
    for _ in range(5):
        try:
            running = load.read_text(encoding="utf-8").split()[3].split("/")[0]
        except (OSError, IndexError):
            return False
        seen.append(int(running) - 1)  # less this one
        time.sleep(0.004)
    return statistics.median(seen) + usable_cores() > (os.cpu_count() or 1)


def usable_cores(groups: Path | None = None, listed: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many cores this process may keep busy, at least 1.

    That is what its affinity (taskset, SLURM) and the quota of its container leave of the machine.
    Part of a core is left out: a thread on it would be halted for part of the time, while all
    others wait for it.

    Args:
        groups: see `data_prep.core.memory_limits.control_groups`.
        listed: see there.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    folders = [f for name in ("", "cpu") for f in control_groups(name, groups, listed)]
    return max(1, math.floor(min([cores, *map(_quota, folders)])))


def take_usable_cores(environ: Mapping[str, str] = os.environ) -> None:
    """Let torch compute with no more threads than `usable_cores`, unless users gave a number."""
    import torch

    if not any(name in environ for name in _ASKED_FOR_THREADS):
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))


def _quota(group: Path) -> float:
    """Return the cores that a control group grants: time of all cores in a period, by the period.

    Version 2 has both in one file, version 1 in two.
    """
    names = ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")
    files = [group / name for name in names if (group / name).is_file()]
    numbers = " ".join(file.read_text(encoding="utf-8") for file in files).split()
    # No quota is `max` or -1.
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        return math.inf
    return int(numbers[0]) / int(numbers[1])
