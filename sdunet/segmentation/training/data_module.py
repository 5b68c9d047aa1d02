"""Prepared cases to batches. What is drawn depends on seed and step alone.

Every patch is drawn from a seed of its own, which the order of patches hands to whoever loads it:
worker processes, their number, other ranks and earlier steps change nothing. Training can so go on
from any step as if it had never stopped.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from monai.data import DataLoader, get_track_meta, set_track_meta
from torch.utils.data import Dataset as TorchDataset

from data_prep.core.errors import DataError
from data_prep.parent_process import end_with_parent
from data_prep.prepared.dataset import Dataset
from data_prep.preprocessing.intensity import normalise
from sdunet.runtime.device import check_share
from sdunet.runtime.stop_callbacks import SIGNALS
from sdunet.segmentation.config import TrainerConfig, TrainingConfig
from sdunet.segmentation.models.planned import batch_size_of
from sdunet.segmentation.training.augmentation import augmentation, draw_patch, pad_patch, places_of
from sdunet.segmentation.training.patch_order import Drawn, PatchOrder


def load_case(dataset: Dataset, case_id: str) -> dict[str, Any]:
    """Return `{"case", "image": (C, ...) float32 normalised, "label": (1, ...) integers}`."""
    record = dataset.cases[case_id]
    image, label = dataset.arrays(case_id)
    return {
        "case": case_id,
        "image": normalise(image, record.scaling),
        "label": np.array(label),
    }


class WholeCases(TorchDataset):
    """Cases of a prepared dataset, whole."""

    def __init__(self, dataset: Dataset, cases: list[str]) -> None:
        self.dataset = dataset
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return load_case(self.dataset, self.cases[index])


class Patches(TorchDataset):
    """Random patches of cases, augmented.

    Of the memory-mapped image only the patch is read, and only its intensities are scaled. The
    label is read whole the first time, for where its classes are.
    """

    def __init__(self, dataset: Dataset, cases: list[str], config: TrainingConfig) -> None:
        self.dataset = dataset
        self.cases = cases
        self.foreground = config.foreground
        self.augment = augmentation(dataset.plan, config)
        self._places: dict[str, list[np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, drawn: Drawn) -> dict[str, Any]:
        number, seed = drawn
        id_ = self.cases[number]
        record = self.dataset.cases[id_]
        image, label = self.dataset.arrays(id_)
        if id_ not in self._places:
            self._places[id_] = places_of(label, self.dataset.plan.rules.void)
        random = np.random.RandomState(seed)
        size = self.dataset.plan.patch_size
        where = draw_patch(record.size, size, self._places[id_], self.foreground, random)
        patch = {
            "image": pad_patch(normalise(image[(slice(None), *where)], record.scaling), size),
            "label": pad_patch(np.array(label[(slice(None), *where)]), size),
        }
        self.augment.set_random_state(seed=seed)
        with _as_in_a_worker():
            return self.augment(patch)


@contextmanager
def _as_in_a_worker() -> Iterator[None]:
    """Compute in one thread, as loader workers do: sums over more come out in other bits.

    And keep MONAI from recording what it did to each patch, which takes longer than doing it.
    """
    before, threads = get_track_meta(), torch.get_num_threads()
    set_track_meta(False)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        set_track_meta(before)
        torch.set_num_threads(threads)


class SegmentationData(pl.LightningDataModule):
    """Random patches of the training cases of a fold, and its validation cases whole.

    Args:
        dataset: a prepared dataset.
        fold: the validation fold, or None, see `Dataset.sides`.
        config: batch and patch settings.

    Raises:
        DataError: SPLIT_FOLD if there is no such fold.
    """

    def __init__(self, dataset: Dataset, fold: int | None, config: TrainingConfig) -> None:
        super().__init__()
        sides = dataset.sides(fold)
        self.dataset = dataset
        self.config = config
        self.train_cases = sides["train"]
        # Largest first: what does not fit the memory shows before the first epoch.
        self.val_cases = sorted(
            sides["val"], key=lambda id_: (-np.prod(dataset.cases[id_].size), id_)
        )

    def check_processes(self, config: TrainerConfig, device: str) -> None:
        """Refuse more processes than cases, or than cores without a GPU, before they are started.

        Raises:
            DataError: CONFIG_DEVICES.
        """
        shared = {"validation cases": len(self.val_cases)} if self.val_cases else {}
        shared["training cases"] = len(self.train_cases)
        processes = config.devices, config.num_nodes
        check_share(processes, shared, device, "trainer.devices")

    def order(self) -> PatchOrder:
        """Return the order of patches, from the step on that the trainer has come to."""
        config, trainer = self.config, self.trainer
        return PatchOrder(
            len(self.train_cases),
            config.patches_per_case,
            batch_size_of(config, self.dataset.plan),
            config.seed,
            lambda: trainer.global_step if trainer else 0,
            trainer.global_rank if trainer else 0,
            trainer.world_size if trainer else 1,
            config.validate_every,
        )

    def validations(self, processes: int = 1) -> int:
        """Return how many validations a whole training has.

        Raises:
            DataError: CONFIG_VALIDATE if it ends before the first.
        """
        every, epochs = self.config.validate_every, self.config.epochs
        if not every:
            return epochs
        order = PatchOrder(
            len(self.train_cases),
            self.config.patches_per_case,
            batch_size_of(self.config, self.dataset.plan),
            self.config.seed,
            ranks=processes,
        )
        steps = epochs * order.epoch_steps
        if steps < every:
            found = f"training.validate_every {every}, and {steps} steps in all"
            raise DataError("CONFIG_VALIDATE", found, "give at most as many, or more epochs")
        return steps // every

    def train_dataloader(self) -> DataLoader:
        """Return batches `{"image": (N, C, ...), "label": (N, 1, ...)}` of random patches."""
        return _Resumable(
            Patches(self.dataset, self.train_cases, self.config),
            batch_sampler=self.order(),
            worker_init_fn=_deaf,
            num_workers=self.config.workers,
            persistent_workers=self.config.workers > 0,
        )

    def val_dataloader(self) -> DataLoader:
        """Return this process's share of the validation cases whole, one a batch."""
        order = self.order()
        return DataLoader(
            WholeCases(self.dataset, self.val_cases[order.rank :: order.ranks]),
            batch_size=1,
            worker_init_fn=_deaf,
            num_workers=self.config.workers,
            persistent_workers=self.config.workers > 0,
        )


def _deaf(worker: int) -> None:
    """Leave signals to the training: a terminal sends them to its workers, too, which must last.

    But no longer than the training itself.
    """
    end_with_parent()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Resumable(DataLoader):
    """Tells Lightning that it goes on from the right step; `PatchOrder` sees to that."""

    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state: dict) -> None:
        pass
