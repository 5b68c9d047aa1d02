"""Fit a plan to the training cases of a dataset."""

import math
from collections.abc import Sequence

import numpy as np

from data_prep.core.config import DataConfig, Intensity, Levels, Plan, Rules, Seen
from data_prep.core.errors import DataError
from data_prep.planning.fingerprint import Fingerprint, kinds_of
from data_prep.planning.memory import memory_of_device
from data_prep.planning.network import NEAR, fit_network

# Bounds of a patch along each axis, in voxels, by spatial dimensions; patches are planned in
# multiples of 16, which four halvings divide; of 8 along those of volumes that are at least
# twice as coarse as the finest, which are halved less often.
_PATCH = {2: (32, 512), 3: (16, 128)}
_STEP = 16
# What training keeps for a voxel of a patch: about 40 maps of 32 features at full size, forward
# and backward, and as much again at all coarser levels.
_BYTES_A_CELL = 4000
_BATCH = 2
THICK = 3.0  # times the other axes: from here on slices are thick, as nnU-Net has it
_CT_PERCENTILES = (0.5, 99.5)
MOST_CELLS = 1 << 28  # of a patch
_ENOUGH_CASES = 5  # of fewer, bounds would tell of single patients


def fit_plan(config: DataConfig, rules: Rules, facts: Sequence[Fingerprint]) -> Plan:
    """Choose what the user left open, from the facts of the training cases.

    Args:
        config: the user's decisions.
        rules: channels and classes.
        facts: of each training case.

    Raises:
        DataError: GEO_MIXED for 2D images or slices among volumes, PLAN_... for settings that
            cannot be.
    """
    kinds = sorted(set(kinds_of(facts)))
    if len(kinds) != 1:
        raise DataError("GEO_MIXED", f"{' and '.join(kinds)} in one dataset", "split the dataset")
    pictures = facts[0].spacing is None
    why: dict[str, str] = {}
    dims = 3 if kinds == ["volumes"] else 2
    sizes = np.array([fact.along(fact.size, dims) for fact in facts], float)
    spacing = None
    if config.resize is not None:
        _check_resize(config.resize, pictures=pictures)
        sizes = np.array([config.resize], float)
    if not pictures:
        spacings = np.array([fact.along(fact.spacing or (), dims) for fact in facts])
        if config.spacing and len(config.spacing) != dims:
            found = f"spacing {config.spacing} for {dims} axes"
            raise DataError("PLAN_SPACING", found, "give one length an axis")
        if dims == 2:
            why["spatial_dims"] = f"every case is one of {kinds[0]}"
        spacing = config.spacing or _spacing(spacings, sizes, why)
        sizes = sizes * spacings / spacing
        if dims == 3 and max(spacing) >= THICK * min(spacing):
            why["spatial_dims"] = (
                f"slices {max(spacing) / min(spacing):.1f} times thicker than wide: "
                "a network for 2D images, slice by slice, may do as well"
            )
    memory = config.memory_gb or memory_of_device()
    patch = config.patch_size or _patch(np.median(sizes, axis=0), spacing, memory, why)
    if len(patch) != dims or min(patch) < 1:
        raise DataError(
            "PLAN_PATCH", f"dataset.patch_size {patch} for {dims} axes", "give one an axis"
        )
    if math.prod(patch) > MOST_CELLS:
        raise DataError(
            "PLAN_PATCH", f"dataset.patch_size {patch}", f"give no more than {MOST_CELLS:,} voxels"
        )
    intensity = _intensity(config, rules, pictures, why)
    largest = {fact.largest for fact in facts}
    if intensity == "unit" and len(largest) > 1:
        found = f"types of images whose largest numbers are {sorted(map(str, largest))}"
        raise DataError("INT_UNIT", found, "save all images in one type")
    return Plan(
        dims,
        rules.channels,
        rules.labels,
        dict(rules.label_map),
        intensity,
        spacing,
        patch,
        why,
        dict(rules.structures),
        tuple(rules.accept),
        _levels(facts) if intensity == "ct" else None,
        _seen(facts, dims) if len(facts) >= _ENOUGH_CASES else None,
        rules.form,
        largest.pop() if len(largest) == 1 else None,
        fit_network(patch, spacing, memory * 1e9 / _BYTES_A_CELL / math.prod(patch), why),
        config.window,
        config.resize,
        rules.ignored,
        rules.instances,
        rules.regions,
    )


