"""A whole scan through a network, window by window."""

import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from data_prep.errors import DataError


@torch.inference_mode()
def class_probabilities(
    network: nn.Module, image: Tensor, patch_size: tuple[int, ...], overlap: float
) -> Tensor:
    """Return the probability of each class at each cell, `(N, classes, ...)` float32.

    Windows of `patch_size` overlap and are blended with Gaussian weights; scans smaller than a
    window are padded and cropped again.

    Args:
        network: gives logits `(N, classes, ...)`.
        image: `(N, C, ...)`, normalised.
        patch_size: cells of a window along each axis.
        overlap: share of a window that its neighbour covers too, 0 to 1.

    Raises:
        DataError: PRED_NONFINITE if the network gives NaN or infinity.
    """
    logits = sliding_window_inference(
        image, patch_size, sw_batch_size=4, predictor=network, overlap=overlap, mode="gaussian"
    ).float()
    if not torch.isfinite(logits).all():
        # argmax would turn NaN into background without a word.
        raise DataError(
            "PRED_NONFINITE", "the network gives NaN or infinity", "train again, or in float32"
        )
    return logits.softmax(1)
