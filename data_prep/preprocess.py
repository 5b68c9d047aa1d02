"""From a scan to the grid and intensities of a plan, and back. The one place that names MONAI."""

import warnings
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from monai.data import MetaTensor
from monai.data.utils import compute_shape_offset, zoom_affine
from monai.transforms import SpatialResample

from data_prep.config import Plan
from data_prep.errors import DataError
from data_prep.scan import Scan, spacing_of

# Below this relative difference, resampling would blur more than it moves.
_SAME_SPACING = 1e-3
_MAX_CELLS = 1 << 30


@dataclass(frozen=True)
class Grid:
    """The way from a scan's grid to the plan's: axes turned to RAS+, then resampled.

    Attributes:
        orientation: nibabel's orientation array of the scan; `None` for pictures.
        turned_size: cells along each axis after turning.
        turned_affine: affine after turning.
        size: cells along each axis after resampling.
        affine: affine after resampling; the one before where nothing is resampled.
    """

    orientation: np.ndarray | None
    turned_size: tuple[int, ...]
    turned_affine: np.ndarray | None
    size: tuple[int, ...]
    affine: np.ndarray | None

    @property
    def resamples(self) -> bool:
        """Whether values are interpolated on the way."""
        return self.affine is not self.turned_affine


def grid_of(scan: Scan, spacing: tuple[float, ...] | None) -> Grid:
    """Work out the way from the grid of `scan` to `spacing` in millimetres.

    Raises:
        DataError: GEO_RESAMPLE if there would be no voxels or more than memory holds.
    """
    if scan.affine is None:
        return Grid(None, scan.size, None, scan.size, None)
    orientation = nib.io_orientation(scan.affine)
    turned_affine = scan.affine @ nib.orientations.inv_ornt_aff(orientation, scan.size)
    turned_size = tuple(int(n) for n in _turn(scan.array[:1], orientation).shape[1:])
    before = spacing_of(turned_affine)
    if spacing is None or np.allclose(before, spacing, rtol=_SAME_SPACING, atol=0):
        return Grid(orientation, turned_size, turned_affine, turned_size, turned_affine)
    affine = zoom_affine(turned_affine, spacing, diagonal=False)
    size, offset = compute_shape_offset(turned_size, turned_affine, affine)
    affine[:3, 3] = offset
    cells = float(np.prod([float(n) for n in size]))
    if not 1 <= cells <= _MAX_CELLS:
        raise DataError(
            "GEO_RESAMPLE",
            f"{cells:.3g} voxels when resampled from {before} to {spacing} mm",
            "check the spacing of the scan, or give dataset.spacing",
        )
    return Grid(orientation, turned_size, turned_affine, tuple(int(n) for n in size), affine)


def to_grid(array: np.ndarray, grid: Grid, *, label: bool = False) -> np.ndarray:
    """Bring a `(C, ...)` array of the scan to the plan's grid; exact where nothing is resampled."""
    if grid.orientation is None:
        return array
    array = np.ascontiguousarray(_turn(array, grid.orientation))
    if not grid.resamples:
        return array
    mode = "nearest" if label else "bilinear"
    out = _resample(array, grid.turned_affine, grid.affine, grid.size, mode)
    return out.astype(array.dtype) if label else out


def from_grid(array: np.ndarray, grid: Grid) -> np.ndarray:
    """Bring `(C, ...)` values on the plan's grid, such as probabilities, back to the scan's."""
    if grid.orientation is None:
        return array
    if grid.resamples:
        array = _resample(array, grid.affine, grid.turned_affine, grid.turned_size, "bilinear")
    axes = nib.orientations.axcodes2ornt("RAS")
    back = nib.orientations.ornt_transform(axes, grid.orientation)
    return np.ascontiguousarray(_turn(array, back))


def intensity_of(array: np.ndarray, plan: Plan) -> tuple[list[float], list[float]]:
    """Return `(shift, scale)` for each channel of a `(C, ...)` array, see `normalise`.

    Args:
        array: values of the scan itself, before any resampling.
        plan: says which kind of intensity.

    Raises:
        DataError: INT_UNIT for real numbers, whose type has no largest number to divide by.
    """
    if plan.intensity == "unit":
        if array.dtype.kind not in "ui":
            raise DataError("INT_UNIT", f"{array.dtype} values for unit", "use intensity: zscore")
        return [0.0] * len(array), [float(np.iinfo(array.dtype).max)] * len(array)
    axes = tuple(range(1, array.ndim))
    shift = array.mean(axes, dtype=np.float64)
    scale = array.std(axes, dtype=np.float64)
    # A channel without contrast carries nothing; dividing by one keeps it at zero.
    return shift.tolist(), np.where(scale > 0, scale, 1.0).tolist()


def normalise(array: np.ndarray, shift: list[float], scale: list[float]) -> np.ndarray:
    """Return `(array - shift) / scale` of each channel, float32."""
    shape = (-1,) + (1,) * (array.ndim - 1)
    # In double precision: a large offset would swallow the differences in single.
    shifted = array.astype(np.float64) - np.reshape(shift, shape)
    return (shifted / np.reshape(scale, shape)).astype(np.float32)


def _turn(array: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Reorder and flip the spatial axes of a `(C, ...)` array."""
    moved = nib.orientations.apply_orientation(np.moveaxis(array, 0, -1), orientation)
    return np.moveaxis(moved, -1, 0)


def _resample(
    array: np.ndarray, source: np.ndarray, target: np.ndarray, size: tuple[int, ...], mode: str
) -> np.ndarray:
    image = MetaTensor(np.ascontiguousarray(array, np.float32), affine=source)
    resample = SpatialResample(mode=mode, padding_mode="border", dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own use of what torch deprecates
        out = resample(image, dst_affine=target, spatial_size=size)
    return out.numpy().astype(np.float32)
