"""Regions that a `dataset.json` declares in place of classes, and the value that is ignored."""

from collections.abc import Mapping
from typing import Any

from data_prep.core.parse import once, whole
from data_prep.layouts.cases import Regions
from data_prep.planning.classes import is_ignore

_BACKGROUND = (0,)


def are_regions(labels: Mapping[str, Any]) -> bool:
    """Tell whether any of the labels is of several values; a list of one is that value."""
    return any(isinstance(values, list) and len(values) != 1 for values in labels.values())


def regions_of(described: Mapping[str, Any]) -> Regions | None:
    """Return the values of each region, where labels are declared so, and the ignored value.

    Raises:
        ValueError: if they are no numbers, or several values are ignored.
    """
    labels = described.get("labels") or {}
    if all(key.isdecimal() for key in labels):
        labels = once([(str(name), whole(number)) for number, name in labels.items()])
    told = {
        name: tuple(map(whole, values if isinstance(values, list) else [values]))
        for name, values in labels.items()
    }
    void = next((values for name, values in told.items() if is_ignore(name)), None)
    if void is not None and len(void) != 1:
        raise ValueError(f"one value is ignored, got {list(void)}")
    ignored = None if void is None else void[0]
    regions = {
        name: values
        for name, values in told.items()
        if not is_ignore(name) and {*values} != {*_BACKGROUND}
    }
    if ignored is not None and ignored in [n for values in regions.values() for n in values]:
        raise ValueError(f"value {ignored} is ignored, and of a class")
    if not are_regions(labels):
        return None if ignored is None else Regions({}, ignored)
    order = described.get("regions_class_order")
    if not isinstance(order, list | None):
        raise ValueError(f"regions_class_order must be a list, got {order!r:.60}")
    return Regions(regions, ignored, None if order is None else tuple(map(whole, order)))
