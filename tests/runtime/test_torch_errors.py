"""What goes wrong while a network learns: numbers, memory, workers. Each has its name."""

import pytest
import torch
from monai.losses import DiceCELoss
from training_runs import arguments_of, run

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import memory_each
from sdunet.runtime.checkpoint import STATE
from sdunet.runtime.safetensors_io import read_tensors
from sdunet.runtime.torch_errors import named
from sdunet.segmentation.models.trained_model import load_model


def test_a_loss_that_is_not_finite_stops_and_keeps_the_best(
    disc_run, tmp_path, capsys, monkeypatch
):
    class FailsAfterOneEpoch(DiceCELoss):
        steps = 0

        def forward(self, logits, label):
            FailsAfterOneEpoch.steps += 1
            return super().forward(logits, label) * (1 if self.steps <= 8 else torch.nan)

    monkeypatch.setattr("sdunet.segmentation.training.losses.DiceCELoss", FailsAfterOneEpoch)
    assert run(*arguments_of(disc_run, tmp_path / "wild")) == 1
    assert (
        "error: RUN_NONFINITE: loss is nan at epoch 1, step 8; train anew with a lower"
        in capsys.readouterr().err
    )
    assert load_model(tmp_path / "wild").plan.labels == {"background": 0, "disc": 1}
    assert not (tmp_path / "wild/run.json").exists()


def test_a_gradient_that_is_not_finite_stops_before_it_reaches_the_weights(
    disc_run, tmp_path, capsys, monkeypatch
):
    class Infinite(torch.autograd.Function):
        steps = 0

        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, grad):
            Infinite.steps += 1
            return grad if Infinite.steps <= 5 else grad * torch.inf

    class Finite(DiceCELoss):
        def forward(self, logits, label):
            return Infinite.apply(super().forward(logits, label))

    monkeypatch.setattr("sdunet.segmentation.training.losses.DiceCELoss", Finite)
    command = arguments_of(disc_run, tmp_path / "run", "--training.save_steps=1")
    assert run(*command) == 1
    assert "error: RUN_NONFINITE: gradient is" in (said := capsys.readouterr().err)
    assert "at epoch 0, step 5" in said
    tensors, _ = read_tensors(tmp_path / "run" / STATE)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on few cores
def test_errors_of_loader_workers_are_named(disc_run, tmp_path, capsys, monkeypatch):
    def damaged(*_):
        raise DataError("DATA_ARRAY", "cannot be read", "prepare again")

    monkeypatch.setattr("sdunet.segmentation.training.data_module.places_of", damaged)
    command = arguments_of(disc_run, tmp_path / "run", "--training.workers=1")
    assert run(*command) == 1
    assert "RUN_LOADER" in (said := capsys.readouterr().err)
    assert "DATA_ARRAY: cannot be read" in said


def test_more_processes_than_a_machine_holds_are_not_started(disc_run, tmp_path, capsys):
    assert run(*arguments_of(disc_run, tmp_path / "run", "--training.workers=99999")) == 1
    assert "OPTION: training.workers is 99999; give a whole number" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_errors_of_torch_are_named_where_users_can_mend_them():
    assert named(torch.OutOfMemoryError("CUDA out of memory. Tried")).code == "RUN_MEMORY"
    assert named(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when")).code == "RUN_MEMORY"
    killed = RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")
    assert named(killed).code == "RUN_LOADER"
    assert named(RuntimeError("shapes do not fit")) is None


def test_a_job_is_not_taken_to_have_more_memory_than_it_is_granted(tmp_path, monkeypatch):
    whole = memory_each(1)
    monkeypatch.setattr("data_prep.core.memory_limits._GROUPS", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_each(1) == whole
    (tmp_path / "memory.max").write_text("3000000000\n")
    assert memory_each(2) == 1.5
