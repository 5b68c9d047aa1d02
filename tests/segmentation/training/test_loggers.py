"""Loggers by name: in the folder of the run alone, with plain values, and named where missing."""

import csv
import os
import sys
from types import ModuleType, SimpleNamespace

import pytest
import yaml
from training_runs import arguments_of, run

from data_prep.core.errors import DataError
from sdunet.api import read_task
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.training import loggers
from sdunet.segmentation.training.loggers import logging_to, names_of


def asked(logger):
    return read_task(settings={"training.logger": logger}).training


def test_one_name_or_a_list_each_once():
    assert names_of(TrainingConfig()) == []
    assert names_of(asked("csv")) == names_of(asked("[csv]")) == ["csv"]
    assert asked("[csv, wandb]").logger == ("csv", "wandb")
    with pytest.raises(ValueError, match=r"training\.logger"):
        asked("comet")


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--training.tensorboard=true", "tensorboard"),
        ("--training.logger=[csv,wandb]", "wandb"),
        ("--training.logger=mlflow", "mlflow"),
    ],
)
def test_a_package_that_is_not_installed_is_named(
    disc_run, tmp_path, capsys, monkeypatch, option, name
):
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    assert run(*arguments_of(disc_run, tmp_path / "run", option)) == 1
    assert f"CONFIG_LOGGER: training.logger names {name}, which is not" in (
        said := capsys.readouterr().err
    )
    assert f"pip install {name}" in said
    assert not (tmp_path / "run").exists()


def test_what_was_logged_stays_when_a_run_goes_on(disc_run, tmp_path):
    command = arguments_of(disc_run, tmp_path / "run", "--training.logger=csv")
    assert run(*command, "--epochs=1") == 0
    assert run(*command, "--epochs=2", "--resume", "--training.tensorboard=false") == 0
    with (tmp_path / "run/metrics.csv").open(newline="") as file:
        ours = [row["val_dice"] for row in csv.DictReader(file)]
    logged = []
    for version in (0, 1):
        with (tmp_path / f"run/csv/version_{version}/metrics.csv").open(newline="") as file:
            logged += [row["val_dice"] for row in csv.DictReader(file)]
    assert [float(dice) for dice in logged] == pytest.approx([float(dice) for dice in ours])
    settings = yaml.safe_load((tmp_path / "run/csv/version_0/hparams.yaml").read_text())
    assert settings["network.features"] == [4, 6, 8]
    assert settings["training.learning_rate"] == 0.02


class StandIn:
    """Takes the place of a logger of Lightning, and notes how it is made and what it is given."""

    def __init__(self, *given, **named):
        self.given, self.named, self.logged = given, named, {}
        self.environment = {n: v for n, v in os.environ.items() if n.startswith(("WANDB", "MLF"))}

    def log_hyperparams(self, settings):
        self.logged = settings


@pytest.fixture
def programs(monkeypatch):
    """Stand-ins for what may not be installed; of W&B, how often its run was ended."""
    for name in ("TensorBoardLogger", "WandbLogger", "MLFlowLogger"):
        monkeypatch.setattr(loggers.lightning, name, StandIn)
    monkeypatch.setattr(loggers, "find_spec", lambda name: name)
    wandb, ended = ModuleType("wandb"), []
    wandb.run, wandb.finish = None, lambda: ended.append(1)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    return wandb, ended


def test_all_of_them_write_into_the_folder_of_the_run(programs, tmp_path):
    _, ended = programs
    trainer, before = SimpleNamespace(loggers=[]), dict(os.environ)
    names = names_of(TrainingConfig(logger=("wandb", "mlflow"), tensorboard=True))
    settings = {"a": {"b": [1, None], "c": {"T2+": 3}}}  # no program's name of a setting
    with pytest.raises(KeyError), logging_to(trainer, names, tmp_path, settings):
        raise KeyError
    assert ended == [1]
    assert dict(os.environ) == before
    wandb, mlflow, tensorboard = trainer.loggers
    assert [one.logged for one in trainer.loggers] == [{"a.b": [1, None], "a.c": '{"T2+": 3}'}] * 3
    assert wandb.named["save_dir"] == tensorboard.given[0] == tmp_path
    assert mlflow.named["tracking_uri"] == (tmp_path / "mlflow").as_uri()
    assert wandb.environment.pop("WANDB_MODE") == "offline"
    places = {name: v for name, v in wandb.environment.items() if name.endswith("_DIR")}
    assert len(places) == 3
    assert {*places.values()} == {str(tmp_path / "wandb")}
    assert mlflow.environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_what_the_caller_has_begun_or_set_stays(programs, tmp_path, monkeypatch):
    wandb, ended = programs
    monkeypatch.setenv("WANDB_MODE", "online")
    wandb.run = "of the caller"
    trainer = SimpleNamespace(loggers=[])
    with logging_to(trainer, ["wandb"], tmp_path, {}):
        assert trainer.loggers[0].environment["WANDB_MODE"] == "online"
    assert not ended
    assert os.environ["WANDB_MODE"] == "online"


def test_one_that_cannot_log_is_named_and_those_before_it_end(programs, tmp_path, monkeypatch):
    _, ended = programs

    def broken(*_, **__):
        raise RuntimeError("no\nbackend")

    monkeypatch.setattr(loggers.lightning, "MLFlowLogger", broken)
    with (
        pytest.raises(DataError, match=r"CONFIG_LOGGER: .* names mlflow, no backend"),
        logging_to(SimpleNamespace(loggers=[]), ["wandb", "mlflow"], tmp_path, {}),
    ):
        raise AssertionError
    assert ended == [1]
