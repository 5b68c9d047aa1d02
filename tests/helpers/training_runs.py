"""Trainings run here or in a process of their own, and what is compared of them."""

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

from sdunet.cli.main import main
from sdunet.runtime.checkpoint import STATE
from sdunet.runtime.safetensors_io import read_tensors


def run(*arguments):
    return main([str(a) for a in arguments])


def arguments_of(disc_run, out, *more):
    _, root, config = disc_run
    return ["train", "--config", config, "--data", root / "set", "--out", out, *more]


def weights_of(run_):
    """The network, its optimiser and its average, whatever else a state tells of time."""
    tensors, _ = read_tensors(run_ / STATE)
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def rows_of(run_):
    """The course of a run but for seconds and memory."""
    with (run_ / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = ("epoch", "train_loss", "val_dice", "learning_rate")
    return [{name: row[name] for name in kept} for row in rows]


def started(arguments):
    command = [Path(sys.executable).with_name("sdunet"), *(str(a) for a in arguments)]
    # Tests that run in the background are told to ignore Ctrl-C, which is inherited, and kept to.
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_hear)


def _hear():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(path, process):
    for _ in range(2400):
        if path.exists():
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise AssertionError(f"{path} does not appear")
