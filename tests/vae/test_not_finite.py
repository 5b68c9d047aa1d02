"""A training that leaves no usable model fails, and nothing is made of such a model."""

import shutil

import pytest
import torch
from vae_runs import arguments, config, make_set

from sdunet.cli.main import main
from sdunet.runtime.safetensors_io import read_weights, write_weights
from sdunet.vae.model import WEIGHTS


@pytest.mark.parametrize("splits", [{"train": 40, "test": 12}, {"train": 40}])
def test_a_training_that_ends_before_it_is_stopped_is_no_success(tmp_path, capsys, splits):
    data = make_set(tmp_path / "data", **splits)
    given = arguments(config(learning_rate=1e12, max_skipped=20), "images", "ladder", "training")
    out = str(tmp_path / "run")
    assert main(["vae", "train", "--data", data, "--out", out, *given]) == 1
    assert "RUN_NONFINITE" in capsys.readouterr().err
    assert not (tmp_path / "run" / "run.json").exists()


def test_nothing_is_made_of_a_model_that_gives_nan(run, packed, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    weights = read_weights(broken / WEIGHTS)
    write_weights(broken / WEIGHTS, {n: torch.full_like(w, 1e15) for n, w in weights.items()})
    model = ["--model", str(broken)]
    data, out = ["--data", packed], ["-o", str(tmp_path / "out")]
    for command in (
        ["evaluate", *model, *data],
        ["sample", *model, *out],
        ["sample", "--pixels", *model, *out],
        ["reconstruct", *model, *data, *out],
        ["interpolate", *model, *data, *out],
        ["neighbours", *model, *data, *out],
    ):
        assert main(["vae", *command]) == 1, command
        assert "RUN_NONFINITE" in capsys.readouterr().err, command
