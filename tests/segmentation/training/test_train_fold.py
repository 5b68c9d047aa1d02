"""Training: how it goes on after a stop, on several processes, and what it keeps."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from training_runs import arguments_of, rows_of, run, started, wait_for, weights_of

from data_prep.core.errors import DataError
from data_prep.files.output_folder import own_folder
from data_prep.prepared.dataset import load_dataset, save_dataset
from sdunet.runtime.checkpoint import PREVIOUS, STATE
from sdunet.runtime.interruption import same_signals
from sdunet.runtime.safetensors_io import read_tensors, write_weights
from sdunet.runtime.stop_callbacks import Halt
from sdunet.segmentation.models.trained_model import WEIGHTS, load_model
from sdunet.segmentation.training import train_fold
from sdunet.segmentation.training.lightning_module import SegmentationModule

STEPS = 8  # an epoch: 4 training cases, 4 patches each, in batches of 2


OPTIONS = ("--training.ema=0.9", "--network.dropout=0.2", "--network.deep_supervision=true")


@pytest.fixture(scope="module")
def undisturbed(trained_discs, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    run_ = None, trained_discs, trained_discs / "task.yaml"
    assert run(*arguments_of(run_, out, *OPTIONS, "--training.epochs=3")) == 0
    return out


class Killed(BaseException):
    """Stands for a process that is gone."""


def stops():
    """States every so many steps, and a step: in an epoch, around its end, and in validation."""
    for every in (1, 3, 0):
        for step in (1, 7, 8, 9, 15, 23, "validation"):
            soon = step == STEPS or (every == 3 and step in (1, 23, "validation"))
            yield pytest.param(every, step, marks=() if soon else pytest.mark.long)


@pytest.mark.parametrize(("every", "step"), [*stops()])
def test_resumed_training_is_the_undisturbed_one_bit_for_bit(
    disc_run, undisturbed, tmp_path, monkeypatch, step, every
):
    name = "validation_step" if step == "validation" else "training_step"
    goes_on = getattr(SegmentationModule, name)

    def fails(self, batch, index):
        if self.global_step == (2 * STEPS if step == "validation" else step):
            raise Killed
        return goes_on(self, batch, index)

    options = [*OPTIONS, "--training.epochs=3", f"--training.save_steps={every}"]
    command = arguments_of(disc_run, tmp_path / "run", *options)
    monkeypatch.setattr(SegmentationModule, name, fails)
    with pytest.raises(Killed):
        run(*command)
    monkeypatch.setattr(SegmentationModule, name, goes_on)
    begun = (tmp_path / "run" / STATE).exists()
    assert begun == (step != 1 or every == 1)
    assert run(*command, *["--resume"] * begun) == 0
    assert weights_of(tmp_path / "run") == weights_of(undisturbed)
    for name in (WEIGHTS, "model.json", "validation_cases.txt"):
        assert (tmp_path / "run" / name).read_bytes() == (undisturbed / name).read_bytes()
    assert rows_of(tmp_path / "run") == rows_of(undisturbed)


def test_a_damaged_state_gives_way_to_the_one_before(
    disc_run, undisturbed, tmp_path, capsys, monkeypatch
):
    options = [*OPTIONS, "--training.epochs=3"]
    command = arguments_of(disc_run, tmp_path / "run", *options)
    assert run(*command) == 0
    data = bytearray((tmp_path / "run" / STATE).read_bytes())
    data[-9] ^= 4
    (tmp_path / "run" / STATE).write_bytes(data)
    assert run(*command, "--resume") == 0
    assert "damaged: the hash differs" in capsys.readouterr().err
    assert weights_of(tmp_path / "run") == weights_of(undisturbed)
    for name in (STATE, PREVIOUS):
        (tmp_path / "run" / name).write_bytes(b"\x80\x04hostile pickle")
    assert run(*command, "--resume") == 1
    assert "MODEL_WEIGHTS" in capsys.readouterr().err


@pytest.mark.long
def test_a_finished_run_can_be_made_longer(disc_run, tmp_path):
    command = arguments_of(disc_run, tmp_path / "run")
    assert run(*command, "--training.epochs=1") == 0
    assert run(*command, "--training.epochs=3", "--resume") == 0
    assert [row["epoch"] for row in rows_of(tmp_path / "run")] == ["1", "2", "3"]


def test_a_run_has_no_fewer_epochs_than_it_has(disc_run, undisturbed, capsys):
    command = arguments_of(disc_run, undisturbed, *OPTIONS, "--training.epochs=2")
    assert run(*command, "--resume") == 1
    said = capsys.readouterr().err
    assert "CONFIG_RESUME: the run in " in said
    assert " has come to epoch 3, 2 are asked for" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--network.features=[4,6,10]"], r"network.features: [4, 6, 8] then, [4, 6, 10] now"),
        (["--training.seed=3"], "training.seed: 0 then, 3 now"),
        (["--fold=1"], "fold: 0 then, 1 now"),
    ],
)
def test_a_run_is_resumed_with_its_own_settings(disc_run, undisturbed, change, message, capsys):
    command = arguments_of(disc_run, undisturbed, *OPTIONS, "--training.epochs=3")
    assert run(*command, *change, "--resume") == 1
    assert f"CONFIG_RESUME: the run in {undisturbed} has other settings" in (
        said := capsys.readouterr().err
    )
    assert message in said
    assert run(*command) == 1
    assert "RUN_EXISTS" in capsys.readouterr().err


def test_a_run_whose_folds_were_dealt_anew_is_not_resumed(disc_run, undisturbed, tmp_path, capsys):
    _, root, _ = disc_run
    shutil.copytree(undisturbed, tmp_path / "run")
    shutil.copytree(root / "set", tmp_path / "set")
    dataset = load_dataset(tmp_path / "set")
    first, second, *rest = dataset.folds
    save_dataset(replace(dataset, folds=[second, first, *rest]))
    command = arguments_of(disc_run, tmp_path / "run", *OPTIONS, "--training.epochs=3", "--resume")
    command[command.index("--data") + 1] = tmp_path / "set"
    assert run(*command) == 1
    assert "data_sha256: " in capsys.readouterr().err


def test_a_run_under_way_is_not_described_anew(disc_run, tmp_path, capsys):
    command = arguments_of(disc_run, tmp_path / "run", "--epochs=1")
    with own_folder(tmp_path / "run", "train"):
        assert run(*command, "--fold=1") == 1
    assert "OUT_BUSY" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_nothing_to_resume_is_said(disc_run, tmp_path, capsys):
    assert run(*arguments_of(disc_run, tmp_path / "none"), "--resume") == 1
    assert "RUN_MISSING: no run to resume" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (None, 0)], ids=str
)
def test_a_training_asked_to_stop_saves_and_says_so_by_its_status(
    disc_run, tmp_path, number, status
):
    command = arguments_of(disc_run, tmp_path / "run", "--training.patience=2000")
    process = started([*command, "--training.epochs=2000"])
    wait_for(tmp_path / "run/metrics.csv", process)
    if number is None:
        (tmp_path / "run/stop").touch()
    else:
        os.kill(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert "stopped: " in said
    assert "Traceback" not in said
    assert not (tmp_path / "run/stop").exists()
    done = len(rows_of(tmp_path / "run"))
    assert run(*command, "--resume", f"--training.epochs={done + 1}") == 0
    assert len(rows_of(tmp_path / "run")) == done + 1


def test_no_epoch_is_begun_that_would_pass_the_time(disc_run, tmp_path, capsys):
    options = ["--training.epochs=500", "--training.patience=500", "--training.max_time=0.02"]
    assert run(*arguments_of(disc_run, tmp_path / "run", *options)) == 0
    assert "the next epoch would pass max_time" in capsys.readouterr().err
    assert 1 <= len(rows_of(tmp_path / "run")) < 500


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on few cores
def test_weights_and_masks_are_the_same_bits_from_any_number_of_workers(disc_run, tmp_path):
    raw, _, _ = disc_run
    made = set()
    for workers in (0, 1, 4):
        out = tmp_path / str(workers)
        options = ["--deterministic", f"--training.workers={workers}", "--epochs=2"]
        assert run(*arguments_of(disc_run, out, *options)) == 0
        assert run("predict", "--model", out, "-i", raw, "-o", out / "masks") == 0
        masks = [path.read_bytes() for path in sorted((out / "masks").glob("*.png"))]
        made.add(((out / WEIGHTS).read_bytes(), *masks))
    assert len(made) == 1


def test_without_it_a_run_on_a_gpu_says_that_it_may_differ(disc_run, tmp_path, capsys, monkeypatch):
    assert run(*arguments_of(disc_run, tmp_path / "a", "--epochs=1")) == 0
    assert "--deterministic prevents that" not in capsys.readouterr().err
    say = train_fold._say_doubts
    monkeypatch.setattr(train_fold, "_say_doubts", lambda *a: say(*a[:-1], "cuda"))
    assert run(*arguments_of(disc_run, tmp_path / "b", "--epochs=1")) == 0
    assert "--deterministic prevents that" in capsys.readouterr().err
    assert run(*arguments_of(disc_run, tmp_path / "c", "--epochs=1", "--deterministic")) == 0
    assert "--deterministic prevents that" not in capsys.readouterr().err


FULL = """
import resource, sys
from sdunet.cli.main import main

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.long
def test_a_full_disk_is_named_and_earlier_states_stay(disc_run, tmp_path):
    command = arguments_of(disc_run, tmp_path / "run")
    assert run(*command, "--epochs=1") == 0
    before = weights_of(tmp_path / "run")
    code = [sys.executable, "-c", FULL, "20000", *map(str, command), "--resume", "--epochs=2"]
    ended = subprocess.run(code, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "error: OUT_DISK: File too large" in ended.stderr
    assert "bytes to write" in ended.stderr
    assert weights_of(tmp_path / "run") == before
    assert not list((tmp_path / "run").rglob(".partial-*"))
    assert run(*command, "--resume", "--epochs=2") == 0


def test_an_output_that_cannot_be_written_is_named_before_training(disc_run, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(*arguments_of(disc_run, tmp_path / "file/run")) == 1
    assert "error: Not a directory" in (said := capsys.readouterr().err)
    assert "epoch" not in said


def test_a_run_whose_patience_is_over_stands_still_until_it_is_given_more(disc_run, tmp_path):
    command = arguments_of(disc_run, tmp_path / "run", "--training.learning_rate=1e-9")
    assert run(*command, "--patience=1", "--epochs=30") == 0
    assert len(rows_of(tmp_path / "run")) == 2
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").glob("[!.]*.*")}
    assert run(*command, "--patience=1", "--epochs=30", "--resume") == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").glob("[!.]*.*")} == before
    assert run(*command, "--patience=3", "--epochs=30", "--resume") == 0
    assert len(rows_of(tmp_path / "run")) == 4


def test_a_run_whose_time_is_over_stands_still(disc_run, tmp_path):
    command = arguments_of(disc_run, tmp_path / "run", "--epochs=50", "--patience=50")
    assert run(*command, "--max-time=0.0001") == 0
    assert len(rows_of(tmp_path / "run")) == 1
    assert run(*command, "--max-time=0.0001", "--resume") == 0
    assert len(rows_of(tmp_path / "run")) == 1


@pytest.mark.long
def test_an_epoch_of_one_step_killed_before_its_state_begins_anew(
    disc_run, tmp_path, monkeypatch, capsys
):
    options = ["--training.batch_size=16", "--epochs=2"]
    whole = arguments_of(disc_run, tmp_path / "whole", *options)
    assert run(*whole) == 0
    command = arguments_of(disc_run, tmp_path / "run", *options)

    def fails(*_):
        raise Killed

    with monkeypatch.context() as patch:  # between the best weights and the state
        patch.setattr("pytorch_lightning.Trainer.save_checkpoint", fails)
        with pytest.raises(Killed):
            run(*command)
    assert (tmp_path / "run" / WEIGHTS).exists()
    assert run(*command) == 1
    assert "give another --out, or --resume" in capsys.readouterr().err
    assert run(*command, "--resume") == 0
    assert "training starts from the beginning" in capsys.readouterr().err
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


@pytest.mark.long
def test_weights_that_are_gone_are_not_passed_over(disc_run, tmp_path, capsys):
    command = arguments_of(disc_run, tmp_path / "run", "--epochs=1")
    assert run(*command) == 0
    (tmp_path / "run" / WEIGHTS).unlink()
    assert run(*command, "--resume") == 1
    assert "RUN_WEIGHTS" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("moment", ["on_validation_batch_start", "on_train_epoch_end"])
def test_signals_before_the_first_step_and_after_the_last_are_heard(
    disc_run, tmp_path, monkeypatch, moment
):
    def asks(self, *_):
        if moment == "on_validation_batch_start" or self.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(SegmentationModule, moment, asks)
    command = arguments_of(disc_run, tmp_path / "run", "--epochs=2", "--fold=all")
    assert run(*command) == 143
    assert not (tmp_path / "run/fold_1").exists()


def test_signals_that_nohup_hides_stay_hidden(tmp_path):
    halt = Halt(tmp_path)
    with same_signals():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        halt.on_sanity_check_start()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == halt._ask


@pytest.mark.long
def test_loader_workers_leave_signals_to_the_training():
    code = (
        "import os; from sdunet.segmentation.training.data_module import _deaf, SIGNALS; _deaf(0);"
        "[os.kill(os.getpid(), n) for n in SIGNALS]; print('goes on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "goes on\n"


@pytest.mark.long
def test_a_run_is_not_put_around_others(disc_run, tmp_path, capsys):
    command = arguments_of(disc_run, tmp_path / "all", "--epochs=1")
    assert run(*command, "--fold=all") == 0
    assert run(*command) == 1
    assert "RUN_EXISTS" in (said := capsys.readouterr().err)
    assert "holds the run" in said
    assert run(*arguments_of(disc_run, tmp_path / "one", "--epochs=1")) == 0
    assert run(*arguments_of(disc_run, tmp_path / "one", "--epochs=1", "--fold=all")) == 1
    assert "one holds a run itself" in capsys.readouterr().err


def test_waiting_time_and_memory_are_in_the_log(undisturbed):
    with (undisturbed / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert 0 <= float(row["waiting"]) <= 1
        assert float(row["training_seconds"]) > 0
        assert float(row["validation_seconds"]) > 0
        assert 0.05 < float(row["memory_gb"]) < 100
    settings = json.loads((undisturbed / "settings.json").read_text())
    assert settings["training"]["ema"] == 0.9


def test_a_foreign_state_is_refused(disc_run, undisturbed, tmp_path, capsys):
    shutil.copytree(undisturbed, tmp_path / "run")
    write_weights(tmp_path / "run" / STATE, {"a": torch.zeros(2)})
    (tmp_path / "run" / PREVIOUS).unlink()
    command = arguments_of(disc_run, tmp_path / "run", *OPTIONS, "--training.epochs=3")
    assert run(*command, "--resume") == 1
    assert "MODEL_WEIGHTS: not the state of a training" in capsys.readouterr().err
    other = arguments_of(disc_run, tmp_path / "other", "--network.features=[4,6]", "--epochs=1")
    assert run(*other) == 0
    shutil.copy(tmp_path / "other" / STATE, tmp_path / "run" / STATE)
    assert run(*command, "--resume") == 1
    assert "OUT_CHANGED" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "run/.sdunet")
    assert run(*command, "--resume") == 1
    assert "RUN_OTHER: it is of another run: network.features" in capsys.readouterr().err
    tensors, texts = read_tensors(tmp_path / "run" / STATE)
    write_weights(tmp_path / "run" / STATE, tensors, state=texts["state"])  # of an older version
    assert run(*command, "--resume") == 1
    assert "MODEL_WEIGHTS: the state of a training of another network" in capsys.readouterr().err
    write_weights(tmp_path / "run" / WEIGHTS, {"a": torch.zeros(2)})
    with pytest.raises(DataError, match="MODEL_WEIGHTS"):
        load_model(tmp_path / "run")


def test_weights_of_another_fold_are_refused_where_no_list_tells(undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "run", ignore=shutil.ignore_patterns(".sdunet"))
    load_model(tmp_path / "run")
    tensors, texts = read_tensors(tmp_path / "run" / WEIGHTS)
    foreign = json.loads(texts["run"]) | {"fold": 1}
    write_weights(tmp_path / "run" / WEIGHTS, tensors, run=json.dumps(foreign))
    with pytest.raises(DataError, match="RUN_OTHER: it is of another run: fold 1 there, 0 here"):
        load_model(tmp_path / "run")
