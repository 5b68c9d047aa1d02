"""Fit a plan to the cases of a dataset."""

import numpy as np

from data_prep.config import DataConfig, Plan
from data_prep.errors import DataError

# Bounds of a patch along each axis, in cells, by spatial dimensions; patches are planned in
# multiples of 16, which four halvings divide.
_PATCH = {2: (32, 256), 3: (16, 96)}


def classes_of(config: DataConfig, declared: dict[str, int] | None) -> dict[str, int]:
    """Return class names to numbers: the user's, else the dataset's, else two.

    Raises:
        DataError: LBL_CLASSES if they are not numbered 0, 1, ... with background at 0.
    """
    labels = config.labels or declared or {"background": 0, "foreground": 1}
    if sorted(labels.values()) != list(range(len(labels))) or len(labels) < 2:
        raise DataError(
            "LBL_CLASSES", f"classes {labels}", "number them 0, 1, ... with the background at 0"
        )
    mapped = {*config.label_map.values(), *config.structures.values()}
    wrong = mapped - set(labels.values())
    if wrong:
        raise DataError(
            "LBL_CLASSES",
            f"label_map or structures lead to {sorted(wrong)}",
            "map to declared classes only",
        )
    return dict(labels)


def fit_plan(
    config: DataConfig,
    labels: dict[str, int],
    channels: tuple[str, ...],
    sizes: list[tuple[int, ...]],
    spacings: list[tuple[float, ...] | None],
) -> Plan:
    """Choose what the user left open, from the sizes and spacings of the cases.

    Args:
        config: the user's decisions.
        labels: class names to numbers.
        channels: names of the channels.
        sizes: cells along each axis of each case, axes in RAS+ order.
        spacings: millimetres along each axis of each case; `None` for pictures.

    Raises:
        DataError: GEO_MIXED for pictures among volumes, PLAN_PATCH for a patch that does not fit.
    """
    kinds = {(len(size), spacing is None) for size, spacing in zip(sizes, spacings, strict=True)}
    if len(kinds) != 1:
        raise DataError("GEO_MIXED", "pictures and volumes in one dataset", "split the dataset")
    dims, pictures = kinds.pop()
    why = {}
    spacing = config.spacing
    if pictures:
        spacing = None
    elif spacing is None:
        spacing = tuple(round(float(mm), 4) for mm in np.median(spacings, axis=0))
        why["spacing"] = f"median of {len(spacings)} cases"
    if spacing is not None and min(spacing) <= 0:
        raise DataError("PLAN_SPACING", f"spacing {spacing} mm", "give numbers above 0")
    patch = config.patch_size
    if patch is None:
        size = np.median(sizes, axis=0)
        if spacing is not None:
            size = size * np.median(spacings, axis=0) / spacing
        low, high = _PATCH[dims]
        patch = tuple(int(np.clip(n // 16 * 16, low, high)) for n in size)
        why["patch_size"] = (
            f"median size {'x'.join(f'{n:.0f}' for n in size)} in multiples of 16, {low} to {high}"
        )
    if len(patch) != dims or min(patch) < 1:
        raise DataError("PLAN_PATCH", f"patch_size {patch} for {dims} axes", "give one an axis")
    return Plan(
        dims,
        channels,
        labels,
        dict(config.label_map),
        config.intensity,
        spacing,
        patch,
        why,
        dict(config.structures),
        tuple(config.accept),
    )
