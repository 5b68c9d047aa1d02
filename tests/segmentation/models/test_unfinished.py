"""A training that was stopped before its end is never taken for one that came to it."""

import json

import pytest
from by_hand import rewrite

from data_prep.core.errors import DataError
from sdunet import Predictor
from sdunet.cli.main import main


def run(*arguments):
    return main([str(a) for a in arguments])


def stop_before_the_end(out):
    (out / "run.json").unlink()


def stop_after_resuming(out):
    """As a run leaves it that was resumed for more epochs, and stopped among them."""
    settings = json.loads((out / "settings.json").read_text())
    rewrite(out / "settings.json", lambda found: found["training"].update(epochs=9))
    assert settings["training"]["epochs"] == 6


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
