"""Loggers of others, by their names. Each writes into the folder of the run, and nowhere else."""

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import loggers as lightning
from pytorch_lightning.loggers import Logger

from data_prep.core.errors import DataError
from sdunet.runtime.run_record import flat
from sdunet.segmentation.config import LoggerName, TrainingConfig

_PROJECT = "sdunet"  # under which such programs group runs


def names_of(config: TrainingConfig) -> list[LoggerName]:
    """Return the loggers that settings name, each once.

    Raises:
        DataError: CONFIG_LOGGER, with the first whose package is not installed.
    """
    asked = (config.logger,) if isinstance(config.logger, str) else config.logger
    names: list[LoggerName] = [*asked]
    if config.tensorboard:
        names.append("tensorboard")
    for name in names:
        if name != "csv" and find_spec(name) is None:
            raise _unusable(name, "which is not installed", f"pip install {name}")
    return list(dict.fromkeys(names))


@contextmanager
def logging_to(
    trainer: pl.Trainer, names: Collection[LoggerName], out: Path, settings: Mapping[str, Any]
) -> Iterator[None]:
    """Let a trainer log by these names, too, and end what they began.

    Args:
        trainer: of Lightning.
        names: see `names_of`.
        out: folder of the run; each logger has a folder of its own name in it.
        settings: that are logged of the run: plain values, perhaps in dictionaries.

    Raises:
        DataError: CONFIG_LOGGER if a package is there and cannot log.
    """
    with ExitStack() as begun:
        for name in names:
            try:
                logger = begun.enter_context(_MAKERS[name](out.absolute()))
                logger.log_hyperparams(_plain(settings))
            except Exception as error:  # each says in its own way what it lacks
                raise _unusable(name, str(error), f"pip install --upgrade {name}") from error
            trainer.loggers = [*trainer.loggers, logger]
        yield


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by dotted names; a mapping as text, as names of classes may be no names."""
    known = flat(settings)
    return {n: json.dumps(v) if isinstance(v, Mapping) else v for n, v in known.items()}


def _unusable(name: str, why: str, fix: str) -> DataError:
    found = f"training.logger names {name}, {' '.join(why.split())[:300]}"
    return DataError("CONFIG_LOGGER", found, f"{fix}, or name another logger")


@contextmanager
def _environment(**defaults: str) -> Iterator[None]:
    """Set variables of the environment that the caller has not set."""
    own = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)


def _csv(out: Path) -> AbstractContextManager[Logger]:
    # A version each time the run goes on: Lightning writes the table of one anew.
    return nullcontext(lightning.CSVLogger(out, name="csv"))


def _tensorboard(out: Path) -> AbstractContextManager[Logger]:
    return nullcontext(
        lightning.TensorBoardLogger(out, name="", version="tensorboard", default_hp_metric=False)
    )


@contextmanager
def _wandb(out: Path) -> Iterator[Logger]:
    folder = str(out / "wandb")
    places = dict.fromkeys(("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"), folder)
    with _environment(WANDB_MODE="offline", WANDB_ERROR_REPORTING="false", **places):
        import wandb

        foreign = wandb.run is not None  # of the caller, which Lightning goes on with
        try:
            yield lightning.WandbLogger(
                name=out.name, save_dir=out, project=_PROJECT, settings={"console": "off"}
            )
        finally:
            if not foreign:  # or all folds that one process trains would be logged as the first
                wandb.finish()


@contextmanager
def _mlflow(out: Path) -> Iterator[Logger]:
    with _environment(MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_DISABLE_TELEMETRY="true"):
        place = (out / "mlflow").as_uri()
        yield lightning.MLFlowLogger(_PROJECT, run_name=out.name, tracking_uri=place)


_MAKERS: Mapping[LoggerName, Callable[[Path], AbstractContextManager[Logger]]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
