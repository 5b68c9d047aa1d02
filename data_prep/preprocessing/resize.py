"""Whole 2D images brought to another size, for networks that see all of an image at once."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from data_prep.core.scan import in_order


def resized(array: np.ndarray, size: Sequence[int], mode: str = "bilinear") -> np.ndarray:
    """Interpolate a `(C, H, W)` array at the places of another size; returns float32.

    Bilinear, the borders of both images on each other. Where the image shrinks, each pixel is a
    weighted mean over all that lies around it, so that what is thinner than a pixel is not left out
    by chance.

    Args:
        array: values, such as intensities, probabilities or a mask of 0 and 1.
        size: pixels along each axis afterwards.
        mode: `bilinear`, or `nearest-exact` for the value of the pixel that is nearest.
    """
    values = torch.from_numpy(in_order(array, np.float32))[None]
    if size == array.shape[1:]:
        return values[0].numpy()
    smooth = mode == "bilinear"
    return F.interpolate(values, size, mode=mode, antialias=smooth)[0].numpy()
