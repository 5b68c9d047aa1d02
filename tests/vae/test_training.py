"""Training, resuming and judging VAEs, by the command line as users do."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from by_hand import rewrite
from PIL import Image
from vae_runs import arguments, config, make_set

from data_prep.core.errors import DataError
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.files.output_folder import own_folder
from sdunet.cli.main import main
from sdunet.runtime.checkpoint import StateIO
from sdunet.runtime.safetensors_io import read_tensors, read_weights, write_weights
from sdunet.vae.data.packed import load_packed
from sdunet.vae.model import WEIGHTS, build_vae, load_description, save_description
from sdunet.vae.training.lightning_module import VAEModule
from sdunet.vae.training.train import train

ROOT = Path(__file__).parents[2]


def tensors_of(run, name):
    return read_tensors(run / name)[0]


def assert_same_tensors(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.long
def test_digits_are_modelled_better_than_by_a_histogram_of_every_pixel(tmp_path, capsys):
    data, out = str(tmp_path / "digits"), tmp_path / "run"
    task = str(ROOT / "configs/vae/digits_sdn.yaml")
    assert main(["vae", "prepare", "digits", data, "--kind", "digits"]) == 0
    given = ["--config", task, "--training.epochs=15", "--training.device=cpu"]
    assert main(["vae", "train", *given, "--data", data, "--out", str(out)]) == 0
    given = ["--samples=5", "--limit=200"]
    assert main(["vae", "evaluate", "--model", str(out), "--data", data, *given]) == 0
    found = json.loads((out / "evaluation.json").read_text())
    levels = load_packed(data)
    train_set, test = (levels.images(s).reshape(-1, 64).astype(int) for s in ("train", "test"))
    counts = np.stack([np.bincount(column, minlength=17) for column in train_set.T]) + 1.0
    shares = counts / counts.sum(1, keepdims=True)
    histogram = -np.log2(shares[np.arange(64), test]).mean()
    assert found["negative_elbo"]["bits_per_dim"] < histogram - 0.02
    assert found["nll"]["bits_per_dim"] < found["negative_elbo"]["bits_per_dim"]
    nats = found["distortion"]["nats"] + sum(layer["rate_nats"] for layer in found["layers"])
    assert nats == pytest.approx(found["negative_elbo"]["nats"], rel=1e-6)
    bits = found["negative_elbo"]["nats"] / (64 * np.log(2))
    assert found["negative_elbo"]["bits_per_dim"] == pytest.approx(bits)
    assert sum(layer["active_units"] for layer in found["layers"]) > 0
    assert "bits/dim" in capsys.readouterr().out


def test_a_run_described_before_there_were_cells_is_of_the_published_one(packed, tmp_path):
    save_description(tmp_path, config(), load_packed(packed))

    def forget(described):
        for model in ("ladder", "vanilla"):
            for name in ("cell", "init"):
                assert described["config"][model].pop(name)

    rewrite(tmp_path / "model.json", forget)
    read, *_ = load_description(tmp_path)
    assert {read.ladder.cell, read.vanilla.cell} == {"gru"}


def test_resumed_training_is_the_uninterrupted_one_bit_for_bit(packed, tmp_path):
    train(config(epochs=4), packed, tmp_path / "whole")
    train(config(epochs=2), packed, tmp_path / "parts")
    train(config(epochs=4), packed, tmp_path / "parts", resume=True)
    for name in ("model.safetensors", "last.safetensors"):
        assert_same_tensors(
            tensors_of(tmp_path / "whole", name), tensors_of(tmp_path / "parts", name)
        )
    train(config(epochs=4, seed=1), packed, tmp_path / "other")
    other = tensors_of(tmp_path / "other", "model.safetensors")
    mine = tensors_of(tmp_path / "whole", "model.safetensors")
    assert any(not torch.equal(mine[name], other[name]) for name in mine)


def test_average_follows_its_definition(packed, tmp_path, monkeypatch):
    weights = []
    moved = VAEModule.on_train_batch_end

    def watched(module, *args):
        moved(module, *args)
        weights.append(copy.deepcopy(module.network.state_dict()))

    monkeypatch.setattr(VAEModule, "on_train_batch_end", watched)
    train(config(epochs=1), packed, tmp_path / "run")
    kept = read_weights(tmp_path / "run/model.safetensors")
    assert len(weights) == 5
    for name, average in kept.items():
        want = weights[0][name].double()
        for step in weights[1:]:
            want = 0.9 * want + 0.1 * step[name].double()
        torch.testing.assert_close(average.double(), want, atol=1e-6, rtol=1e-5)


def plant_nan(monkeypatch, steps):
    """Make the objective NaN at the given steps, counted from 0; return weights before each."""
    seen = []
    step = VAEModule.training_step

    def poisoned(module, images, index):
        seen.append(copy.deepcopy(module.network.state_dict()))
        loss = step(module, images, index)
        return loss * float("nan") if len(seen) - 1 in steps else loss

    monkeypatch.setattr(VAEModule, "training_step", poisoned)
    return seen


def test_a_step_that_is_not_finite_is_skipped_and_counted(packed, tmp_path, monkeypatch):
    seen = plant_nan(monkeypatch, {2, 3})
    train(config(epochs=1), packed, tmp_path / "run")
    assert_same_tensors(seen[2], seen[3])
    assert_same_tensors(seen[3], seen[4])
    assert any(not torch.equal(seen[1][name], seen[2][name]) for name in seen[1])
    assert json.loads((tmp_path / "run/run.json").read_text())["skipped_steps"] == 2


def test_training_that_stays_not_finite_stops_and_keeps_the_epoch_before(
    packed, tmp_path, monkeypatch, capsys
):
    plant_nan(monkeypatch, range(5, 100))  # from the second epoch on
    given = arguments(config(epochs=9, max_skipped=3), "images", "ladder", "training")
    out = tmp_path / "run"
    assert main(["vae", "train", "--data", packed, "--out", str(out), *given]) == 1
    assert "4 steps in a row had a gradient that is not finite" in capsys.readouterr().err
    monkeypatch.undo()
    train(config(epochs=1), packed, tmp_path / "before")
    name = "model.safetensors"
    assert_same_tensors(tensors_of(out, name), tensors_of(tmp_path / "before", name))


@pytest.mark.long
def test_two_processes_give_the_gradient_of_one_with_the_doubled_batch(packed, tmp_path):
    script = ROOT / "tests/helpers/gradient_of_a_step.py"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for devices in ("1", "2"):
        out = str(tmp_path / devices)
        command = [sys.executable, str(script), packed, out, devices]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
    one, two = (tensors_of(tmp_path / n, "gradient.safetensors") for n in ("1", "2"))
    assert one.keys() == two.keys()
    for name, want in one.items():
        assert (two[name] - want).norm() <= 1e-5 * want.norm() + 1e-7, name


def test_a_checkpoint_holds_tensors_and_json_alone(tmp_path):
    checkpoint = {"a": {1: torch.arange(3), "x": [None, True, (2.5, "t")]}, "b": torch.zeros(())}
    io = StateIO()
    io.save_checkpoint(checkpoint, tmp_path / "c.safetensors")
    back = io.load_checkpoint(tmp_path / "c.safetensors")
    assert torch.equal(back["a"][1], torch.arange(3))
    assert back["a"]["x"] == [None, True, [2.5, "t"]]
    with pytest.raises(TypeError, match="cannot hold PosixPath"):
        io.save_checkpoint({"where": Path("x")}, tmp_path / "d.safetensors")
    data = bytearray((tmp_path / "c.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "c.safetensors").write_bytes(data)
    with pytest.raises(DataError, match="MODEL_WEIGHTS"):
        io.load_checkpoint(tmp_path / "c.safetensors")


def test_pictures_have_the_size_of_their_grid(run, packed, tmp_path, capsys):
    out = str(tmp_path)
    model, both = ["--model", str(run)], ["--model", str(run), "--data", packed]
    made = {
        "samples_0.6.png": (3, 3),
        "samples_1.png": (3, 3),
        "pixels_1.png": (3, 3),
        "interpolation_all.png": (2, 5),
        "interpolation_top_1.png": (2, 5),
        "reconstructions.png": (2, 4),
        "neighbours.png": (2, 4),
    }
    sample = ["vae", "sample", *model, "-o", out, "--count=9"]
    assert main([*sample, "--temperature", "0.6", "1.0"]) == 0
    assert main([*sample, "--pixels"]) == 0
    steps = ["vae", "interpolate", *both, "-o", out, "--steps=3"]
    walk = [*steps, "--pairs=2"]
    assert main(walk) == 0
    assert main([*walk, "--layers=1"]) == 0
    assert main(["vae", "reconstruct", *both, "-o", out, "--count=4"]) == 0
    near = ["vae", "neighbours", *both, "-o", out, "--count=2"]
    assert main([*near, "--neighbours=3"]) == 0
    for name, (rows, columns) in made.items():
        with Image.open(tmp_path / name) as picture:
            width, height = picture.size
        # 6x8 pixels enlarged 8 times, 2 between
        assert (height, width) == (rows * 50 - 2, columns * 66 - 2), name
    assert main([*walk, "--layers=9"]) == 1
    assert "layers must be from 1 to 2, got 9" in capsys.readouterr().err
    assert main([*walk, "--temperature=0"]) == 1
    assert "--temperature 0 changes nothing" in capsys.readouterr().err
    for command in ([*steps, "--pairs=90"], [*near, "--neighbours=900"]):
        assert main(command) == 1
        assert "are asked for, there are" in capsys.readouterr().err


def test_pictures_of_another_model_go_when_new_ones_are_drawn(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other, ignore=shutil.ignore_patterns(".sdunet"))
    weights = read_weights(run / WEIGHTS)
    write_weights(other / WEIGHTS, {name: tensor * 1.01 for name, tensor in weights.items()})
    out = tmp_path / "pictures"
    sample = ["vae", "sample", "-o", str(out), "--count=1", "--model"]
    assert main([*sample, str(run), "--temperature", "0.5", "1"]) == 0
    assert main([*sample, str(run), "--pixels"]) == 0
    names = {"samples_0.5.png", "samples_1.png", "pixels_1.png"}
    assert {path.name for path in out.glob("*.png")} == names
    assert main([*sample, str(other)]) == 0
    assert {path.name for path in out.glob("*.png")} == {"samples_1.png"}


def test_sampling_repeats_by_seed(run, tmp_path):
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        out = str(tmp_path / name)
        assert main(["vae", "sample", "--model", str(run), "-o", out, f"--seed={seed}"]) == 0
    a, b, c = ((tmp_path / n / "samples_1.png").read_bytes() for n in "abc")
    assert a == b != c


def test_table_prints_measured_beside_published_and_never_mixes_levels(
    run, packed, tmp_path, capsys
):
    assert main(["vae", "evaluate", "--model", str(run), "--data", packed, "--samples=3"]) == 0
    capsys.readouterr()
    assert main(["vae", "table", str(run)]) == 0
    assert "No published figure is known for made0 of 16 levels" in capsys.readouterr().out
    record = read_hashed(run / "evaluation.json")
    folders = []
    for levels in (256, 32):
        folder = tmp_path / str(levels)
        folder.mkdir()
        write_hashed(folder / "evaluation.json", record | {"data": "celebahq256", "levels": levels})
        folders.append(str(folder))
    assert main(["vae", "table", folders[1]]) == 0
    shown = capsys.readouterr().out
    assert "| SDN-VAE | 0.70 |" in shown
    assert "1.35" not in shown
    assert main(["vae", "table", *folders]) == 1
    assert "TABLE_MIXED" in capsys.readouterr().err


def wrong(what, run, packed, tmp_path):
    """Return a command with one thing wrong."""
    fresh, other = str(tmp_path / "fresh"), str(tmp_path / "other/packed")
    if "another set" in what:
        make_set(tmp_path / "other", seed=1)
    start = ["vae", "train", "--data", packed, "--out"]
    given = arguments(config(), "images", "ladder", "training")
    model = ["--model", str(run)]
    judge = ["vae", "evaluate", *model, "--data"]
    resume = ["vae", "train", "--resume", *given, "--out", str(run), "--data"]
    return {
        "run exists": [*start, str(run), *given],
        "no run to resume": [*start, fresh, *given, "--resume"],
        "resumed with another set": [*resume, other],
        "resumed with other settings": [*resume, packed, "--training.ema=0.5"],
        "evaluated on another set": [*judge, other],
        "no such split": [*judge, packed, "--samples=0"],
        "no model": ["vae", "sample", "--model", fresh, "-o", fresh],
        "no packed set": [*judge, fresh],
        "wrong size": [*start, fresh, *given, "--images.size=[8,8]"],
        "wrong levels": [*start, fresh, *given, "--images.levels=17"],
        "no such scale": [
            *(*start, fresh, *given),
            "--ladder.sdn_min_scale=5",
            "--ladder.sdn_max_scale=7",
        ],
        "traversal of a ladder": ["vae", "traverse", *model, "--data", packed, "-o", fresh],
        "cold": ["vae", "sample", *model, "-o", fresh, "--temperature=-1"],
        "not evaluated": ["vae", "table", fresh],
    }[what]


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("run exists", "RUN_EXISTS"),
        ("no run to resume", "RUN_MISSING"),
        ("resumed with another set", "MODEL_DATA"),
        ("resumed with other settings", "CONFIG_RESUME: .*training.ema: 0.9 then, 0.5 now"),
        ("evaluated on another set", "MODEL_DATA: the model was trained on made0, this is made1"),
        ("no such split", "OPTION: --samples is 0"),
        ("no model", "MODEL_MISSING"),
        ("no packed set", "PACK_MISSING"),
        ("wrong size", "CONFIG_IMAGES"),
        ("wrong levels", "IMG_LEVELS"),
        ("no such scale", r"CONFIG_MODEL: no layer has a scale .* the scales are \[8, 4\]"),
        ("traversal of a ladder", "MODEL_KIND"),
        ("cold", "OPTION: --temperature is -1.0"),
        ("not evaluated", "EVAL_MISSING"),
    ],
)
def test_wrong_turns_are_named_and_change_nothing(what, code, run, packed, tmp_path, capsys):
    before = {path: path.read_bytes() for path in run.glob("[!.]*")}
    command = wrong(what, run, packed, tmp_path)
    capsys.readouterr()
    assert main(command) == 1
    said = capsys.readouterr().err.splitlines()
    (message,) = (line for line in said if not line.endswith("and the last one counts"))
    assert re.search(f"^error: {code}", message), message
    assert {path: path.read_bytes() for path in run.glob("[!.]*")} == before
    assert not (tmp_path / "fresh").exists()


def test_model_of_a_config_with_5_bits_takes_a_set_of_8(packed, tmp_path):
    chosen = config(epochs=1)
    assert build_vae(chosen).likelihood.levels == 16
    train(chosen, packed, tmp_path / "run")
    assert load_packed(packed).levels == 256


def test_a_resumed_run_tells_its_whole_course(packed, tmp_path, monkeypatch):
    train(config(epochs=4, validate_every=2), packed, tmp_path / "whole")
    train(config(epochs=2, validate_every=2), packed, tmp_path / "parts")
    goes_on = VAEModule.training_step

    def fails(self, images, index):
        if self.current_epoch == 3:
            raise FloatingPointError("stopped in an epoch")
        return goes_on(self, images, index)

    monkeypatch.setattr(VAEModule, "training_step", fails)
    with pytest.raises(FloatingPointError):
        train(config(epochs=4, validate_every=2), packed, tmp_path / "parts", resume=True)
    monkeypatch.undo()
    train(config(epochs=4, validate_every=2), packed, tmp_path / "parts", resume=True)
    rows = (tmp_path / "parts/metrics.csv").read_text().splitlines()
    assert rows == (tmp_path / "whole/metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3", "4"]
    assert [row.endswith(",") for row in rows] == [False, True, False, True, False]


def content_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_another_run_trains_in_is_refused(run, packed, tmp_path, resume):
    out = tmp_path / "run"
    if resume:
        shutil.copytree(run, out)
    with own_folder(out, "vae train"):
        before = content_of(out)
        with pytest.raises(DataError, match="OUT_BUSY"):
            train(config(), packed, out, resume=resume)
        assert content_of(out) == before


def test_a_run_that_was_moved_resumes_without_a_warning(packed, tmp_path):
    train(config(epochs=1), packed, tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    with warnings.catch_warnings(record=True) as told:
        train(config(epochs=2), packed, tmp_path / "moved", resume=True)
    assert not [str(one.message) for one in told if "dirpath" in str(one.message)]
    assert not (tmp_path / "run").exists()
