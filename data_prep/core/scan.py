"""What a reader returns, and what every reader shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings

_CACHE_LINE = 16  # voxels
UNNAMED = ("image",)  # the channels of a dataset that does not name them
SCANNER_CODES = (1, 1)  # both of NIfTI's transforms lead to the scanner's millimetres


class Segment(NamedTuple):
    """What a header says of one value of a label: its name, and the channel it is a value of."""

    name: str
    layer: int
    value: int


@dataclass(frozen=True)
class Scan:
    """Pixels with the place they have in the world.

    Attributes:
        array: `(C, H, W)` for 2D images, `(C, X, Y, Z)` for volumes, in the file's exact values,
            the last axis fastest in memory; an array in another order is copied into it.
        affine: voxel index to millimetres, `(4, 4)`, RAS+; `None` for 2D images.
        codes: NIfTI's `(qform_code, sform_code)`, to be written back as they were.
        segments: of a label whose header names its values.
        table: what a header calls values of a label, where that is no part of its format.
        two_axes: whether the file has two axes of space; `array` then has a third of one voxel.
        turned: the EXIF orientation by which a 2D image was turned upright, 1 for none.
    """

    array: np.ndarray
    affine: np.ndarray | None = None
    codes: tuple[int, int] = (0, 0)
    segments: tuple[Segment, ...] = ()
    two_axes: bool = False
    turned: int = 1
    table: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", in_order(self.array))

    @property
    def size(self) -> tuple[int, ...]:
        """Cells along each spatial axis."""
        return self.array.shape[1:]

    def holding(self, array: np.ndarray) -> "Scan":
        """Return other values `(C, ...)` at the same place."""
        return replace(self, array=array, segments=(), table={})

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Millimetres between voxels along each axis; `None` for 2D images."""
        if self.affine is None:
            return None
        return spacing_of(self.affine)


def in_order(array: np.ndarray, dtype: np.dtype | type | None = None) -> np.ndarray:
    """Return an array with the last axis fastest in memory, as a new one if it is not."""
    dtype = dtype or array.dtype
    if array.flags.c_contiguous:
        return np.asarray(array, dtype)
    out = np.empty(array.shape, dtype)
    # Of an array that lies the other way round, all at once fetches a cache line a voxel.
    for start in range(0, array.shape[-1], _CACHE_LINE):
        out[..., start : start + _CACHE_LINE] = array[..., start : start + _CACHE_LINE]
    return out


def spacing_of(affine: np.ndarray) -> tuple[float, ...]:
    """Return the millimetres between voxels along each axis of an affine."""
    return tuple(float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))


def flat_axis(size: tuple[int, ...]) -> int | None:
    """Return the axis of a volume that has one voxel, if it is the only one: it is a slice."""
    single = [axis for axis, count in enumerate(size) if count == 1]
    return single[0] if len(size) == 3 and len(single) == 1 else None


def times(size: tuple[int, ...]) -> str:
    """Write a size as `512x512x90`."""
    return "x".join(map(str, size))


def fit_channels(scan: Scan, channels: tuple[str, ...], findings: Findings | None = None) -> Scan:
    """Return the scan with as many channels as named, where that loses and invents nothing.

    Grey 2D images become three equal channels, colour 2D images of three equal channels become
    grey.

    Args:
        scan: `(C, ...)`.
        channels: their names.
        findings: a grey image that becomes colours is noted there.

    Raises:
        DataError: CH_COUNT if the number cannot be reached exactly.
    """
    array, wanted = scan.array, len(channels)
    if scan.affine is None and (len(array), wanted) == (1, 3):
        array = np.repeat(array, 3, axis=0)
        if findings is not None:
            findings.note("CH_GREY", "a grey image, taken as three equal channels")
    elif scan.affine is None and (len(array), wanted) == (3, 1) and (array == array[:1]).all():
        array = array[:1]
    if len(array) != wanted:
        raise DataError(
            "CH_COUNT",
            f"{len(array)} channels, expected {wanted} ({', '.join(channels)})",
            "give scans of the same channels, or prepare and train with dataset.channels to fit",
        )
    return scan.holding(array)