def _check_resize(size: tuple[int, int], *, pictures: bool) -> None:
    if not pictures:
        raise DataError("PLAN_RESIZE", f"resize {size} for volumes", "give dataset.spacing instead")
    if math.prod(size) > MOST_CELLS:
        raise DataError("PLAN_RESIZE", f"resize {size}", f"give no more than {MOST_CELLS:,} pixels")


def _spacing(spacings: np.ndarray, sizes: np.ndarray, why: dict[str, str]) -> tuple[float, ...]:
    target = np.median(spacings, axis=0)
    why["spacing"] = f"median of {len(spacings)} cases"
    thick, size = int(target.argmax()), np.median(sizes, axis=0)
    others = [axis for axis in range(len(target)) if axis != thick]
    # Few thick slices: the median would blur the finest of them over each other.
    if (
        len(target) == 3
        and target[thick] > THICK * target[others].max()
        and size[thick] * THICK < size[others].min()
    ):
        target[thick] = max(np.percentile(spacings[:, thick], 10), target[others].max())
        why["spacing"] += ", across thick slices the 10th percentile"
    return tuple(round(float(mm), 4) for mm in target)


def _patch(
    size: np.ndarray, spacing: Sequence[float] | None, memory_gb: float, why: dict[str, str]
) -> tuple[int, ...]:
    low, high = _PATCH[len(size)]
    steps = np.full(len(size), _STEP)
    if spacing and len(spacing) == 3:
        steps[np.array(spacing) >= NEAR * min(spacing)] //= 2
    least = low // _STEP * steps
    patch = np.clip(np.round(size / steps) * steps, least, high).astype(int)
    cells = memory_gb * 1e9 / _BYTES_A_CELL / _BATCH
    # The axis that keeps most of the scan gives way first.
    while patch.prod() > cells and (patch > least).any():
        axis = int(np.where(patch > least, patch / size, 0).argmax())
        patch[axis] -= steps[axis]
    fits = "within" if patch.prod() <= cells else "the smallest, which take more than"
    coarse = f", of {_STEP // 2} along coarse axes" if steps.min() < _STEP else ""
    why["patch_size"] = (
        f"median size {'x'.join(f'{n:.0f}' for n in size)} to the nearest multiple of {_STEP}"
        f"{coarse}, at most {high}, {_BATCH} at a time {fits} {memory_gb:g} GB"
    )
    return tuple(int(n) for n in patch)


def _intensity(config: DataConfig, rules: Rules, pictures: bool, why: dict[str, str]) -> Intensity:
    window = config.window
    if (config.intensity == "window") != (window is not None):
        found = f"intensity {config.intensity} and window {window}"
        fix = "give dataset.window with dataset.intensity window, and with no other"
        raise DataError("PLAN_WINDOW", found, fix)
    if window is not None and window[0] >= window[1]:
        raise DataError("PLAN_WINDOW", f"window {window}", "give the lowest number first")
    if config.intensity == "auto":
        hounsfield = not pictures and all(c.strip().lower() == "ct" for c in rules.channels)
        why["intensity"] = "channels called CT" if hounsfield else "not a CT"
        return "ct" if hounsfield else "zscore"
    if config.intensity == "ct" and pictures:
        raise DataError(
            "PLAN_INTENSITY", "dataset.intensity ct for 2D images", "use zscore or unit"
        )
    return config.intensity


def _seen(facts: Sequence[Fingerprint], dims: int) -> Seen:
    low, high = np.moveaxis(np.array([fact.extent for fact in facts]), -1, 0)  # (cases, C)
    spacing = None
    if facts[0].spacing is not None:
        along = np.transpose([fact.along(fact.spacing or (), dims) for fact in facts])
        spacing = tuple((float(axis.min()), float(axis.max())) for axis in along)
    return Seen(
        len(facts),
        tuple(low.min(0).tolist()),
        tuple(high.max(0).tolist()),
        tuple((float(span.min()), float(span.max())) for span in (high - low).T),
        spacing,
    )


def _levels(facts: Sequence[Fingerprint]) -> tuple[Levels, ...]:
    """Return the levels of each channel, every case with foreground counting the same."""
    pooled = np.concatenate([fact.foreground for fact in facts], axis=1).astype(np.float64)
    low, high = np.percentile(pooled, _CT_PERCENTILES, axis=1)
    clipped = np.clip(pooled, low[:, None], high[:, None])
    return tuple(
        Levels(float(a), float(b), float(mean), float(deviation) or 1.0)
        for a, b, mean, deviation in zip(low, high, clipped.mean(1), clipped.std(1), strict=True)
    )
