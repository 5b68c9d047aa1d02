"""Regions: sets of classes that may overlap, such as a tumour and its core, and how they are drawn.

Voxels have one class each. A region is where any of its classes is, and regions are painted over
each other in their order, which gives the classes again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Region:
    """Some classes that are looked for as one.

    Attributes:
        name: of the region.
        classes: numbers of its classes, sorted.
        painted: class that its voxels get, unless a later region is painted over them.
    """

    name: str
    classes: tuple[int, ...]
    painted: int

    @property
    def key(self) -> str:
        """What nnU-Net calls it in `summary.json`, such as `(1, 2, 3)`, or `3` for one class."""
        return str(self.classes if len(self.classes) > 1 else self.classes[0])

    @classmethod
    def from_json(cls, record: Mapping) -> "Region":
        """Rebuild it from what `json` made of it."""
        return cls(record["name"], tuple(record["classes"]), record["painted"])


def regions_from(told: Mapping[str, int | Sequence[int]]) -> tuple[Region, ...]:
    """Return regions, in the order in which they are painted, by what settings say of each.

    A region is painted as the class of it that no later region has; where there is none, or more
    than one, as the first that is listed.

    Examples:
        >>> [region.painted for region in regions_from({"tumour": [1, 2], "core": 2})]
        [1, 2]
    """
    sets = [(values,) if isinstance(values, int) else tuple(values) for values in told.values()]
    painted = []
    for place, classes in enumerate(sets):
        later = {number for others in sets[place + 1 :] for number in others}
        alone = [number for number in classes if number not in later]
        painted.append((alone or [*classes, 0])[0])
    return tuple(
        Region(name, tuple(sorted({*classes})), number)
        for name, classes, number in zip(told, sets, painted, strict=True)
    )


def as_settings(regions: Sequence[Region]) -> dict[str, int | tuple[int, ...]]:
    """Return what settings say of these regions: the class that is painted first."""
    return {
        one.name: (one.painted, *(number for number in one.classes if number != one.painted))
        for one in regions
    }


def targets_of(labels: Mapping[str, int], regions: tuple[Region, ...]) -> tuple[Region, ...]:
    """Return what is found and scored: the regions, or where there are none each class by itself.

    The background is none of them.
    """
    numbered = sorted((number, name) for name, number in labels.items() if number)
    return regions or tuple(Region(name, (number,), number) for number, name in numbered)


def inside(label: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Return where class numbers, of any shape, are any of some."""
    return label == classes[0] if len(classes) == 1 else np.isin(label, classes)


def masks_of(label: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    """Return where each region is in class numbers of any shape, truth values `(regions, ...)`."""
    return np.stack([inside(label, region.classes) for region in regions])


def paint(masks: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    """Return class numbers, uint16, of truth values `(regions, ...)`, painted over each other.

    Where no region is, is background. This is what nnU-Net does by `regions_class_order`.
    """
    label = np.zeros(masks.shape[1:], np.uint16)
    for mask, region in zip(masks, regions, strict=True):
        label[mask] = region.painted
    return label
