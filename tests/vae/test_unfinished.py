"""A VAE whose training was stopped before its end is never judged as one that came to it."""

import json
import shutil
from dataclasses import replace

import pytest
from vae_runs import LADDER, arguments, config

from data_prep.core.errors import DataError
from sdunet.cli.main import main
from sdunet.runtime.checkpoint import PREVIOUS, STATE
from sdunet.runtime.safetensors_io import read_tensors, write_weights
from sdunet.vae.config import LadderConfig, VAEConfig, VanillaConfig
from sdunet.vae.model import WEIGHTS, load_model
from sdunet.vae.training.train import _FILES, _say_unused, train


@pytest.mark.parametrize("command", ["evaluate", "sample", "interpolate"])
def test_a_run_that_was_stopped_is_used_only_if_that_is_accepted(
    command, run, packed, tmp_path, capsys
):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    (out / "run.json").unlink()
    data = [] if command == "sample" else ["--data", packed]
    pictures = [] if command == "evaluate" else ["-o", str(tmp_path / "pictures")]
    asked = ["vae", command, "--model", str(out), *data, *pictures]
    assert main(asked) == 1
    assert f"RUN_UNFINISHED: {out} was not trained to its end" in capsys.readouterr().err
    assert main([*asked, "--accept", "RUN_UNFINISHED"]) == 0


def test_figures_of_other_weights_are_not_put_into_a_table(run, packed, tmp_path, capsys):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    assert main(["vae", "evaluate", "--model", str(out), "--data", packed]) == 0
    assert main(["vae", "table", str(out)]) == 0
    (out / "model.safetensors").write_bytes((out / "model.safetensors").read_bytes()[:-1] + b"\x01")
    capsys.readouterr()
    assert main(["vae", "table", str(out)]) == 1
    assert "EVAL_JSON: it cannot be used: of other weights" in capsys.readouterr().err
    (out / "model.safetensors").unlink()
    assert main(["vae", "table", str(out)]) == 1
    assert "OUT_CHANGED: gone since" in capsys.readouterr().err
    shutil.copy(run / "model.safetensors", out)
    assert main(["vae", "table", str(out)]) == 0
    record = (out / "run.json").read_text()
    (out / "run.json").write_text(record.replace('"seconds": ', '"seconds": 1'))
    assert main(["vae", "table", str(out)]) == 1
    assert "RUN_RECORD" in capsys.readouterr().err


@pytest.mark.parametrize("scale", [0, 8])
def test_settings_of_sweeps_where_nothing_sweeps_are_told(packed, tmp_path, capsys, scale):
    ladder = replace(LADDER, sdn_max_scale=scale, sdn_directions=4)
    given = arguments(config(ladder, epochs=1), "images", "ladder", "training")
    out = str(tmp_path / "run")
    assert main(["vae", "train", "--data", packed, "--out", out, *given]) == 0
    told = "ladder.sdn_features, ladder.sdn_directions change nothing"
    assert (told in capsys.readouterr().err) == (scale == 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            VAEConfig(ladder=LadderConfig(init="reach")),
            "nothing sweeps: ladder.init change nothing",
        ),
        (
            VAEConfig(ladder=LadderConfig(posterior="gaussian", context_channels=7)),
            "ladder.posterior is gaussian: ladder.context_channels change nothing",
        ),
        (
            VAEConfig(vanilla=VanillaConfig(z_size=7)),
            "model is ladder: vanilla.z_size change nothing",
        ),
        (
            VAEConfig(model="vanilla", vanilla=VanillaConfig(sdn_features=9)),
            "nothing sweeps: vanilla.sdn_features change nothing",
        ),
        (VAEConfig(), ""),
    ],
)
def test_settings_that_others_leave_without_effect_are_told(capsys, given, told):
    _say_unused(given)
    said = capsys.readouterr().err
    assert told in said
    assert bool(said) == bool(told)


def test_a_run_that_was_copied_without_its_list_is_told(run, packed, tmp_path, capsys):
    out = tmp_path / "run"
    shutil.copytree(run, out, ignore=shutil.ignore_patterns(".sdunet", "evaluation.json"))
    evaluate = ["vae", "evaluate", "--model", str(out), "--data", packed, "--limit", "2"]
    told = "RUN_UNLISTED: the folder of the run was copied without .sdunet"
    assert main(evaluate) == 0
    assert f"warning {told}" in capsys.readouterr().err
    assert json.loads((out / "evaluation.json").read_text())["doubts"] == ["RUN_UNLISTED"]
    assert main([*evaluate, "--accept", "RUN_UNLISTED"]) == 0
    accepted = told.replace(": ", ": accepted: ", 1)
    assert f"note {accepted}" in capsys.readouterr().err
    assert main([*evaluate[:3], str(run), *evaluate[4:]]) == 0
    assert "RUN_UNLISTED" not in capsys.readouterr().err
    train(config(), packed, out, resume=True)  # of whose epochs none is left
    assert f"warning {told}" in capsys.readouterr().err


def test_an_evaluation_of_fewer_images_replaces_none_of_more(run, packed, tmp_path, capsys):
    out = tmp_path / "run"
    shutil.copytree(run, out, ignore=shutil.ignore_patterns("evaluation.json"))
    command = ["vae", "evaluate", "--model", str(out), "--data", packed]
    assert main([*command, "--limit", "2"]) == 0
    assert json.loads((out / "evaluation.json").read_text())["n"] == 2
    assert main(command) == 0
    whole = (out / "evaluation.json").read_bytes()
    capsys.readouterr()
    assert main([*command, "--limit", "2"]) == 0
    assert "evaluation.json tells of more images than these 2" in capsys.readouterr().err
    assert (out / "evaluation.json").read_bytes() == whole
    assert main([*command, "--limit", "2", "--split", "train"]) == 0
    assert json.loads((out / "evaluation_train.json").read_text())["split"] == "train"
    assert (out / "evaluation.json").read_bytes() == whole


def test_weights_of_another_run_are_refused_where_no_list_tells(run, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(run, out, ignore=shutil.ignore_patterns(".sdunet"))
    load_model(out)
    tensors, texts = read_tensors(out / WEIGHTS)
    foreign = json.loads(texts["run"]) | {"data_sha256": "another"}
    write_weights(out / WEIGHTS, tensors, run=json.dumps(foreign))
    with pytest.raises(
        DataError, match="RUN_OTHER: it is of another run: data_sha256 'another' there"
    ):
        load_model(out)


@pytest.mark.parametrize("name", sorted({*_FILES} - {STATE, PREVIOUS}))
def test_a_file_that_was_changed_since_is_not_replaced_by_a_resumed_run(
    run, packed, tmp_path, name
):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    (out / name).write_bytes((out / name).read_bytes() + b"\nmy own words")
    before = {path: path.read_bytes() for path in out.glob("[!.]*")}
    with pytest.raises(DataError, match=r"OUT_CHANGED: not as sdunet vae train wrote it"):
        train(config(epochs=3), packed, out, resume=True)
    assert {path: path.read_bytes() for path in out.glob("[!.]*")} == before


def test_a_file_of_a_run_that_is_gone_is_written_anew(run, packed, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    rows = (out / "metrics.csv").read_text()
    for name in ("metrics.csv", "curve.png"):
        (out / name).unlink()
    train(config(epochs=3), packed, out, resume=True)
    assert (out / "metrics.csv").read_text().startswith(rows)
    assert (out / "curve.png").is_file()


def test_every_file_that_a_run_writes_is_held_to_what_it_wrote(run):
    assert {path.name for path in run.glob("[!.]*")} - {"evaluation.json"} == {*_FILES}
