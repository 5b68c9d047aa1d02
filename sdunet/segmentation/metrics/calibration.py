"""Whether probabilities are frequencies: of voxels given 0.8, eight in ten should be right."""

from dataclasses import dataclass, field

import numpy as np

BINS = 15


@dataclass
class Calibration:
    """Sums over voxels by the bin of their probability, of one class.

    Attributes:
        cells: how many.
        probabilities: sum of their probabilities.
        true: how many are of the class.
        cases: how often `update` was called.
    """

    cells: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    true: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))
    cases: int = 0

    def update(self, probabilities: np.ndarray, there: np.ndarray) -> None:
        """Add the voxels of a case.

        Args:
            probabilities: probability of the class, 0 to 1.
            there: whether the voxel is of the class, the same shape.
        """
        probabilities, there = probabilities.ravel(), there.ravel()
        # A bin holds its upper edge, as in the paper.
        bins = np.clip(np.ceil(probabilities * BINS).astype(np.intp) - 1, 0, BINS - 1)
        self.cases += 1
        self.cells += np.bincount(bins, minlength=BINS)
        self.probabilities += np.bincount(bins, probabilities, BINS)
        self.true += np.bincount(bins[there], minlength=BINS)

    def add(self, other: "Calibration") -> None:
        """Add the sums of other cases."""
        self.cases += other.cases
        self.cells += other.cells
        self.probabilities += other.probabilities
        self.true += other.true

    def compute(self) -> float | None:
        """Return the expected calibration error, 0 to 1; `None` without a voxel.

        The mean over voxels of the difference, in their bin, of mean probability and frequency.

        Reference:
            Guo et al., On calibration of modern neural networks, 2017.
        """
        total = int(self.cells.sum())
        return float(np.abs(self.probabilities - self.true).sum() / total) if total else None

    @property
    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean probability, frequency and number of voxels of each bin with any."""
        used = self.cells > 0
        cells = self.cells[used]
        return self.probabilities[used] / cells, self.true[used] / cells, cells
