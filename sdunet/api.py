"""Training from Python, by the settings and the code of the command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdunet.cli.options import add_task, task_of
from sdunet.cli.parser import Parser, files_first
from sdunet.runtime.device import check_environment
from sdunet.segmentation.config import TaskConfig


def read_task(
    config: str | Path | None = None, settings: Mapping[str, Any] | None = None
) -> TaskConfig:
    """Return the settings of a task, as `sdunet train` takes them.

    Args:
        config: YAML file of the task. Default: all defaults.
        settings: single settings by their dotted names, such as `{"training.epochs": 5}`; they
            win over the file.

    Raises:
        ValueError: if a setting is unknown or has a wrong value; it names the nearest known.
    """
    if "config" in (settings or {}):
        raise ValueError("config is no setting: give the file as the argument config")
    parser = Parser(exit_on_error=False)
    add_task(parser)
    arguments = [] if config is None else ["--config", str(config)]
    arguments += [f"--{name}={value}" for name, value in (settings or {}).items()]
    return task_of(parser.instantiate(parser.parse_args(files_first(arguments))))


def train(
    data: str | Path,
    out: str | Path,
    config: str | Path | None = None,
    fold: int | None = 0,
    *,
    resume: bool = False,
    init: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> float | None:
    """Train a network on all folds of a prepared dataset but one, or on all.

    Args:
        data: folder of the prepared dataset.
        out: folder for the run.
        config: YAML file of the task, as `sdunet train --config` takes it.
        fold: the validation fold. None: all cases but those of the test set train, to the end of
            the schedule, and none validates.
        resume: resume the run in `out`.
        init: folder of a trained network or package, or `hf:OWNER/NAME@COMMIT`, whose weights to
            begin from. The learning rate stays as it is set; a tenth of the default is usual.
        settings: single settings by their dotted names, see `read_task`.

    Returns:
        The best validation Dice, mean over classes and cases, 0 to 1; None without a fold.

    Raises:
        ValueError: as `read_task`.
        DataError: if the dataset, the fold or the state cannot be used, or `out` is taken;
            CONFIG_DEVICES for more processes than can train.
        DataError: RUN_NONFINITE if the loss is not finite.
        Stopped: if a signal or a file stopped it; it can be resumed.
    """
    check_environment()
    from sdunet.segmentation.training.train_fold import train as train_fold

    return train_fold(read_task(config, settings), data, out, fold, resume=resume, init=init)
