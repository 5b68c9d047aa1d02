"""Patches and augmentation for training. The one place that names MONAI's transforms."""

from monai.transforms import (
    Compose,
    EnsureTyped,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
    SpatialPadd,
)

from data_prep.errors import DataError
from sdunet.segmentation.config import TrainingConfig

_BOTH = ("image", "label")


def training_transforms(patch_size: tuple[int, ...], config: TrainingConfig) -> Compose:
    """Return the random transforms of one `{"image": (C, ...), "label": (1, ...)}`.

    Gives a list of one patch of `patch_size` with the same keys, as tensors; MONAI's loader joins
    such lists. Scans smaller than the patch are padded, the label with background. Intensities
    are changed in units of their standard deviation, as they are after `zscore`.

    Raises:
        DataError: CONFIG_ROTATE if quarter turns would change the shape of a patch, CONFIG_FLIP
            for an axis that is not there.
    """
    if config.rotate and patch_size[0] != patch_size[1]:
        raise DataError(
            "CONFIG_ROTATE",
            f"training.rotate turns {patch_size}, whose first two axes are not equal",
            "set rotate to false, or dataset.patch_size to a square",
        )
    axes = range(len(patch_size)) if config.flip_axes is None else config.flip_axes
    wrong = [axis for axis in axes if axis not in range(len(patch_size))]
    if wrong:
        raise DataError("CONFIG_FLIP", f"training.flip_axes {wrong}", "count axes from 0")
    flips = [RandFlipd(_BOTH, prob=0.5, spatial_axis=axis) for axis in axes]
    turns = [RandRotate90d(_BOTH, prob=0.75, max_k=3)] if config.rotate else []
    return Compose(
        [
            EnsureTyped(_BOTH, track_meta=False),
            SpatialPadd(_BOTH, patch_size),
            RandCropByPosNegLabeld(
                _BOTH,
                "label",
                patch_size,
                pos=config.foreground,
                neg=1 - config.foreground,
                num_samples=1,
            ),
            *flips,
            *turns,
            RandScaleIntensityd("image", 0.25, prob=0.5),
            RandShiftIntensityd("image", 0.25, prob=0.5),
            RandGaussianNoised("image", prob=0.25, std=0.1),
            EnsureTyped(_BOTH, track_meta=False),
        ]
    )
