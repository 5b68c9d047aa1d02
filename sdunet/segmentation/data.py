"""Prepared cases to batches."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
from monai.data import DataLoader
from monai.data import Dataset as TransformedDataset

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
        "image": normalise(image, record.shift, record.scale),
        "label": np.array(label),
    }


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
        # MONAI's loader, because torch's repeats random transforms over workers and epochs.
        return DataLoader(
            TransformedDataset(cases, _PatchOf(self.dataset, augment)),
            batch_size=min(self.config.batch_size, len(cases)),
            shuffle=True,
            drop_last=True,
            num_workers=self.config.workers,
            persistent_workers=self.config.workers > 0,
        )

    def val_dataloader(self) -> DataLoader:
        """Return the validation cases whole, one a batch."""
        return DataLoader(
            TransformedDataset(self.split["val"], _CaseOf(self.dataset)),
            batch_size=1,
            num_workers=self.config.workers,
            persistent_workers=self.config.workers > 0,
        )


# Classes and not closures, so that worker processes can be started by spawning.
class _CaseOf:
    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __call__(self, case_id: str) -> dict[str, Any]:
        return load_case(self.dataset, case_id)


class _PatchOf(_CaseOf):
    def __init__(self, dataset: Dataset, augment: Any) -> None:
        super().__init__(dataset)
        self.augment = augment

    def __call__(self, case_id: str) -> dict[str, Any]:
        return self.augment(super().__call__(case_id))
