"""Settings given at evaluation are held to those that the predictions were made with."""

import pytest
import yaml

from sdunet.cli.main import main


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture
def predicted(disc_run, capsys):
    """The raw set, the folder of all with predictions, and the settings it was prepared by."""
    raw, root, config = disc_run
    assert run("predict", "--model", root / "run", "-i", raw, "-o", root / "pred") == 0
    capsys.readouterr()
    return raw, root, yaml.safe_load(config.read_text())


def evaluate(predicted, **settings):
    raw, root, task = predicted
    task["dataset"] |= settings
    (root / "given.yaml").write_text(yaml.safe_dump({"dataset": task["dataset"]}))
    given = ["--config", root / "given.yaml", "--pred", root / "pred", "--ref", raw]
    return run("evaluate", *given, "-o", root / "scores")


def test_settings_of_the_predictions_are_taken_without_a_word(predicted, capsys):
    assert evaluate(predicted, channels=["image"]) == 0
    err = capsys.readouterr().err
    assert "SET_OTHER" not in err
    assert "label_map" not in err


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("label_map", {7: 1, 255: 1}, "{7: 1, 255: 1}, the predictions were made with {255: 1}"),
        ("structures", {"liver": 1}, "{'liver': 1}, the predictions were made with {}"),
        ("channels", ["T2"], "('T2',), the predictions were made with ('image',)"),
    ],
)
def test_other_settings_are_told_with_both_values(predicted, capsys, name, value, words):
    evaluate(predicted, **{name: value})
    err = capsys.readouterr().err
    assert f"warning SET_OTHER: dataset.{name} is {words}" in err
    mapped = "dataset.label_map maps 7, which no label that is read holds; they hold 0, 255"
    assert (mapped in err) == (name == "label_map")
