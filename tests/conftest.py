"""What several test files share."""

import pytest
import torch


@pytest.fixture
def sweep_args():
    """Maker of `(x, w_ih, w_hh, b_ih, b_hh)` in float64, weights at GRU initial scale."""

    def make(*shape, seed=0):
        torch.manual_seed(seed)
        channels, taps = shape[-1], 3 ** (len(shape) - 3)
        cell = torch.nn.GRUCell(taps * channels, channels).double()
        return [torch.randn(shape).double(), *(p.detach() for p in cell.parameters())]

    return make


@pytest.fixture
def nan_in_fresh_memory():
    """Make torch fill uninitialised tensors with NaN, so that a cell never written shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
