"""A plan as a file, to look at, to change by hand and to prepare by."""

import math
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from data_prep.core.config import DataConfig, Intensity, NetworkPlan, Plan
from data_prep.core.findings import Acceptance
from data_prep.core.parse import read_json, usable
from data_prep.files.atomic import write_json
from data_prep.planning.classes import classes_of
from data_prep.planning.fit import MOST_CELLS
from data_prep.planning.regions import check_regions
from data_prep.planning.splits import split_settings
from data_prep.preprocessing.instances import object_classes

_KEYS = [field.name for field in fields(Plan)]


def write_plan(path: str | Path, plan: Plan) -> None:
    """Write a plan as JSON."""
    write_json(path, asdict(plan))


def read_plan(path: str | Path) -> Plan:
    """Read a plan, and refuse what cannot be.

    Raises:
        DataError: PLAN_FILE, with what is wrong in it; as `plan_from`.
    """
    with usable("PLAN_FILE", path, "repair it, or write one by sdunet plan"):
        record = read_json(path)
        for key in record:
            if key not in _KEYS:
                close = get_close_matches(key, _KEYS, n=1, cutoff=0)
                raise ValueError(f"unknown key {key!r}; did you mean {close[0]!r}?")
        return plan_from(record)


def plan_from(record: dict) -> Plan:
    """Rebuild a plan from JSON, and refuse what cannot be.

    Raises:
        ValueError: with what is wrong in it; KeyError, TypeError or AttributeError where it is no
            plan at all.
        DataError: LBL_CLASSES for its classes, LBL_REGIONS for its regions.
    """
    plan = Plan.from_json(record)
    _check(plan)
    config = DataConfig(label_map=plan.label_map, structures=plan.structures)
    check_regions(plan.regions, classes_of(config, plan.labels, plan.ignored))
    return plan


def _check(plan: Plan) -> None:
    known = split_settings(DataConfig())
    if unknown := sorted(set(plan.split_by or {}) - set(known)):
        raise ValueError(f"split_by has no setting {unknown[0]!r}; it has {', '.join(known)}")
    DataConfig(**plan.split_by or {})  # refuses values that cannot be
    dims = plan.spatial_dims
    numbers = [*plan.labels.values(), *plan.label_map.values(), *plan.structures.values()]
    if not all(type(number) is int for number in numbers):
        raise ValueError(f"classes must be whole numbers, got {numbers}")
    if plan.ignored is not None and (
        type(plan.ignored) is not int or plan.ignored in plan.labels.values()
    ):
        raise ValueError(f"ignored must be a number of no class or null, got {plan.ignored!r}")
    name, learned = plan.instances, object_classes()
    if name is not None and (
        not isinstance(name, str) or [*plan.labels.values()] != [*learned.values()]
    ):
        raise ValueError(f"instances must be a name or null, with {learned}, got {name!r}")
    if not plan.channels or not all(isinstance(name, str) for name in plan.channels):
        raise ValueError(f"channels must be names, got {plan.channels}")
    unknown = [code for code in plan.accept if code not in get_args(Acceptance)]
    if unknown:
        raise ValueError(f"accept must hold codes that can be accepted, got {unknown[0]!r}")
    if type(dims) is not int or dims not in (2, 3):
        raise ValueError(f"spatial_dims must be 2 or 3, got {dims!r}")
    if plan.intensity not in get_args(Intensity):
        raise ValueError(f"intensity must be one of {get_args(Intensity)}, got {plan.intensity!r}")
    if plan.largest is not None and (type(plan.largest) is not int or plan.largest < 1):
        raise ValueError(f"largest must be a whole number above 0 or null, got {plan.largest!r}")
    patch = plan.patch_size
    if len(patch) != dims or not all(type(n) is int and n > 0 for n in patch):
        raise ValueError(f"patch_size must be {dims} whole numbers above 0, got {patch}")
    if math.prod(patch) > MOST_CELLS:
        raise ValueError(f"patch_size must have no more than {MOST_CELLS:,} voxels, got {patch}")
    numbers = plan.spacing is not None or dims == 3  # 2D images may have none
    spacing = plan.spacing or ()
    if numbers and not (len(spacing) == dims and all(map(_above_0, spacing))):
        raise ValueError(f"spacing must be {dims} numbers above 0, got {plan.spacing}")
    if (plan.intensity == "ct") != (plan.levels is not None):
        raise ValueError("levels must be given for intensity ct, and for no other")
    if plan.network is not None:
        _check_network(plan.network, dims)
    window, resize = plan.window, plan.resize
    if (plan.intensity == "window") != (window is not None):
        raise ValueError("window must be given for intensity window, and for no other")
    if window is not None and not (
        len(window) == 2 and all(map(_finite, window)) and window[0] < window[1]
    ):
        raise ValueError(f"window must be two numbers, the lowest first, got {window}")
    if resize is not None and not (
        dims == 2 == len(resize)
        and all(type(n) is int and n > 0 for n in resize)
        and math.prod(resize) <= MOST_CELLS
    ):
        raise ValueError(f"resize must be the pixels of 2D images along each axis, got {resize}")
    levels = plan.levels or ()
    if plan.levels is not None and len(levels) != len(plan.channels):
        raise ValueError(f"levels must be {len(plan.channels)}, one a channel, got {len(levels)}")
    seen = plan.seen
    bounds = [] if seen is None else [seen.low, seen.high, *zip(*seen.span, strict=True)]
    number = len(plan.channels)
    if seen and (
        len(bounds) != 4 or not all(len(b) == number and all(map(_finite, b)) for b in bounds)
    ):
        raise ValueError(f"seen must hold numbers of each channel, got {seen}")
    for level in levels:
        low, high, mean = level.low, level.high, level.mean
        if not (_above_0(level.deviation) and -math.inf < low < high < math.inf > abs(mean)):
            raise ValueError(f"levels need low below high and a deviation above 0, got {level}")


def _check_network(network: NetworkPlan, dims: int) -> None:
    depth = len(network.features)
    if depth < 2:
        raise ValueError(f"network.features must name at least two levels, got {network.features}")
    for name, sizes, count in (
        ("strides", network.strides, depth - 1),
        ("kernel_sizes", network.kernel_sizes, depth),
    ):
        if len(sizes) != count or any(len(size) != dims for size in sizes):
            raise ValueError(f"network.{name} must be {count} times {dims} numbers, got {sizes}")
    sizes = (*network.strides, *network.kernel_sizes, network.features, (network.batch_size,))
    if wrong := [n for size in sizes for n in size if type(n) is not int or n < 1]:
        raise ValueError(f"network must hold whole numbers above 0, got {wrong[0]!r}")


def _above_0(number: float) -> bool:
    return not isinstance(number, bool) and 0 < number < math.inf


def _finite(number: float) -> bool:
    return not isinstance(number, bool) and math.isfinite(number)
