"""Whole scans through networks: slabs, mirrors, ensembles, and what is never a mask."""

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from data_prep.core.errors import DataError
from sdunet.segmentation.inference.sliding_window import WindowPredictor, class_probabilities, slabs

SIZES = [((50, 37), (16, 12)), ((16, 12), (16, 12)), ((5, 21), (8, 8)), ((30, 25, 20), (12, 16, 8)),
         ((3, 40, 5), (8, 8, 8))]  # fmt: skip


def network(classes=3, dims=2):
    """Answers that depend on where in a window a voxel lies, as of any network at borders."""
    torch.manual_seed(0)
    conv = torch.nn.Conv2d if dims == 2 else torch.nn.Conv3d
    return torch.nn.Sequential(
        conv(2, 4, 3, padding=1), torch.nn.Tanh(), conv(4, classes, 3, padding=1)
    )


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8])
@pytest.mark.parametrize(("sizes", "patch"), SIZES)
def test_slabs_are_what_monai_makes_of_the_whole(sizes, patch, overlap):
    net = network(dims=len(sizes)).eval()
    image = torch.randn(1, 2, *sizes)
    probabilities = WindowPredictor([net])
    parts = list(slabs(image[0].numpy(), probabilities, patch, overlap))
    with torch.inference_mode():
        whole = sliding_window_inference(image, patch, 3, probabilities, overlap, mode="gaussian")
    assert all(part.shape[1] for part in parts[:-1])
    np.testing.assert_allclose(np.concatenate(parts, 1), whole[0], rtol=1e-5, atol=1e-6)
    if overlap == 0.5 and sizes[0] > 2 * patch[0]:
        assert len(parts) > 2


def test_windows_are_prepared_before_they_are_padded():
    image = np.full((2, 5, 5), 7, np.int16)
    seen = []

    def probabilities(windows):
        seen.append(windows)
        return windows.softmax(1)

    list(slabs(image, probabilities, (8, 8), 0.5, lambda w: (w - 3).astype(np.float32)))
    assert set(np.unique(seen[0])) == {0, 4}


@pytest.mark.parametrize("sizes", [(16, 12), (12, 16, 8)])
def test_mirrored_looks_make_the_answer_turn_with_the_image(sizes):
    dims = len(sizes)
    flips = [(), (0,), (1,), (0, 1)]
    probabilities = WindowPredictor([network(dims=dims).eval()], flips)
    windows = torch.randn(2, 2, *sizes)
    turned = probabilities(windows.flip([2])).flip([2])
    torch.testing.assert_close(turned, probabilities(windows), rtol=0, atol=1e-5)
    alone = WindowPredictor([network(dims=dims).eval()])
    assert not torch.allclose(alone(windows.flip([2])).flip([2]), alone(windows), atol=1e-3)


def test_an_ensemble_is_the_mean_of_its_networks():
    nets = [network().eval() for _ in range(2)]
    torch.nn.init.normal_(nets[1][0].weight)
    x = torch.randn(1, 2, 16, 16)
    want = torch.stack([net(x).softmax(1) for net in nets]).mean(0)
    torch.testing.assert_close(WindowPredictor(nets)(x), want)


def test_a_network_that_gives_nan_is_no_mask():
    with pytest.raises(DataError, match="PRED_NONFINITE: the network gives NaN or infinity"):
        class_probabilities(lambda x: x * torch.nan, torch.ones(1, 2, 16, 16), (8, 8), 0.5)


def test_probabilities_sum_to_one_and_small_scans_are_padded():
    probabilities = class_probabilities(lambda x: x, torch.randn(1, 3, 5, 21), (8, 8), 0.5)
    assert probabilities.shape == (1, 3, 5, 21)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(1, 5, 21))
