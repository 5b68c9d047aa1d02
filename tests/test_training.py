"""Training: what is drawn, how it goes on after a stop, on several processes, and what it keeps."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss

from data_prep.config import Plan
from data_prep.dataset import load_dataset
from data_prep.errors import DataError
from sdunet.cli import main
from sdunet.runs.checkpoint import PREVIOUS, STATE
from sdunet.runs.weights import read_tensors, write_weights
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.data import PatchOrder, SegmentationData
from sdunet.segmentation.model import WEIGHTS, load_model
from sdunet.segmentation.module import SegmentationModule, build_loss, learning_rate_at
from sdunet.segmentation.transforms import augmentation, draw_patch, places_of

PLAN = Plan(2, ("a",), {"background": 0, "b": 1}, {}, "zscore", None, (16, 16))
STEPS = 8  # an epoch: 4 training cases, 4 patches each, in batches of 2


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


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on few cores
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_patches_are_the_same_from_any_number_of_workers(disc_run, workers):
    _, root, _ = disc_run
    config = TrainingConfig(batch_size=2, patches_per_case=2, workers=workers)
    loader = SegmentationData(load_dataset(root / "set"), 0, config).train_dataloader()
    plain = SegmentationData(
        load_dataset(root / "set"), 0, TrainingConfig(batch_size=2, patches_per_case=2)
    ).train_dataloader()
    for _ in range(2):
        for got, want in zip(loader, plain, strict=True):
            assert torch.equal(got["image"], want["image"])
            assert torch.equal(got["label"], want["label"])


def test_an_order_of_patches_goes_on_from_any_step():
    whole = list(itertools.chain(*(PatchOrder(7, 3, 2, 5, lambda e=e: 10 * e) for e in range(3))))
    for done in range(30):
        rest = list(PatchOrder(7, 3, 2, 5, lambda done=done: done))
        assert rest == whole[done : 10 * (done // 10 + 1)]


def test_what_is_left_over_after_the_last_whole_step_is_not_drawn():
    steps = list(PatchOrder(7, 3, 2, 0))
    assert len(steps) == 10
    assert all(len(step) == 2 for step in steps)
    assert max(np.bincount([case for step in steps for case, _ in step])) == 3


def test_no_patch_is_drawn_twice_and_every_case_as_often():
    epochs = [list(PatchOrder(6, 4, 3, 0, lambda e=e: 8 * e)) for e in range(3)]
    seeds = [seed for epoch in epochs for step in epoch for _, seed in step]
    assert len(set(seeds)) == len(seeds) == 72
    for epoch in epochs:
        cases = [case for step in epoch for case, _ in step]
        assert np.bincount(cases).tolist() == [4] * 6
    assert epochs[0] != epochs[1]
    assert list(PatchOrder(6, 4, 3, 1)) != epochs[0]


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_patches_of_one_process_with_the_whole_batch(ranks):
    whole = list(PatchOrder(6, 6, 2 * ranks, 3))
    parts = [list(PatchOrder(6, 6, 2, 3, rank=r, ranks=ranks)) for r in range(ranks)]
    assert whole == [list(itertools.chain(*step)) for step in zip(*parts, strict=True)]


def test_an_epoch_has_a_step_however_few_cases_there_are():
    assert len(list(PatchOrder(1, 1, 8, 0))) == 1
    (step,) = PatchOrder(1, 1, 8, 0, rank=1, ranks=2)
    assert [case for case, _ in step] == [0]


@pytest.mark.parametrize("sizes", [(40, 50), (20, 30, 25), (5, 60)])
def test_patches_lie_inside_and_around_the_cells_they_are_drawn_for(sizes):
    label = np.zeros((1, *sizes), np.uint8)
    label[(0, *(n // 2 for n in sizes))] = 1
    label[(0, *(n - 1 for n in sizes))] = 2
    patch = tuple(min(n, 9) for n in sizes)
    random = np.random.RandomState(0)
    held = np.zeros(3)
    for _ in range(400):
        where = draw_patch(sizes, patch, places_of(label), 0.8, random)
        assert label[(0, *where)].shape == patch
        held += np.bincount(np.unique(label[(0, *where)]), minlength=3)
    assert (held[1:] > 400 * 0.4 * 0.8).all()


def test_scans_without_foreground_are_drawn_from_anywhere():
    places = places_of(np.zeros((1, 30, 30), np.uint8))
    random = np.random.RandomState(0)
    starts = {draw_patch((30, 30), (8, 8), places, 0.9, random)[0].start for _ in range(200)}
    assert len(starts) > 10


@pytest.mark.parametrize("level", ["light", "full"])
@pytest.mark.parametrize(
    ("patch", "rotate"), [((16, 16), True), ((12, 20), False), ((9, 8, 7), False)]
)
def test_image_and_label_are_flipped_turned_and_warped_alike(patch, rotate, level):
    plan = Plan(len(patch), ("a",), PLAN.labels, {}, "zscore", None, patch)
    augment = augmentation(plan, TrainingConfig(rotate=rotate, augmentation=level))
    only_image = ("Intensity", "Noise", "Smooth", "Contrast", "Resolution")
    kept = [t for t in augment.transforms if not any(n in str(type(t)) for n in only_image)]
    augment.transforms = kept
    for transform in kept:  # nearest, so that both must be equal
        if hasattr(transform, "mode"):
            transform.mode = ("nearest", "nearest")
    label = np.random.default_rng(0).integers(0, 200, (1, *patch))
    seen = set()
    for seed in range(30):
        augment.set_random_state(seed=seed)
        drawn = augment({"image": label.astype(np.float32), "label": label.astype(np.float32)})
        assert drawn["image"].shape == (1, *patch)
        assert torch.equal(drawn["image"], drawn["label"])
        seen.add(drawn["label"].numpy().tobytes())
    assert len(seen) >= (8 if len(patch) == 3 or rotate else 4)


def test_thick_slices_are_turned_in_their_plane_only():
    plan = Plan(3, ("a",), PLAN.labels, {}, "zscore", (5.0, 1.0, 1.0), (6, 16, 16))
    augment = augmentation(plan, TrainingConfig(augmentation="full", flip_axes=(1, 2)))
    (warp,) = (t for t in augment.transforms if "Affine" in str(type(t)))
    image = np.arange(6, dtype=np.float32)[None, :, None, None].repeat(16, 2).repeat(16, 3)
    for seed in range(20):
        warp.set_random_state(seed=seed)
        drawn = warp({"image": torch.tensor(image), "label": torch.tensor(image)})["image"]
        torch.testing.assert_close(torch.as_tensor(drawn), torch.tensor(image), rtol=0, atol=1e-4)


def test_learning_rate_falls_from_its_start_to_zero():
    for schedule, half in (("cosine", 0.5), ("poly", 0.5**0.9)):
        config = TrainingConfig(schedule=schedule, learning_rate=0.1)
        rates = [learning_rate_at(share, config) for share in np.linspace(0, 1, 9)]
        assert rates == sorted(rates, reverse=True)
        assert rates[4] == pytest.approx(0.1 * half)
        assert (rates[0], rates[-1]) == (0.1, pytest.approx(0, abs=1e-12))
    assert learning_rate_at(0.7, TrainingConfig(schedule="constant", learning_rate=0.1)) == 0.1


@pytest.mark.parametrize("name", ["dice_ce", "dice_focal", "tversky"])
def test_losses_fall_to_zero_and_are_means_over_cases(name):
    loss = build_loss(name)
    torch.manual_seed(0)
    label = torch.randint(0, 3, (4, 1, 8, 8))
    right = torch.nn.functional.one_hot(label[:, 0], 3).movedim(-1, 1).float()
    assert loss(200 * right, label) < 1e-3 < 0.3 < loss(-200 * right, label)
    logits = torch.randn(4, 3, 8, 8)
    parts = torch.stack([loss(logits[i : i + 2], label[i : i + 2]) for i in (0, 2)])
    torch.testing.assert_close(loss(logits, label), parts.mean())


def test_focal_loss_is_that_of_the_softmax():
    torch.manual_seed(0)
    label = torch.randint(0, 3, (2, 1, 5, 4))
    logits = torch.randn(2, 3, 5, 4, requires_grad=True)
    focal = build_loss("dice_focal").loss.focal(logits, label)
    exact = logits.detach().double().requires_grad_()
    chance = exact.softmax(1).gather(1, label)
    want = -((1 - chance) ** 2 * chance.log()).mean() / 3  # over the classes, too
    torch.testing.assert_close(focal.double(), want)
    got, want = (torch.autograd.grad(*pair)[0] for pair in ((focal, logits), (want, exact)))
    torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-8)


# MONAI's focal loss computes in single precision, too coarse for differences.
@pytest.mark.parametrize("name", ["dice_ce", "tversky"])
@pytest.mark.parametrize("kind", ["mixed", "empty", "full", "one cell"])
def test_gradients_of_losses_match_finite_differences(name, kind):
    loss = build_loss(name).loss.double()
    label = torch.zeros(2, 1, 3, 4)
    if kind == "mixed":
        label = torch.arange(24).reshape(2, 1, 3, 4) % 3
    elif kind == "full":
        label += 2
    elif kind == "one cell":
        label[0, 0, 1, 2] = 1
    logits = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: loss(x, label.double()), logits)


def test_deeper_outputs_count_half_as_much():
    loss = build_loss("dice_ce")
    torch.manual_seed(0)
    label = torch.randint(0, 2, (2, 1, 8, 8)).float()
    full, half = torch.randn(2, 2, 8, 8), torch.randn(2, 2, 4, 4)
    plain = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True)
    want = plain(full, label) + 0.5 * plain(half, label[..., 1::2, 1::2])
    torch.testing.assert_close(loss([full, half], label), want)


OPTIONS = ("--training.ema=0.9", "--network.dropout=0.2", "--network.deep_supervision=true")


@pytest.fixture(scope="module")
def undisturbed(trained_discs, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    run_ = None, trained_discs, trained_discs / "task.yaml"
    assert run(*arguments_of(run_, out, *OPTIONS, "--training.epochs=3")) == 0
    return out


class Killed(BaseException):
    """Stands for a process that is gone."""


# In an epoch, around its last step and its end, and in validation.
@pytest.mark.parametrize("every", [1, 3, 0])
@pytest.mark.parametrize("step", [1, 7, 8, 9, 15, 23, "validation"])
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


def test_a_finished_run_can_be_made_longer(disc_run, tmp_path):
    command = arguments_of(disc_run, tmp_path / "run")
    assert run(*command, "--training.epochs=1") == 0
    assert run(*command, "--training.epochs=3", "--resume") == 0
    assert [row["epoch"] for row in rows_of(tmp_path / "run")] == ["1", "2", "3"]


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


def test_nothing_to_resume_is_said(disc_run, tmp_path, capsys):
    assert run(*arguments_of(disc_run, tmp_path / "none"), "--resume") == 1
    assert "RUN_MISSING: no run to resume" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_best(
    disc_run, tmp_path, capsys, monkeypatch
):
    class FailsAfterOneEpoch(DiceCELoss):
        steps = 0

        def forward(self, logits, label):
            FailsAfterOneEpoch.steps += 1
            return super().forward(logits, label) * (1 if self.steps <= 8 else torch.nan)

    monkeypatch.setattr("sdunet.segmentation.module.DiceCELoss", FailsAfterOneEpoch)
    assert run(*arguments_of(disc_run, tmp_path / "wild")) == 1
    assert "error: loss is nan at epoch 1, step 8; lower" in capsys.readouterr().err
    assert load_model(tmp_path / "wild").plan.labels == {"background": 0, "disc": 1}
    assert not (tmp_path / "wild/run.json").exists()


def started(arguments):
    command = [Path(sys.executable).with_name("sdunet"), *(str(a) for a in arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for(path, process):
    for _ in range(1200):
        if path.exists():
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise AssertionError(f"{path} does not appear")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (None, 0)], ids=str
)
def test_a_training_asked_to_stop_saves_and_says_so_by_its_status(
    disc_run, tmp_path, number, status
):
    options = ["--training.epochs=2000", "--training.patience=2000"]
    command = arguments_of(disc_run, tmp_path / "run", *options)
    process = started(command)
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


def test_without_it_a_run_says_that_it_may_differ(disc_run, tmp_path, capsys):
    assert run(*arguments_of(disc_run, tmp_path / "a", "--epochs=1")) == 0
    assert "not deterministic are allowed" in capsys.readouterr().err
    assert run(*arguments_of(disc_run, tmp_path / "b", "--epochs=1", "--deterministic")) == 0
    assert "not deterministic" not in capsys.readouterr().err


def test_tensorboard_that_is_not_installed_is_named(disc_run, tmp_path, capsys):
    command = arguments_of(disc_run, tmp_path / "run", "--training.tensorboard=true")
    assert run(*command) == 1
    assert "CONFIG_TENSORBOARD" in (said := capsys.readouterr().err)
    assert "pip install tensorboard" in said
    assert not (tmp_path / "run").exists()


FULL = """
import resource, sys
from sdunet.cli import main

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def test_a_full_disk_is_named_and_earlier_states_stay(disc_run, tmp_path):
    command = arguments_of(disc_run, tmp_path / "run")
    assert run(*command, "--epochs=1") == 0
    before = weights_of(tmp_path / "run")
    code = [sys.executable, "-c", FULL, "20000", *map(str, command), "--resume", "--epochs=2"]
    ended = subprocess.run(code, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "error: File too large" in ended.stderr
    assert "bytes to write" in ended.stderr
    assert weights_of(tmp_path / "run") == before
    assert not list((tmp_path / "run").glob(".partial-*"))
    assert run(*command, "--resume", "--epochs=2") == 0


def test_an_output_that_cannot_be_written_is_named_before_training(disc_run, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(*arguments_of(disc_run, tmp_path / "file/run")) == 1
    assert "error: Not a directory" in (said := capsys.readouterr().err)
    assert "epoch" not in said


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
    import shutil

    shutil.copytree(undisturbed, tmp_path / "run")
    write_weights(tmp_path / "run" / STATE, {"a": torch.zeros(2)})
    (tmp_path / "run" / PREVIOUS).unlink()
    command = arguments_of(disc_run, tmp_path / "run", *OPTIONS, "--training.epochs=3")
    assert run(*command, "--resume") == 1
    assert "MODEL_WEIGHTS: not the state of a training" in capsys.readouterr().err
    write_weights(tmp_path / "run" / WEIGHTS, {"a": torch.zeros(2)})
    with pytest.raises(DataError, match="MODEL_WEIGHTS"):
        load_model(tmp_path / "run")
