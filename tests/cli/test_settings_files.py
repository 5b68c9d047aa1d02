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

# Of commands, what stands in the file, which is no text, and the option that it is for.
NO_TEXT = [
    ("train", "fold: true", "--fold"),
    ("train", "fold: [0, 1]", "--fold"),
    ("train", "fold: 1.5", "--fold"),
    ("train", "data: 2020", "--data"),
    ("train", "out: 2021", "--out"),
    ("train", "init: 5", "--init"),
    ("run", "out: {a: 1}", "--out"),
    ("run", "DATA: 5", "DATA"),
    ("prepare", "scheduler: 5", "--scheduler"),
    ("prepare", "plan: true", "--plan"),
    ("prepare", "dataset: {split_file: 5}", "--dataset.split_file"),
    ("evaluate", "pred: 2020", "--pred"),
    ("evaluate", "cases: [a]", "--cases"),
    ("compare", "names: [one, 2]", "--names"),
    ("overlay", "out: 2021", "--out"),
    ("vae train", "data: 5", "--data"),
]
NEEDED = {
    **{"train": "--data=d --out=o", "run": "d --out=o", "prepare": "d --out=o"},
    **{"evaluate": "--pred=p --ref=r --out=o", "compare": "a b --out=o"},
    **{"overlay": "--images=i --pred=p --ref=r --out=o", "vae train": "--data=d --out=o"},
}


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


@pytest.mark.parametrize(("command", "text", "option"), NO_TEXT)
def test_what_is_no_text_is_no_name_of_anything(written, capsys, command, text, option):
    left_out = text.partition(":")[0]
    given = [a for a in NEEDED[command].split() if not a.startswith(f"--{left_out}=")]
    given = given[left_out == "DATA" :]
    with pytest.raises(SystemExit) as left:
        main([*command.split(), *given, "--config", str(written(text))])
    assert left.value.code == 2
    assert f"{option} takes " in (said := capsys.readouterr().err)
    assert "text, in quotes" in said or option == "--fold"


def test_a_fold_may_be_a_number_in_a_file(written, capsys):
    assert main(["train", "--data=d", "--out=o", "--config", str(written("fold: 1"))]) == 1
    assert "SET_MISSING" in capsys.readouterr().err
