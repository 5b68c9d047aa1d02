"""Time a training step and a prediction on a quiet and on a busy machine, by how threads wait.

Every row is a process of its own, as OpenMP reads its settings when it is loaded; rows take turns.
Busy means: another process computes all the time on the first of the cores.

python scripts/bench_threads.py
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

POLICIES = {
    "PyTorch's own": {"GOMP_SPINCOUNT": None, "OMP_WAIT_POLICY": None},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    **{f"GOMP_SPINCOUNT={n}": {"GOMP_SPINCOUNT": str(n)} for n in (1000, 10000, 30000, 60000)},
}
BUSY = "while True: pass"


def measure(seconds: float) -> dict[str, float]:
    """Return the median milliseconds of a training step and of a prediction, here and now."""
    import torch

    from sdunet import SDUNet
    from sdunet.ops import keep_freed_memory

    keep_freed_memory()
    torch.manual_seed(0)
    found = {}
    for network, name in ((SDUNet(2, 1, 2), "sdunet"), (SDUNet(2, 1, 2, sdn_decoder=()), "unet")):
        optimizer = torch.optim.AdamW(network.parameters())
        x = torch.randn(4, 1, 128, 128)

        def step(network=network, optimizer=optimizer, x=x) -> None:
            optimizer.zero_grad()
            network(x).square().mean().backward()
            optimizer.step()

        @torch.no_grad()
        def predict(network=network, x=x) -> None:
            network(x)

        for what, run in (("train", step), ("predict", predict)):
            times, began = [], time.perf_counter()
            run()
            while time.perf_counter() - began < seconds or len(times) < 3:
                started = time.perf_counter()
                run()
                times.append(1000 * (time.perf_counter() - started))
            found[f"{name} {what}"] = statistics.median(times)
    return found


def in_a_process(setting: dict[str, str | None], busy: bool, seconds: float) -> dict[str, float]:
    """Measure in a new process of an environment, with or without another that keeps a core."""
    kept = {name: value for name, value in os.environ.items() if name not in setting}
    environment = kept | {name: value for name, value in setting.items() if value is not None}
    other = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    try:
        if other:
            os.sched_setaffinity(other.pid, {min(os.sched_getaffinity(0))})
        # Imported before this file would choose for it.
        code = f"import torch, bench_threads as b, json; print(json.dumps(b.measure({seconds})))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment | {"PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        if other:
            other.kill()
            other.wait()
    return json.loads(done.stdout)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="for each number")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    found: dict[tuple[str, bool], list[dict[str, float]]] = {}
    for _ in range(asked.rounds):
        for name, setting in POLICIES.items():
            for busy in (False, True):
                row = in_a_process(setting, busy, asked.seconds / asked.rounds)
                found.setdefault((name, busy), []).append(row)
    columns = list(next(iter(found.values()))[0])
    print("| how threads wait | machine | " + " | ".join(f"{c}, ms" for c in columns) + " |")
    print("|---" * (2 + len(columns)) + "|")
    for (name, busy), rows in found.items():
        cells = [f"{statistics.median(row[c] for row in rows):.0f}" for c in columns]
        print(f"| {name} | {'busy' if busy else 'quiet'} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
