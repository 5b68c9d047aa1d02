"""Values of an array at the places of another grid. The one place that names MONAI's transforms."""

import warnings

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample

from data_prep.core.scan import in_order

_PLACES = 1 << 20


def resample(
    array: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    size: tuple[int, ...],
    mode: str = "bilinear",
    padding: str = "border",
) -> np.ndarray:
    """Interpolate a `(C, ...)` array at the places of another grid; returns float32.

    Args:
        array: values.
        source: affine of their grid.
        target: affine of the other grid.
        size: voxels of the other grid along each axis.
        mode: `bilinear` (in all axes) or `nearest`.
        padding: what lies beyond the border: `border` repeats it, `zeros` is 0.
    """
    image = MetaTensor(in_order(array, np.float32), affine=torch.as_tensor(source))
    transform = SpatialResample(mode=mode, padding_mode=padding, dtype=np.float32)
    out = np.empty((len(array), *size), np.float32)
    # Some planes at a time: the places of all voxels take more memory than the scan.
    planes = max(1, _PLACES // int(np.prod(size[1:])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own use of what torch deprecates
        for start in range(0, size[0], planes):
            there = target @ nib.affines.from_matvec(np.eye(3), (start, 0, 0))
            part = (min(planes, size[0] - start), *size[1:])
            out[:, start : start + planes] = transform(image, dst_affine=there, spatial_size=part)
    return out
