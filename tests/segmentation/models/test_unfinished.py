"""A training that was stopped before its end is never taken for one that came to it."""

import json
import shutil
import zipfile

import pytest
from by_hand import rewrite

from data_prep.core.errors import DataError
from sdunet import Predictor
from sdunet.cli.main import main
from sdunet.segmentation.export.package import check_package


def run(*arguments):
    return main([str(a) for a in arguments])


def stop_before_the_end(out):
    (out / "run.json").unlink()


def stop_after_resuming(out):
    """As a run leaves it that was resumed for more epochs, and stopped among them."""
    settings = json.loads((out / "settings.json").read_text())
    rewrite(out / "settings.json", lambda found: found["training"].update(epochs=9))
    assert settings["training"]["epochs"] == 6


@pytest.fixture(autouse=True)
def packages_are_checked_here(monkeypatch):
    """Spare the process that checks a package: what that finds is not the matter here."""
    monkeypatch.setattr("sdunet.segmentation.export.package._check_afresh", check_package)


COMMANDS = {
    "predict": lambda raw, root: ["-i", raw, "-o", root / "out"],
    "export": lambda raw, root: ["-o", root / "package"],
    "postprocess": lambda raw, root: ["--data", root / "set"],
}


@pytest.mark.long
@pytest.mark.parametrize("stop", [stop_before_the_end, stop_after_resuming])
@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_run_that_was_stopped_is_used_only_if_that_is_accepted(disc_run, capsys, command, stop):
    raw, root, _ = disc_run
    stop(root / "run")
    given = [command, "--model", root / "run", *COMMANDS[command](raw, root)]
    assert run(*given) == 1
    assert f"RUN_UNFINISHED: {root / 'run'} was not trained to its end" in capsys.readouterr().err
    assert not (root / "out").exists()
    assert run(*given, "--accept", "RUN_UNFINISHED") == 0


def test_a_member_of_an_ensemble_that_was_stopped_is_named(disc_run, capsys):
    _, root, config = disc_run
    both = ["--data", root / "set", "--config", config, "--epochs", 1, "--seeds", 2]
    assert run("train", *both, "-o", root / "two") == 0
    (root / "two/seed_1/run.json").unlink()
    with pytest.raises(DataError, match=r"RUN_UNFINISHED: .*seed_1"):
        Predictor.load(root / "two")
    assert Predictor.load(root / "two", accept=["RUN_UNFINISHED"]).labels["disc"] == 1


def test_a_run_that_is_resumed_to_its_end_is_finished(disc_run, capsys):
    raw, root, config = disc_run
    (root / "run/run.json").unlink()
    data = ["--config", config, "--data", root / "set"]
    resume = ["train", *data, "--out", root / "run", "--resume"]
    assert run(*resume) == 0
    assert run("predict", "--model", root / "run", "-i", raw, "-o", root / "out") == 0


@pytest.mark.parametrize("limit", ["--epochs=7", "--patience=1", "--max-time=0.0001"])
def test_what_ends_a_resumed_training_finishes_it(disc_run, limit):
    raw, root, config = disc_run
    data = ["--config", config, "--data", root / "set"]
    resume = ["train", *data, "--out", root / "run", "--resume"]
    assert run(*resume, limit) == 0
    assert run("predict", "--model", root / "run", "-i", raw, "-o", root / "out") == 0


def test_all_that_is_made_with_a_run_that_was_stopped_tells_it(disc_run, capsys):
    raw, root, _ = disc_run
    stop_before_the_end(root / "run")
    accept = ["--accept", "RUN_UNFINISHED"]
    assert run("export", "--model", root / "run", "-o", root / "p.zip", "--zip", *accept) == 0
    with zipfile.ZipFile(root / "p.zip") as package:
        card = package.read("p/README.md").decode()
        assert "a training was stopped before its end" in card
        assert "a training was stopped" in package.read("p/configs/metadata.json").decode()
    for name, model, given in (("one", root / "run", accept), ("two", root / "p.zip", [])):
        capsys.readouterr()
        assert run("predict", "--model", model, "-i", raw, "-o", root / name, *given) == 0
        assert "RUN_UNFINISHED: " in capsys.readouterr().err
        recorded = json.loads((root / name / "predictions.json").read_text())
        assert recorded["doubts"] == ["RUN_UNFINISHED"]
        assert run("evaluate", "--pred", root / name, "--ref", raw, "-o", root / f"s_{name}") == 0
        assert "warning RUN_UNFINISHED: a training was stopped" in capsys.readouterr().err
    assert run("compare", root / "s_one", root / "s_two", "-o", root / "c") == 0
    assert "s_one: warning RUN_UNFINISHED" in capsys.readouterr().err
    assert "stopped before its end" in (root / "c/compare.md").read_text()
    shown = ["--images", raw, "--ref", raw, "--pred", root / "one", "-o", root / "shown"]
    assert run("overlay", *shown) == 0
    assert "stopped before its end" in (root / "shown/review.html").read_text()


def test_a_finished_run_tells_nothing(disc_run, capsys):
    raw, root, _ = disc_run
    accept = ["--accept", "RUN_UNFINISHED", "RUN_UNLISTED"]
    assert run("predict", "--model", root / "run", "-i", raw, "-o", root / "out", *accept) == 0
    assert "RUN_" not in capsys.readouterr().err
    assert json.loads((root / "out/predictions.json").read_text())["doubts"] == []


@pytest.mark.long
def test_a_package_of_a_finished_run_tells_nothing(disc_run, capsys):
    _, root, _ = disc_run
    accept = ["--accept", "RUN_UNFINISHED", "RUN_UNLISTED"]
    assert run("export", "--model", root / "run", "-o", root / "package", *accept) == 0
    assert "RUN_" not in capsys.readouterr().err
    assert json.loads((root / "package/accepted.json").read_text())["accepted"] == []


def test_a_run_that_was_copied_without_its_list_is_told(disc_run, capsys):
    raw, root, config = disc_run
    shutil.rmtree(root / "run/.sdunet")
    predict = ["predict", "--model", root / "run", "-i", raw]
    assert run(*predict, "-o", root / "out") == 0
    assert "warning RUN_UNLISTED: the folder of the run was copied" in capsys.readouterr().err
    assert run("evaluate", "--pred", root / "out", "--ref", raw, "-o", root / "scores") == 0
    assert "warning RUN_UNLISTED" in capsys.readouterr().err
    assert run(*predict, "-o", root / "again", "--accept", "RUN_UNLISTED") == 0
    assert "note RUN_UNLISTED: accepted: " in capsys.readouterr().err
    resume = ["train", "--config", config, "--data", root / "set", "--out", root / "run"]
    assert run(*resume, "--resume", "--epochs", 7) == 0
    assert "warning RUN_UNLISTED" in capsys.readouterr().err


@pytest.mark.long
def test_a_package_of_a_run_without_its_list_tells_it(disc_run, capsys):
    _, root, _ = disc_run
    shutil.rmtree(root / "run/.sdunet")
    assert run("export", "--model", root / "run", "-o", root / "package") == 0
    assert "warning RUN_UNLISTED" in capsys.readouterr().err
