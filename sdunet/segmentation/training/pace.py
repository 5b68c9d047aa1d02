"""How long an epoch takes, measured on a few steps, and how many fit a time."""

import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from data_prep.core.errors import DataError
from data_prep.prepared.dataset import Dataset
from sdunet.runtime.checkpoint import STATE
from sdunet.runtime.lightning_setup import fit, quiet_lightning
from sdunet.runtime.torch_errors import lightning_errors
from sdunet.segmentation.config import TaskConfig
from sdunet.segmentation.models.planned import planned
from sdunet.segmentation.models.trained_model import WEIGHTS, network_for
from sdunet.segmentation.training.callbacks import Keep
from sdunet.segmentation.training.data_module import SegmentationData
from sdunet.segmentation.training.lightning_module import SegmentationModule
from sdunet.segmentation.training.train_fold import build_trainer

_STEPS = 5  # of each epoch that is measured
_CASES = 2  # that are validated in it
_LOOKS = 3  # validations after training: for rules, predictions, and their scores and pictures
_PACKAGE = 15.0  # seconds to export a network and to check the package in a fresh process
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
    """Train two epochs of a few steps, as `train` does, keep nothing of it, and return the pace.

    The first epoch warms up; of the second, a step, a validated voxel and what comes on top
    (states, table, curve) are timed each.

    Raises:
        DataError: as `train`, if the network or the settings cannot be.
    """
    config = replace(task.training, epochs=2, validate_every=0, max_time=None)
    task = planned(replace(task, training=config), dataset.plan)
    config = task.training
    quiet_lightning()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    module = SegmentationModule(network_for(task.network, dataset.plan), dataset.plan, config)
    batches = SegmentationData(dataset, fold, config)
    with tempfile.TemporaryDirectory() as folder, lightning_errors():
        keep = Keep(Path(folder) / WEIGHTS, Path(folder) / STATE, 0, config.patience)
        watch = _Stopwatch()
        trainer = build_trainer(task, Path(folder), keep, config.epochs, watch=watch)
        trainer.limit_train_batches, trainer.limit_val_batches = _STEPS, _CASES
        fit(trainer, module, batches)
        epoch = time.monotonic() - watch.began
    sizes = [float(np.prod(dataset.cases[id_].size)) for id_ in batches.val_cases]
    count = min(_CASES, len(sizes))
    validation = watch.validated / sum(sizes[:count]) * sum(sizes)
    step = float(np.median(watch.steps))
    besides = epoch - sum(watch.steps) - watch.validated
    return Pace(step * len(batches.order()) + validation + max(0.0, besides), validation)


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
    after = folds * (_LOOKS * pace.validation + _PACKAGE)
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
    """Times the epoch that began last: each step with the wait for its batch, and validation."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.validated = self.began = self.since = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Begin anew."""
        self.began = self.since = time.monotonic()
        self.steps = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Note a step."""
        now = time.monotonic()
        self.steps.append(now - self.since)
        self.since = now

    def on_validation_start(self, *_: Any) -> None:
        """Leave out what lies between."""
        self.since = time.monotonic()

    def on_validation_end(self, *_: Any) -> None:
        """Note all cases that were validated."""
        self.validated = time.monotonic() - self.since
