"""Training on two processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_runs import arguments_of, rows_of, run, started, wait_for

from sdunet.segmentation.models.trained_model import load_model
from sdunet.segmentation.training.lightning_module import SegmentationModule

pytestmark = pytest.mark.long


def test_two_processes_learn_as_one_with_twice_the_batch(disc_run, tmp_path):
    # AdamW would turn rounding into steps where a gradient is nothing but rounding.
    options = ["--training.epochs=2", "--training.optimizer=sgd", "--training.deterministic=true"]
    one = arguments_of(disc_run, tmp_path / "one", *options, "--training.batch_size=2")
    assert run(*one) == 0
    two = arguments_of(disc_run, tmp_path / "two", *options, "--training.batch_size=1")
    process = started([*two, "--trainer.devices=2"])
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    for ours, theirs in zip(rows_of(tmp_path / "one"), rows_of(tmp_path / "two"), strict=True):
        assert float(theirs["train_loss"]) == pytest.approx(float(ours["train_loss"]), rel=1e-5)
        assert float(theirs["val_dice"]) == pytest.approx(float(ours["val_dice"]), abs=1e-3)
    first, second = (load_model(tmp_path / n).network.state_dict() for n in ("one", "two"))
    for name, want in first.items():
        torch.testing.assert_close(second[name], want, rtol=1e-3, atol=1e-5)


def test_a_strategy_asked_for_is_taken_and_one_process_learns_the_same_by_it(disc_run, tmp_path):
    said = {}
    for name in ("auto", "ddp"):  # both in processes of their own, which compute in as many threads
        options = ["--training.epochs=2", f"--trainer.strategy={name}"]
        process = started(arguments_of(disc_run, tmp_path / name, *options))
        _, said[name] = process.communicate(timeout=200)
        assert process.returncode == 0, said[name]
    assert "Initializing distributed" in said["ddp"]
    assert "Initializing distributed" not in said["auto"]
    assert "sync_dist" not in said["ddp"]
    assert rows_of(tmp_path / "ddp") == rows_of(tmp_path / "auto")


def test_processes_of_torchrun_predict_a_part_each(disc_run, tmp_path):
    raw, root, _ = disc_run
    given = ["predict", "--model", root / "run", "-i", raw, "-o"]
    assert run(*given, tmp_path / "one") == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    ours = [Path(sys.executable).with_name("sdunet"), *given, tmp_path / "two"]
    command = [*torchrun, "--nproc-per-node=2", *map(str, ours)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "part 0 of 2: 3 cases" in done.stderr
    assert "part 1 of 2: 3 cases" in done.stderr
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.png")}
        for name in ("one", "two")
    )
    assert one == two
    listed = json.loads((tmp_path / "two/predictions.json").read_text())["cases"]
    assert len(listed) == 6


@pytest.mark.filterwarnings("ignore:The `srun` command is available")
def test_the_warning_of_slurm_saves_here_and_not_as_lightning_would(
    disc_run, tmp_path, monkeypatch
):
    for name in ("PROCID", "LOCALID", "NODEID"):
        monkeypatch.setenv(f"SLURM_{name}", "0")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NAME", "night")
    monkeypatch.chdir(tmp_path)

    def warned(self, *_):
        if self.global_step == 2:
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(SegmentationModule, "on_train_batch_end", warned)
    command = arguments_of(disc_run, tmp_path / "run", "--epochs=1")
    assert run(*command) == 128 + signal.SIGUSR1
    assert not list(tmp_path.rglob("*.ckpt"))
    monkeypatch.undo()
    assert run(*command, "--resume") == 0


def test_more_processes_than_validation_cases_are_refused(disc_run, tmp_path):
    process = started(arguments_of(disc_run, tmp_path / "run", "--trainer.devices=3"))
    _, said = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "CONFIG_DEVICES: 3 processes for 2 validation cases" in said


def test_two_processes_stop_together_and_go_on(disc_run, tmp_path):
    options = ["--training.patience=2000", "--training.batch_size=1", "--trainer.devices=2"]
    command = arguments_of(disc_run, tmp_path / "run", *options)
    process = started([*command, "--epochs=2000"])
    wait_for(tmp_path / "run/metrics.csv", process)
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 143, said
    done = len(rows_of(tmp_path / "run"))
    process = started([*command, f"--epochs={done + 1}", "--resume"])
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert len(rows_of(tmp_path / "run")) == done + 1
