"""The state before the last one is that of a run without a stop, too."""

import json

from training_runs import run

from sdunet.runtime.checkpoint import PREVIOUS
from sdunet.runtime.safetensors_io import read_tensors


def loops(out):
    _, texts = read_tensors(out / PREVIOUS)
    return json.loads(texts["state"])["loops"]


def test_a_stop_between_epochs_leaves_no_trace_in_the_spare_state(disc_run, tmp_path):
    _, root, config = disc_run
    command = ["train", "--config", config, "--data", root / "set", "--out"]
    assert run(*command, tmp_path / "whole", "--epochs", 2) == 0
    assert run(*command, tmp_path / "stopped", "--epochs", 1) == 0
    assert run(*command, tmp_path / "stopped", "--epochs", 2, "--resume") == 0
    assert loops(tmp_path / "stopped") == loops(tmp_path / "whole")
