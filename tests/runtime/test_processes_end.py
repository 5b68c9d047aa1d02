"""Processes that a command starts are gone soon after it, whatever ended it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from training_runs import wait_for

from sdunet.cli.main import main

pytestmark = pytest.mark.long

LADDER = {
    "depth": 2,
    "downsample_at": [0],
    "z_channels": 2,
    "h_channels": 4,
    "context_channels": 4,
    "sdn_max_scale": 8,
    "sdn_features": 3,
}
WAITING = """
from time import sleep
from data_prep.parallel import run

if __name__ == "__main__":
    list(run(sleep, [(100,)] * 4, workers=2))
"""
COMMAND = """
import sys
from sdunet.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
"""  # what an installation writes for the command line
MEMORY = """
from time import sleep
from sdunet.bench.timing import peak_extra_bytes

if __name__ == "__main__":
    peak_extra_bytes("cpu", sleep, 100)
"""

STARTING = """
import os, subprocess, sys, time

os.environ |= {"SDUNET_LEADER": str(os.getpid()), "LOCAL_RANK": sys.argv[1]}
subprocess.Popen([sys.executable, "-c", "import sdunet, time; time.sleep(100)"])
time.sleep(100)
"""  # as Lightning starts the other processes of a training


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    root = tmp_path_factory.mktemp("packed")
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 8)).astype(np.uint8)
    np.savez(root / "noise.npz", train=images, test=images[:8])
    assert main(["vae", "prepare", str(root / "noise.npz"), str(root / "set")]) == 0
    return root / "set"


def commands(discs, packed, out):
    """What starts other processes, and how many of them do its work."""
    sdunet = [sys.executable, discs / "sdunet"]
    config = ["--config", discs / "task.yaml"]
    long = ["--training.epochs=100000"]
    train = [*sdunet, "train", *config, "--data", discs / "set", "--out", out, *long]
    train += ["--training.patience=100000"]
    ladder = [f"--ladder.{name}={json.dumps(value)}" for name, value in LADDER.items()]
    vae = [*sdunet, "vae", "train", "--data", packed, "--out", out, *ladder, *long]
    vae += ["--images.channels=1", "--images.size=[6,8]", "--training.batch_size=4"]
    return {
        "check": ([*sdunet, "check", discs / "raw", *config, "--workers=2"], 2),
        "prepare": ([*sdunet, "prepare", discs / "raw", out, *config, "--workers=2"], 2),
        "busy workers": ([sys.executable, "-c", WAITING], 2),
        "loaders": ([*train, "--training.workers=1"], 2),  # of training and of validation
        "two processes": ([*train, "--trainer.devices=2", "--training.batch_size=1"], 1),
        "loaders of a VAE": ([*vae, "--training.workers=1", "--training.device=cpu"], 1),
        "bench": ([sys.executable, "-c", MEMORY], 1),
    }


def does_work(child):
    """Whether a process is there and not the one that tracks resources, which ends by itself."""
    try:
        return "resource_tracker" not in " ".join(child.cmdline())
    except psutil.NoSuchProcess:
        return False


def started_by(process, count, said):
    """Wait for the processes that do the work."""
    for _ in range(2400):
        found = list(filter(does_work, psutil.Process(process.pid).children(recursive=True)))
        if len(found) >= count:
            return found
        assert process.poll() is None, said.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{count} processes do not appear")


@pytest.mark.parametrize(
    ("what", "how"),
    [
        *((what, signal.SIGKILL) for what in commands(Path(), Path(), Path())),
        ("check", signal.SIGTERM),
        ("loaders", signal.SIGTERM),
    ],
)
def test_what_a_command_started_ends_with_it(trained_discs, packed, tmp_path, what, how):
    (trained_discs / "sdunet").write_text(COMMAND)
    command, count = commands(trained_discs, packed, tmp_path / "out")[what]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen([*map(str, command)], stdout=said, stderr=said)
    try:
        if what == "two processes":  # the second is heard of when it has joined the first
            wait_for(tmp_path / "out/metrics.csv", process)
        children = started_by(process, count, tmp_path / "said")
        os.kill(process.pid, how)
        process.wait(60)  # a training first saves what it has
    finally:
        process.kill()  # one that was not ended would train on
    _, alive = psutil.wait_procs(children, timeout=5)
    for child in alive:
        child.kill()
    assert not alive


@pytest.mark.parametrize(("rank", "ends"), [("1", True), ("0", False)])
def test_a_process_of_a_training_ends_with_its_leader_while_it_still_imports(tmp_path, rank, ends):
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen([sys.executable, "-c", STARTING, rank], stdout=said, stderr=said)
    try:
        (child,) = started_by(process, 1, tmp_path / "said")
        for _ in range(200):  # until it loads torch, and has not yet come to its end
            if "torch" in " ".join(m.path for m in child.memory_maps()):
                break
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs([child], timeout=2)
    for one in alive:
        one.kill()
    assert bool(alive) != ends
