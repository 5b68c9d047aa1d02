"""Prepared cases to batches."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
from monai.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from data_prep.dataset import Dataset
from data_prep.errors import DataError
from data_prep.preprocess import normalise
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.transforms import training_transforms


def load_case(dataset: Dataset, case_id: str) -> dict[str, Any]:
    """Return `{"case", "image": (C, ...) float32 normalised, "label": (1, ...) integers}`."""
    record = dataset.cases[case_id]
    image, label = dataset.arrays(case_id)
    return {
        "case": case_id,
        "image": normalise(image, record.scaling),
        "label": np.array(label),
    }


class CaseDataset(TorchDataset):
    """Cases of a prepared dataset, whole or as `augment` makes patches of them.

    MONAI's loader finds `augment` among the attributes and seeds it. Wrapped in a function, as
    MONAI's own dataset would take it, it would stay unseeded.
    """

    def __init__(self, dataset: Dataset, cases: list[str], augment: Callable | None = None) -> None:
        self.dataset = dataset
        self.cases = cases
        self.augment = augment

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any] | list[dict[str, Any]]:
        case = load_case(self.dataset, self.cases[index])
        return case if self.augment is None else self.augment(case)


class SegmentationData(pl.LightningDataModule):
    """Random patches of the training cases of a fold, and its validation cases whole.

    Args:
        dataset: a prepared dataset.
        fold: which fold validates.
        config: batch and patch settings.

    Raises:
        DataError: SPLIT_FOLD if there is no such fold.
    """

    def __init__(self, dataset: Dataset, fold: int, config: TrainingConfig) -> None:
        super().__init__()
        if fold not in range(len(dataset.folds)):
            raise DataError(
                "SPLIT_FOLD", f"fold {fold} of {len(dataset.folds)}", "count folds from 0"
            )
        self.dataset = dataset
        self.split = dataset.folds[fold]
        self.config = config

    def train_dataloader(self) -> DataLoader:
        """Return batches `{"image": (N, C, ...), "label": (N, 1, ...)}` of random patches."""
        cases = self.split["train"] * self.config.patches_per_case
        augment = training_transforms(self.dataset.plan.patch_size, self.config)
        patches = CaseDataset(self.dataset, cases, augment)
        # MONAI's loader, because torch's repeats random transforms over workers and epochs.
        return DataLoader(
            patches,
            batch_size=min(self.config.batch_size, len(cases)),
            shuffle=True,
            drop_last=True,
            num_workers=self.config.workers,
            persistent_workers=self.config.workers > 0,
        )

    def val_dataloader(self) -> DataLoader:
        """Return the validation cases whole, one a batch."""
        return DataLoader(
            CaseDataset(self.dataset, self.split["val"]),
            batch_size=1,
            num_workers=self.config.workers,
            persistent_workers=self.config.workers > 0,
        )
