"""How Lightning is made to talk to users and not to its developers, and to leave what it finds."""

import logging
import os
import signal
import warnings
from contextlib import suppress
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException

from data_prep.parent_process import LEADER, end_with_parent
from sdunet.runtime.interruption import Stopped, same_signals
from sdunet.runtime.torch_errors import SMALLER, fit_errors


def quiet_lightning() -> None:
    """Keep hints for Lightning's developers from the users of this command."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for hint in (
        ".*does not have many workers",
        "The number of training batches",
        "Experiment logs directory .* exists",
        "Checkpoint directory .* exists",
        "The dirpath has changed",  # of a run that was moved: only the last state is kept there
        ".*LeafSpec.* is deprecated",
        ".*sync_dist=True",  # scores are gathered from all processes before they are logged
    ):
        warnings.filterwarnings("ignore", hint)


def is_first_process() -> bool:
    """Tell whether this is the first of the processes that train together, or the only one."""
    return getattr(rank_zero_only, "rank", 0) == 0


def end_together() -> None:
    """Let the processes that Lightning starts for a training end with the one that starts them."""
    own = str(os.getpid())
    leader = os.environ.setdefault(LEADER, own)
    if leader == own:
        return
    if "LOCAL_RANK" not in os.environ or torch.distributed.is_torchelastic_launched():
        # A command of its own, started by a process that has trained before.
        os.environ[LEADER] = own
        return
    if leader != str(os.getppid()):  # it ended before this process came here
        os._exit(1)
    end_with_parent()


def fit(
    trainer: pl.Trainer,
    module: pl.LightningModule,
    data: pl.LightningDataModule,
    state: Path | str | None = None,
    *,
    smaller: str = SMALLER,
) -> None:
    """Train, name what is raised, and leave signals to whom they were left before.

    Args:
        trainer: that trains.
        module: what is trained.
        data: what on.
        state: from which the training goes on. Default: from the beginning.
        smaller: settings that take less memory when lowered.

    Raises:
        DataError, KeyboardInterrupt: as `fit_errors`.
        Stopped: if a signal stopped it.
    """
    with fit_errors(smaller), same_signals():
        with suppress(SIGTERMException):
            trainer.fit(module, data, ckpt_path=None if state is None else str(state))
        if trainer.received_sigterm:  # where no `Halt` listens, perhaps behind the last step
            raise Stopped("SIGTERM", 128 + signal.SIGTERM)
