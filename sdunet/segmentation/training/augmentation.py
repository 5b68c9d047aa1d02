"""Patches and augmentation for training. The one place that names MONAI's transforms."""

from collections.abc import Sequence

import numpy as np
from monai.transforms import (
    Compose,
    EnsureTyped,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
)
from monai.transforms.utils import generate_label_classes_crop_centers

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.planning.fit import THICK
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.training.sides import side_axis, sides_of

_BOTH = ("image", "label")
_ANGLE, _ZOOM = np.pi / 6, 0.25
_PLACES = 10_000


def places_of(label: np.ndarray, void: int | None = None) -> list[np.ndarray]:
    """Return some voxels of each class that is there, flat indices of a `(1, ...)` label.

    The number `void` is that of ignored voxels, around which no patch is drawn.
    """
    flat = np.asarray(label).ravel()
    random = np.random.default_rng(0)
    found = []
    for number in np.unique(flat):
        if number == void:
            continue
        cells = np.flatnonzero(flat == number)
        found.append(random.choice(cells, _PLACES) if len(cells) > _PLACES else cells)
    return found


def draw_patch(
    sizes: Sequence[int],
    patch_size: Sequence[int],
    places: Sequence[np.ndarray],
    foreground: float,
    random: np.random.RandomState,
) -> tuple[slice, ...]:
    """Draw where a patch lies: around a voxel of the background, or of any other class.

    Args:
        sizes: voxels of the scan along each axis.
        patch_size: of the patch; cut to the scan where that is smaller.
        places: of each class that is there, see `places_of`, the lowest number first.
        foreground: share of patches around classes other than the lowest, all alike.
        random: numbers to draw from.
    """
    others = len(places) - 1
    shares = [1 - foreground, *[foreground / others] * others] if others else [1.0]
    (centre,) = generate_label_classes_crop_centers(
        list(patch_size), 1, list(sizes), list(places), shares, random, allow_smaller=True
    )
    starts = [max(0, c - min(p, n) // 2) for c, p, n in zip(centre, patch_size, sizes, strict=True)]
    return tuple(slice(s, s + p) for s, p in zip(starts, patch_size, strict=True))


def pad_patch(patch: np.ndarray, patch_size: Sequence[int]) -> np.ndarray:
    """Enlarge `(C, ...)` values to a patch, with 0 on both sides: mean, or background."""
    missing = [p - n for p, n in zip(patch_size, patch.shape[1:], strict=True)]
    if not any(missing):
        return patch
    return np.pad(patch, [(0, 0), *((m // 2, m - m // 2) for m in missing)])


def augmentation(plan: Plan, config: TrainingConfig) -> Compose:
    """Return the random transforms of one patch, `{"image": (C, ...), "label": (1, ...)}`.

    Gives the same keys as tensors. Intensities are changed in units of their standard deviation,
    as they are after `zscore`.

    Raises:
        DataError: CONFIG_ROTATE if quarter turns would change the shape of a patch, CONFIG_FLIP
            for an axis that is not there; CONFIG_AUGMENTATION for turns or flips without any.
    """
    if config.augmentation == "none":
        if config.rotate or config.flip_axes:
            turns = f"rotate {config.rotate} and flip_axes {config.flip_axes}"
            found = f"training.augmentation none, and training.{turns}"
            raise DataError("CONFIG_AUGMENTATION", found, "leave them out, or take light")
        return Compose([EnsureTyped(_BOTH, track_meta=False)])
    size = plan.patch_size
    if config.rotate and size[0] != size[1]:
        raise DataError(
            "CONFIG_ROTATE",
            f"training.rotate turns {size}, whose first two axes are not equal",
            "set training.rotate to false, or dataset.patch_size to a square",
        )
    axes = flip_axes(plan, config)
    flips = [RandFlipd(_BOTH, prob=0.5, spatial_axis=axis) for axis in axes]
    turns = [RandRotate90d(_BOTH, prob=0.75, max_k=3)] if config.rotate else []
    full = config.augmentation == "full"
    return Compose(
        [
            EnsureTyped(_BOTH, track_meta=False),
            *([_warp(plan)] if full else []),
            *flips,
            *turns,
            *(_blurs(plan.spatial_dims) if full else []),
            RandScaleIntensityd("image", 0.25, prob=0.5),
            RandShiftIntensityd("image", 0.25, prob=0.5),
            RandGaussianNoised("image", prob=0.25, std=0.1),
            EnsureTyped(_BOTH, track_meta=False),
        ]
    )


def flip_axes(plan: Plan, config: TrainingConfig) -> tuple[int, ...]:
    """Return the spatial axes that are flipped: all, unless settings or names of classes say less.

    Raises:
        DataError: CONFIG_FLIP for an axis that is not there.
    """
    there = tuple(range(plan.spatial_dims))
    kept = {side_axis(plan)} if sides_of(plan) else set()
    usual = () if config.augmentation == "none" else tuple(a for a in there if a not in kept)
    axes = usual if config.flip_axes is None else config.flip_axes
    wrong = [axis for axis in axes if axis not in there]
    if wrong:
        raise DataError("CONFIG_FLIP", f"training.flip_axes {wrong}", "count axes from 0")
    return axes


def _warp(plan: Plan) -> RandAffined:
    """Rotate and zoom; across thick slices, that would invent what lies between them."""
    spacing = plan.spacing or (1.0,) * plan.spatial_dims
    angles = [_ANGLE] if plan.spatial_dims == 2 else [_ANGLE] * 3
    zooms = [_ZOOM] * plan.spatial_dims
    thick = int(np.argmax(spacing))
    if spacing[thick] >= THICK * min(spacing):
        angles = [_ANGLE if axis == thick else 0.0 for axis in range(3)]
        zooms[thick] = 0.0
    return RandAffined(
        _BOTH,
        prob=0.3,
        rotate_range=angles,
        scale_range=zooms,
        mode=("bilinear", "nearest"),
        padding_mode="border",  # for both: what the image repeats is what the label says of it
    )


def _blurs(spatial_dims: int) -> list:
    linear = {2: "bilinear", 3: "trilinear"}[spatial_dims]
    return [
        RandGaussianSmoothd("image", (0.5, 1.0), (0.5, 1.0), (0.5, 1.0), prob=0.1),
        RandSimulateLowResolutiond("image", prob=0.1, zoom_range=(0.5, 1.0), upsample_mode=linear),
        RandAdjustContrastd("image", prob=0.15, gamma=(0.7, 1.5), retain_stats=True),
    ]
