"""How long an epoch takes, measured on a few steps, and how many fit a time."""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl

from data_prep.core.errors import DataError
from data_prep.prepared.dataset import Dataset
from sdunet.runtime.device import choose_device
from sdunet.runtime.lightning_setup import quiet_lightning
from sdunet.runtime.torch_errors import fit_errors
from sdunet.segmentation.config import TaskConfig
from sdunet.segmentation.models.planned import planned
from sdunet.segmentation.models.trained_model import network_for
from sdunet.segmentation.training.data_module import SegmentationData
from sdunet.segmentation.training.lightning_module import SegmentationModule

_STEPS = 4  # that are timed, after one that warms up
_CASES = 2  # that are validated
_RECORDS = 0.5  # seconds an epoch for its state, table and curve
_LOOKS = 3  # validations after training: for rules, predictions, and their scores and pictures
_MARGIN = 0.9  # of the time left; the rest is for what was not measured


@dataclass(frozen=True)
class Pace:
    """Seconds that a fold takes.

    Attributes:
        epoch: of training and validation.
        validation: the latter alone.
    """

    epoch: float
    validation: float


def measure(task: TaskConfig, dataset: Dataset, fold: int) -> Pace:
    """Train a few steps and validate a case or two, keep nothing, and return the pace.

    Raises:
        DataError: as `train`, if the network or the settings cannot be.
    """
    task = planned(task, dataset.plan)
    config = task.training
    quiet_lightning()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    module = SegmentationModule(network_for(task.network, dataset.plan), dataset.plan, config)
    batches = SegmentationData(dataset, fold, config)
    watch = _Stopwatch()
    trainer = pl.Trainer(
        max_epochs=1,
        limit_train_batches=1 + _STEPS,
        limit_val_batches=_CASES,
        num_sanity_val_steps=0,
        accelerator="gpu" if choose_device(config.device) == "cuda" else "cpu",
        devices=1,
        precision=config.precision,
        deterministic=config.deterministic,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[watch],
    )
    with fit_errors("training.batch_size or dataset.patch_size"):
        trainer.fit(module, batches)
    sizes = [float(np.prod(dataset.cases[id_].size)) for id_ in batches.val_cases]
    validation = sum(watch.cases) / sum(sizes[: len(watch.cases)]) * sum(sizes)
    step = float(np.median(watch.steps[1:] or watch.steps))
    return Pace(step * len(batches.order()) + validation + _RECORDS, validation)


def epochs_within(pace: Pace, minutes: float, spent: float, folds: int, most: int) -> int:
    """Return how many epochs a fold can be trained, all folds one after the other.

    Args:
        pace: of one fold.
        minutes: that all of it may take, from data to page.
        spent: seconds of them that are over.
        folds: how many are trained.
        most: epochs of the settings, of which there are no more.

    Raises:
        DataError: PIPE_MINUTES if there is no time for one.
    """
    after = folds * _LOOKS * pace.validation
    left = (minutes * 60 - spent - after) * _MARGIN
    epochs = math.floor(left / (folds * pace.epoch))
    if epochs < 1:
        least = (folds * pace.epoch / _MARGIN + after + spent) / 60
        raise DataError(
            "PIPE_MINUTES",
            f"--minutes {minutes:g} is too short for an epoch of {folds} folds: one takes "
            f"{pace.epoch:.3g} s a fold, so the least is {math.ceil(10 * least) / 10:g}",
            "give more --minutes, --folds 1, a smaller network.features, or leave --minutes out",
        )
    return min(epochs, most)


class _Stopwatch(pl.Callback):
    """Times steps, from one's end to the next's, and validated cases."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.cases: list[float] = []
        self.since = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self.since = time.monotonic()

    def on_train_batch_end(self, *_: Any) -> None:
        self.steps.append(self._lap())

    def on_validation_epoch_start(self, *_: Any) -> None:
        self.since = time.monotonic()

    def on_validation_batch_end(self, *_: Any) -> None:
        self.cases.append(self._lap())

    def _lap(self) -> float:
        now = time.monotonic()
        lap, self.since = now - self.since, now
        return lap
