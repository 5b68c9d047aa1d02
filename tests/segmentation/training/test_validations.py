"""Validation every so many steps: the same training, cut otherwise; and which weights it keeps."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from training_runs import arguments_of, rows_of, run, weights_of

from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.prepared.dataset import load_dataset
from sdunet.runtime.checkpoint import STATE
from sdunet.runtime.safetensors_io import read_tensors
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.models.run_settings import SETTINGS
from sdunet.segmentation.models.trained_model import WEIGHTS
from sdunet.segmentation.training.augmentation import augmentation
from sdunet.segmentation.training.data_module import Patches, load_case
from sdunet.segmentation.training.lightning_module import SegmentationModule
from sdunet.segmentation.training.patch_order import PatchOrder

STEPS = 8  # an epoch of the discs: 4 training cases, 4 patches each, in batches of 2
# Twelve steps in four checks, of which the second goes on into another epoch.
OPTIONS = ("--training.validate_every=3", "--training.epochs=2", "--training.patience=5")


def steps_of(every, done, until):
    order = PatchOrder(5, 3, 2, seed=1, steps_done=lambda: done, validate_every=every)
    found = []
    while done < until:
        before = len(found)
        found += order
        done += len(found) - before
    return found[: until - (done - len(found))]


@pytest.mark.parametrize("every", [1, 3, 7, 11])
@pytest.mark.parametrize("done", [0, 4, 7, 13])
def test_checks_cut_the_steps_of_epochs_and_change_none(every, done):
    assert steps_of(every, done, 40)[: 40 - done] == steps_of(0, done, 40)[: 40 - done]
    order = PatchOrder(5, 3, 2, seed=1, steps_done=lambda: done, validate_every=every)
    assert (done + len(list(order))) % every == 0
    assert (len(order), order.epoch_steps) == (every, 7)


class Killed(BaseException):
    """Stands for a process that is gone."""


@pytest.fixture(scope="module")
def undisturbed(trained_discs, tmp_path_factory):
    out = tmp_path_factory.mktemp("checks") / "run"
    run_ = None, trained_discs, trained_discs / "task.yaml"
    assert run(*arguments_of(run_, out, *OPTIONS)) == 0
    return out


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("training_step", 4),
        pytest.param("training_step", STEPS, marks=pytest.mark.long),
        pytest.param("training_step", 9, marks=pytest.mark.long),
        ("validation_step", 9),
    ],
)
def test_resumed_within_a_check_it_is_the_undisturbed_one_bit_for_bit(
    disc_run, undisturbed, tmp_path, monkeypatch, name, step
):
    goes_on = getattr(SegmentationModule, name)

    def fails(self, batch, index):
        if self.global_step == step:
            raise Killed
        return goes_on(self, batch, index)

    command = arguments_of(disc_run, tmp_path / "run", *OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationModule, name, fails)
        with pytest.raises(Killed):
            run(*command)
    assert run(*command, "--resume") == 0
    assert weights_of(tmp_path / "run") == weights_of(undisturbed)
    assert (tmp_path / "run" / WEIGHTS).read_bytes() == (undisturbed / WEIGHTS).read_bytes()
    assert rows_of(tmp_path / "run") == rows_of(undisturbed)


def test_each_check_has_a_row_and_the_record_says_how_far_it_came(undisturbed):
    epochs = [float(row["epoch"]) for row in rows_of(undisturbed)]
    assert epochs == [3 / 8, 6 / 8, 9 / 8, 12 / 8, 15 / 8]
    record = read_hashed(undisturbed / "run.json")
    assert (record["validations"], record["steps"], record["epochs"]) == (5, 15, 15 / 8)


def kept(run_):
    """The weights that predict, and those of the state."""
    best, _ = read_tensors(run_ / WEIGHTS)
    state, _ = read_tensors(run_ / STATE)
    return best, [tensor.numpy().tobytes() for tensor in state.values()]


def test_patience_counts_checks_and_the_last_weights_are_kept(disc_run, tmp_path, capsys):
    options = ["--training.validate_every=1", "--training.learning_rate=1e-9", "--patience=2"]
    command = arguments_of(disc_run, tmp_path / "run", *options)
    assert run(*command, "--training.keep=last") == 0
    assert "last validation Dice" in capsys.readouterr().out
    assert len(rows_of(tmp_path / "run")) == 3  # as 1e-9 moves nothing that Dice tells of
    weights, state = kept(tmp_path / "run")
    assert all(tensor.numpy().tobytes() in state for tensor in weights.values())
    assert run(*arguments_of(disc_run, tmp_path / "best", *options)) == 0
    weights, state = kept(tmp_path / "best")
    assert not all(tensor.numpy().tobytes() in state for tensor in weights.values())


def test_a_run_of_before_these_settings_is_resumed(disc_run, undisturbed, tmp_path):
    command = arguments_of(disc_run, tmp_path / "run", "--training.epochs=1")
    assert run(*command) == 0
    settings = read_hashed(tmp_path / "run" / SETTINGS)
    for name in ("validate_every", "keep", "class_weights"):
        del settings["training"][name]
    write_hashed(tmp_path / "run" / SETTINGS, settings)
    assert run(*command, "--resume") == 0
    assert run(*command, "--resume", "--training.validate_every=2") == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--training.validate_every=9", "--training.epochs=1"], "CONFIG_VALIDATE"),
        (["--training.augmentation=none", "--training.rotate=true"], "CONFIG_AUGMENTATION"),
        (["--training.augmentation=none", "--training.flip_axes=[0]"], "CONFIG_AUGMENTATION"),
    ],
)
def test_settings_that_contradict_each_other_are_named(disc_run, tmp_path, capsys, options, code):
    assert run(*arguments_of(disc_run, tmp_path / "run", *options)) == 1
    assert code in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_without_augmentation_a_patch_is_a_piece_of_its_image(trained_discs):
    dataset = load_dataset(trained_discs / "set")
    config = TrainingConfig(augmentation="none")
    case = dataset.folds[0]["train"][0]
    patch = Patches(dataset, [case], config)[0, 3]
    whole = load_case(dataset, case)
    size = patch["image"].shape[1:]
    places = np.lib.stride_tricks.sliding_window_view(whole["image"][0], size)
    assert (places == patch["image"][0].numpy()).all((-1, -2)).any()
    assert len(augmentation(dataset.plan, config).transforms) == 1


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_optimizer_is_the_one_named(trained_discs, name, kind):
    plan = load_dataset(trained_discs / "set").plan
    config = TrainingConfig(optimizer=name, weight_decay=0.0)
    found = SegmentationModule(torch.nn.Conv2d(1, 2, 1), plan, config).configure_optimizers()
    assert type(found) is kind
    assert asdict(config)["optimizer"] == name
    assert found.defaults["weight_decay"] == 0
