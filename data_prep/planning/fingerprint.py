"""What planning and comparing need to know of a case."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from data_prep.core.scan import flat_axis

_ACROSS = ("sagittal", "coronal", "axial")


Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Fingerprint:
    """What planning and comparing need to know of a case that can be used.

    Attributes:
        size: voxels along each axis, in RAS+ order.
        spacing: millimetres along each axis, in RAS+ order; `None` for 2D images.
        orientation: axes of the file, such as `LPS`; empty for 2D images.
        source: files that were read, with the SHA-256 of their content.
        voxels: how many each class has.
        median: median intensity of each channel.
        extent: 0.5 and 99.5 percentile of each channel.
        foreground: intensities of the foreground of each channel at even quantiles, `(C, n)`;
            empty without foreground.
        pixels_sha256: of the values alone, whatever the file.
        coarse: see `coarse_picture`.
        label_sha256: of the classes of all voxels; empty without foreground.
        largest: number of the type of its intensities; `None` for real numbers.
        held: numbers or names of structures in its label, before they are mapped to classes.
        two_axes: whether its file has two axes, and a place: then it is no volume.
        ignored: how many voxels are ignored.
        told: values of its label and what tables call them, see `Findings.told`.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    orientation: str
    source: dict[str, str]
    voxels: list[int]
    median: list[float]
    extent: list[tuple[float, float]]
    foreground: np.ndarray
    pixels_sha256: str
    coarse: np.ndarray
    label_sha256: str = ""
    largest: int | None = None
    held: frozenset[int | str] = frozenset()
    two_axes: bool = False
    ignored: int = 0
    told: frozenset[tuple[int, str]] = frozenset()

    def along(self, values: tuple[Number, ...], dims: int) -> tuple[Number, ...]:
        """Return what there is for each axis without the one across a slice, if `dims` is 2."""
        flat = flat_axis(self.size) if dims == 2 else None
        return tuple(value for axis, value in enumerate(values) if axis != flat)


def kinds_of(facts: Collection[Fingerprint]) -> list[str]:
    """Return what each case is, in the plural: of a dataset that is one kind alone.

    A volume of one slice is a single slice where most cases are, and a volume elsewhere.
    """
    flat = [None if f.spacing is None else flat_axis(f.size) for f in facts]
    single = sum(axis is not None for axis in flat)
    thick = sum(f.spacing is not None for f in facts) - single
    return [
        "2D images"
        if f.spacing is None
        else "volumes"
        if axis is None or (single <= thick and not f.two_axes)
        else f"single {_ACROSS[axis]} slices"
        for f, axis in zip(facts, flat, strict=True)
    ]
