"""What planning and comparing need to know of a case."""

from dataclasses import dataclass

import numpy as np


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
