"""A file of settings holds each once, by name and with a value; nothing else is guessed over."""

import pytest

from sdunet.api import read_task
from sdunet.cli.main import main

EMPTY = [
    ("dataset:", "dataset"),
    ("network: null\ntraining.epochs: 3", "network"),
    ("dataset: {label_map: }", "dataset.label_map"),
    ("dataset: {accept: ~}", "dataset.accept"),
    ("network: {residual: }", "network.residual"),
    ("training: {keep: null}", "training.keep"),
    ("training.optimizer:\ntraining.epochs: 3", "training.optimizer"),
    ("trainer: {devices: }", "trainer.devices"),
    ("dataset: sub.yaml", "dataset.seed"),
]
OTHERS = [
    ("", "it is empty"),
    ("# training: {epochs: 3}\n", "it is empty"),
    ("- training", "must hold settings by name"),
    ("training: {epochs: 1}\ntraining.epochs: 7", "'training.epochs' is given twice"),
    ("training.epochs: 7\ntraining: {epochs: 7}", "'training.epochs' is given twice"),
    ("dataset: {labels: {a: 0}}\ndataset.labels: {b: 0}", "'dataset.labels' is given twice"),
    ("dataset: {labels: {a: 0}}\ndataset.labels.b: 1", "'dataset.labels.b' is given twice"),
    ("dataset.labels: {a: 0}\ndataset.labels.b: 1", "'dataset.labels.b' is given twice"),
    ("dataset: {labels: {no: 1}}", "no is False in YAML; put the name in quotes"),
    ("dataset: none.yaml\n", "give a file of settings by name, each with a value"),
]
SOUND = [
    "{}",
    "training: {}",
    "training: {max_time: null, epochs: 3}",
    "dataset: {labels: }",
    "training: {epochs: 3}\ntraining.patience: 2",
    "dataset: good.yaml\ndataset.folds: 3",
    "dataset: {labels: {v1: 0, v1.0: 1}}",
    "dataset: {labels: {'no': 0}}",
]


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub.yaml").write_text("seed:\nfolds: 3\n")
    (tmp_path / "good.yaml").write_text("seed: 4\n")

    def write(text):
        (tmp_path / "task.yaml").write_text(text)
        return tmp_path / "task.yaml"

    return write


@pytest.mark.parametrize(("text", "name"), EMPTY)
def test_a_setting_without_a_value_is_named(written, text, name):
    with pytest.raises(ValueError, match=f"CONFIG_EMPTY: {name} has no value; give it one, or"):
        read_task(written(text))


@pytest.mark.parametrize(("text", "found"), OTHERS)
def test_what_is_no_file_of_settings_is_told(written, text, found):
    with pytest.raises(ValueError, match=found):
        read_task(written(text))


@pytest.mark.parametrize("text", SOUND)
def test_sound_files_are_taken(written, text):
    read_task(written(text))


def test_files_are_laid_over_each_other_on_purpose(written, tmp_path):
    written("training: {epochs: 7}")
    task = read_task(tmp_path / "task.yaml", {"training.epochs": 3})
    assert task.training.epochs == 3


@pytest.mark.parametrize(
    ("command", "text", "name"),
    [
        ("evaluate --pred a --ref b -o c", "score: {tolerance: }", "score.tolerance"),
        ("vae train --data a -o c", "training: {epochs: }", "training.epochs"),
        ("train --data a -o c", "training: {epochs: }", "training.epochs"),
        ("train --data a -o c", "fold:", "fold"),
    ],
)
def test_all_commands_refuse_it(written, capsys, command, text, name):
    with pytest.raises(SystemExit):
        main([*command.split(), "--config", str(written(text))])
    assert f"CONFIG_EMPTY: {name} has no value" in capsys.readouterr().err
