"""All of a training as one safetensors file: tensors as tensors, the rest as JSON. No pickle."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from torch import Tensor

from data_prep.core.errors import DataError
from data_prep.core.parse import UNUSABLE
from data_prep.files.written_files import read_written
from sdunet.runtime.run_record import say
from sdunet.runtime.safetensors_io import read_tensors, run_text, write_weights

STATE = "last.safetensors"
PREVIOUS = "previous.safetensors"
_MARK = "__tensor__"
_PAIRS = "__pairs__"


class StateIO(CheckpointIO):
    """Lightning's checkpoints, whole, in safetensors; the one before is kept beside the last.

    Args:
        run: what tells the run from every other, see `check_run`.
    """

    def __init__(self, run: Mapping[str, Any] | None = None) -> None:
        self.run = run_text(run)

    def save_checkpoint(
        self, checkpoint: dict, path: str | Path, storage_options: object = None
    ) -> None:
        """Write the checkpoint.

        Raises:
            TypeError: if something in it is neither tensor nor JSON.
        """
        tensors: dict[str, Tensor] = {}
        rest = json.dumps(_take_tensors(checkpoint, tensors))
        write_weights(path, tensors, Path(path).with_name(PREVIOUS), state=rest, run=self.run)

    def load_checkpoint(self, path: str | Path, *args: object, **kwargs: object) -> dict:
        """Return the checkpoint.

        Raises:
            DataError: MODEL_WEIGHTS if damaged.
        """
        tensors, metadata = read_tensors(path)
        try:
            return _put_tensors(json.loads(metadata["state"]), tensors)
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise DataError(
                "MODEL_WEIGHTS",
                f"not the state of a training: {error}",
                "copy the run folder again",
                file=str(path),
            ) from error

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint."""
        Path(path).unlink(missing_ok=True)


def save_within_epoch(trainer: pl.Trainer, path: Path) -> None:
    """Save the state before an epoch's validation.

    Counts of the last validation are left out: a resumed run does not have them, and nothing hangs
    on them, so that states of runs with and without a stop are the same bytes.
    """
    progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
    progress.current.reset()
    progress.is_last_batch = False
    trainer.save_checkpoint(path)


def states(run: Path) -> list[Path]:
    """Return the states of a training that stand in the folder `run`, the newest first."""
    return [run / name for name in (STATE, PREVIOUS) if (run / name).exists()]


def check_unchanged(run: Path, files: Iterable[str]) -> None:
    """Refuse to resume a run whose files were changed since: what users put in them would go.

    Of states another is written whatever they hold; that one is whole, `state_to_resume` tells.

    Args:
        run: the folder.
        files: all that the run writes; what is not there is written anew.

    Raises:
        DataError: OUT_CHANGED if a file is of another run or of the user.
    """
    for path in (run / name for name in files if name not in (STATE, PREVIOUS)):
        if path.exists():
            read_written(path)


def state_to_resume(run: Path, epochs: int, unit: str = "epoch") -> Path:
    """Return the newest whole state of a training in the folder `run`, to go on to `epochs`.

    Args:
        run: the folder.
        epochs: that are to be, or what else ends with a validation.
        unit: its name, for messages.

    Raises:
        DataError: RUN_MISSING if there is none, MODEL_WEIGHTS if none is whole, OUT_CHANGED if it
            is of another run, CONFIG_RESUME if it has more epochs already.
    """
    found = states(run)
    if not found:
        raise DataError("RUN_MISSING", f"no run to resume in {run}", "leave out --resume")
    for path in found[:-1]:
        try:
            return _whole(path, epochs, unit)
        except DataError as error:
            if error.code == "CONFIG_RESUME":
                raise
            say(f"{error}; the run resumes from the state saved before it")
    return _whole(found[-1], epochs, unit)


def _whole(path: Path, epochs: int, unit: str) -> Path:
    state = StateIO().load_checkpoint(path)
    if not isinstance(state, dict) or "state_dict" not in state:
        raise DataError(
            "MODEL_WEIGHTS", "not the state of a training", "train anew", file=str(path)
        )
    read_written(path)  # or it is of another run
    _hold_to(epochs, state["epoch"] + 1, path, unit)
    return path


def _hold_to(epochs: int, begun: int, path: Path, unit: str = "epoch") -> None:
    if begun > epochs:
        raise DataError(
            "CONFIG_RESUME",
            f"the run in {path.parent} has come to {unit} {begun}, {epochs} are asked for",
            "ask for as many, or more",
        )


def check_epochs(run: Path, epochs: int) -> None:
    """Refuse a run that has come further than is asked for, by a look at its newest state.

    That a state is not whole is told by `state_to_resume`.

    Raises:
        DataError: CONFIG_RESUME.
    """
    for path in states(run)[:1]:
        try:
            with safe_open(path, "pt") as file:
                begun = int(json.loads(file.metadata()["state"])["epoch"]) + 1
        except (SafetensorError, OSError, *UNUSABLE):
            return
        _hold_to(epochs, begun, path)


def _take_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return `value` with every tensor moved to `tensors`, and dictionaries of any keys."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # A copy: safetensors refuses memory held twice. On a GPU there may be no room for it.
        tensors[name] = value.detach().to("cpu", copy=True)
        return {_MARK: name}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _take_tensors(part, tensors) for key, part in value.items()}
        return {_PAIRS: [[key, _take_tensors(part, tensors)] for key, part in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_take_tensors(part, tensors) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}: {value!r:.80}")


def _put_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_put_tensors(part, tensors) for part in value]
    if not isinstance(value, dict):
        return value
    if _MARK in value:
        return tensors[value[_MARK]]
    if _PAIRS in value:
        return {key: _put_tensors(part, tensors) for key, part in value[_PAIRS]}
    return {key: _put_tensors(part, tensors) for key, part in value.items()}
