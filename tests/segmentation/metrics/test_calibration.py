"""The calibration error is that of TorchMetrics, however the voxels are shared out to cases."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import BinaryCalibrationError

from sdunet.segmentation.metrics.calibration import BINS, Calibration


@pytest.mark.parametrize("sharp", [0.05, 0.5, 3.0])
def test_the_error_is_that_of_torchmetrics(sharp):
    random = np.random.default_rng(0)
    probabilities = random.beta(sharp, sharp, 3000)
    there = random.random(3000) < probabilities**1.5
    told = Calibration()
    for part in np.array_split(np.arange(3000), 4):
        told.update(probabilities[part], there[part])
    metric = BinaryCalibrationError(n_bins=BINS, norm="l1")
    want = metric(torch.from_numpy(probabilities), torch.from_numpy(there.astype(int)))
    assert told.compute() == pytest.approx(float(want), abs=1e-9)  # measured: below 1e-15
