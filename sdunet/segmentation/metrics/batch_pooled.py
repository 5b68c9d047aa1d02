"""Dice pooled over batches of cases, which published tables hold. It is the Dice of no image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from data_prep.core.errors import DataError
from sdunet.segmentation.metrics.arguments import check_classes, check_shapes, count_of, labels_of

ABOUT = (
    "not the Dice of images: intersections and sizes are summed over each batch of cases, in the "
    "order of cases.csv, before 2 (I + 1) / (A + B + 1) is taken; the mean over batches"
)
_WHOLE = 254.5 / 255  # of a soft mask stored in 8 bit, that is 255 and not cut to 0


class BatchPooledDice:
    """Dice as the public code of the Spatially Dependent U-Nets takes it, case by case.

    Large objects outweigh small ones of the same batch, and numbers hang on its size. Where masks
    are resized, the reference is interpolated and its soft edge cut to 0, so that even a
    prediction whose contour is exact does not reach 1.

    Args:
        batch: cases of a batch; the last may have fewer.
        size: pixels along each axis that both masks of 2D images are brought to; `None` to keep
            their own.

    Reference:
        Carvalho et al., arXiv 2103.11713; its authors' repository joaocarv/holistic-seg.
    """

    def __init__(self, batch: int, size: tuple[int, int] | None = None) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        self.batch = batch
        self.size = size
        self.sums: list[np.ndarray] = []  # of each batch: class, then I, A and B
        self.cases = 0

    def add(self, prediction: np.ndarray | None, reference: np.ndarray, num_classes: int) -> None:
        """Add a case.

        Args:
            prediction: class numbers, `(H, W)` or `(X, Y, Z)`; `None` counts as background.
            reference: class numbers, the same shape.
            num_classes: classes, background included.

        Raises:
            DataError: EVAL_POOLED for a size and a volume.
            ValueError: if shapes differ or a number is no class; as `labels_of` and `count_of`.
        """
        reference = labels_of("reference", reference)
        if self.size is not None and reference.ndim != 2:
            found = f"--pooled-size {self.size} and a volume"
            raise DataError("EVAL_POOLED", found, "leave it out: volumes keep their size")
        if prediction is None:
            prediction = np.zeros_like(reference)
        prediction = labels_of("prediction", prediction)
        check_shapes(prediction, reference)
        num_classes = count_of("num_classes", num_classes)
        check_classes("prediction", prediction, num_classes)
        check_classes("reference", reference, num_classes)
        counts = np.zeros((num_classes - 1, 3), np.int64)
        for number, row in enumerate(counts, start=1):
            found, there = self._soft(prediction == number) > 0.5, reference == number
            there = self._soft(there) >= _WHOLE
            row[:] = (found & there).sum(), found.sum(), there.sum()
        if self.cases % self.batch:
            self.sums[-1] += counts
        else:
            self.sums.append(counts)
        self.cases += 1

    def compute(self) -> list[float]:
        """Return the mean over batches of class 1, 2, ...; a batch empty on both sides counts 1.

        Raises:
            ValueError: before a case was added.
        """
        if not self.sums:
            raise ValueError("no case was added")
        sums = np.array(self.sums, float)  # (batches, classes, 3)
        both, found, there = np.moveaxis(sums, -1, 0)
        dice = 2 * (both + 1) / (found + there + 1)
        return np.where(found + there == 0, 1.0, dice).mean(0).tolist()

    def summary(self, names: Mapping[int, str]) -> dict[str, Any]:
        """Return the value of each class by its name, with what it was taken of."""
        values = zip(sorted(names), self.compute(), strict=True)
        return {
            "classes": {names[number]: value for number, value in values},
            "batch": self.batch,
            "size": self.size,
            "n_batches": len(self.sums),
            "n_cases": self.cases,
            "about": ABOUT,
        }

    def _soft(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask of the wanted size, 0 to 1, interpolated as OpenCV does, no more."""
        if self.size is None:
            return mask.astype(np.float32)
        values = torch.from_numpy(mask.astype(np.float32))[None, None]
        return F.interpolate(values, self.size, mode="bilinear")[0, 0].numpy()
