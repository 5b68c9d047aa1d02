"""From a scan to the grid of a plan, and back; labels brought to the grid of their image."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
from monai.data.utils import compute_shape_offset, zoom_affine
from scipy import ndimage

from data_prep.core.chunked_stats import value_counts
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.geometry import SAME_PLACE, shear_of, voxels_apart
from data_prep.core.memory_limits import check_size
from data_prep.core.scan import Scan, flat_axis, in_order, spacing_of, times
from data_prep.core.scan_checks import check_same_grid
from data_prep.preprocessing.lost_classes import loss_of
from data_prep.preprocessing.resample import resample
from data_prep.preprocessing.resize import resized

# Below this relative difference, resampling would blur more than it moves.
_SAME_SPACING = 1e-3
_SKEW = 1e-3
_SMOOTHING = 0.6  # voxels: measured on balls, less keeps steps and more shrinks
_MAX_CELLS = 1 << 30


@dataclass(frozen=True)
class Grid:
    """The way from a scan's grid to the plan's: axes turned to RAS+, then resampled.

    2D images have no affine, and their axes stay; they may be brought to another size.

    Attributes:
        orientation: nibabel's orientation array of the scan; `None` for 2D images.
        turned_size: voxels along each axis after turning.
        turned_affine: affine after turning.
        size: voxels along each axis after resampling.
        affine: affine after resampling; the one before where nothing is resampled.
        flat: axis after turning, of one voxel, that the plan's arrays do not have; `size` neither.
    """

    orientation: np.ndarray | None
    turned_size: tuple[int, ...]
    turned_affine: np.ndarray | None
    size: tuple[int, ...]
    affine: np.ndarray | None
    flat: int | None = None

    @property
    def whole(self) -> tuple[int, ...]:
        """Voxels along each axis after resampling, with the one that is flat."""
        return self.size if self.flat is None else with_flat(self.size, self.flat, 1)

    @property
    def cell(self) -> float:
        """The size of a voxel before resampling: mm3, of single slices mm2, of 2D images pixels."""
        if self.turned_affine is None:
            return math.prod(self.size) / math.prod(self.turned_size)
        spacing = spacing_of(self.turned_affine)
        return math.prod(mm for axis, mm in enumerate(spacing) if axis != self.flat)

    @property
    def resamples(self) -> bool:
        """Whether values are interpolated on the way."""
        return self.affine is not self.turned_affine or self.whole != self.turned_size

    @property
    def affines(self) -> tuple[np.ndarray, np.ndarray]:
        """The affines after turning and after resampling, of a volume.

        Raises:
            ValueError: of a 2D image, which has none.
        """
        if self.turned_affine is None or self.affine is None:
            raise ValueError("a 2D image has no affine")
        return self.turned_affine, self.affine


def grid_of(
    scan: Scan, spacing: tuple[float, ...] | None, resize: tuple[int, int] | None = None
) -> Grid:
    """Work out the way from the grid of `scan` to `spacing` in millimetres.

    A spacing of two numbers is that of single slices, whose arrays have two axes.

    Args:
        scan: `(C, ...)`.
        spacing: of volumes; `None` to keep their own.
        resize: pixels along each axis to bring 2D images to; `None` to keep their own.

    Raises:
        DataError: CH_DIMS if a slice is wanted and `scan` is none; GEO_RESAMPLE if there would be
            no voxels or more than memory holds.
    """
    if scan.affine is None:
        if resize is not None:
            check_size(len(scan.array) * math.prod(resize), np.dtype(np.float32).itemsize)
        return Grid(None, scan.size, None, resize or scan.size, None)
    orientation = nib.io_orientation(scan.affine)
    turned_affine = scan.affine @ nib.orientations.inv_ornt_aff(orientation, scan.size)
    turned_size = tuple(int(n) for n in _turn(scan.array[:1], orientation).shape[1:])
    before = spacing_of(turned_affine)
    flat = None
    if spacing is not None and len(spacing) == 2:
        flat = flat_axis(turned_size)
        if flat is None:
            found = f"a volume {times(turned_size)}, where single slices are taken"
            raise DataError("CH_DIMS", found, "give single slices")
        spacing = with_flat(spacing, flat, before[flat])
    skew = shear_of(turned_affine) > _SKEW
    if not skew and (spacing is None or np.allclose(before, spacing, rtol=_SAME_SPACING, atol=0)):
        size = without_flat(turned_size, flat)
        return Grid(orientation, turned_size, turned_affine, size, turned_affine, flat)
    straight = _straightened(turned_affine) if skew else turned_affine
    affine = zoom_affine(straight, spacing or before, diagonal=False)
    size, offset = compute_shape_offset(turned_size, turned_affine, affine)
    affine[:3, 3] = offset
    cells = float(np.prod([float(n) for n in size]))
    if not 1 <= cells <= _MAX_CELLS:
        raise DataError(
            "GEO_RESAMPLE",
            f"{cells:.3g} voxels when resampled from {before} to {spacing} mm",
            "check the spacing of the scan, or prepare with another dataset.spacing",
        )
    check_size(len(scan.array) * int(cells), np.dtype(np.float32).itemsize)
    size = without_flat(tuple(int(n) for n in size), flat)
    return Grid(orientation, turned_size, turned_affine, size, affine, flat)


def without_flat(values: tuple, flat: int | None) -> tuple:
    """Return what there is for each axis of a volume without the one that is flat."""
    return tuple(value for axis, value in enumerate(values) if axis != flat)


def with_flat(values: tuple, flat: int, value: float) -> tuple:
    """Return what there is for each axis of a slice, with the value of the one that is flat."""
    return (*values[:flat], value, *values[flat:])


def _straightened(affine: np.ndarray) -> np.ndarray:
    """Return the affine with its axes at right angles, each turned as little as possible."""
    lengths = np.array(spacing_of(affine))
    left, _, right = np.linalg.svd(affine[:3, :3] / lengths)
    out = affine.copy()
    out[:3, :3] = left @ right * lengths
    return out


def to_grid(array: np.ndarray, grid: Grid, *, label: bool = False, ids: bool = False) -> np.ndarray:
    """Bring a `(C, ...)` array of the scan to the plan's grid; exact where nothing is resampled.

    Args:
        array: of the scan.
        grid: of the scan.
        label: whether values are class numbers: a voxel gets the one that covers most of it.
        ids: whether they are numbers of objects: a voxel gets the nearest.
    """
    if grid.orientation is not None:
        array = _turn(array, grid.orientation)
        if label or ids or not grid.resamples:
            array = in_order(array)
    if grid.resamples:

        def there(values: np.ndarray) -> np.ndarray:
            if grid.affine is None:
                return resized(values, grid.size)
            return resample(values, *grid.affines, grid.whole)

        def nearest(values: np.ndarray) -> np.ndarray:
            if grid.affine is None:
                return resized(values, grid.size, "nearest-exact")
            return resample(values, *grid.affines, grid.whole, "nearest")

        if ids:
            array = _exactly(array, nearest)
        else:
            array = _by_class(array, there) if label else there(array)
    return array if grid.flat is None else array.squeeze(1 + grid.flat)


def from_grid(array: np.ndarray, grid: Grid) -> np.ndarray:
    """Bring `(C, ...)` values on the plan's grid, such as probabilities, back to the scan's."""
    return turn_back(to_turned(array, grid), grid)


def to_turned(array: np.ndarray, grid: Grid) -> np.ndarray:
    """Bring `(C, ...)` values on the plan's grid to the scan's, its axes turned to RAS+."""
    if grid.flat is not None:
        array = np.expand_dims(array, 1 + grid.flat)
    if not grid.resamples:
        return array
    if grid.affine is None:
        return resized(array, grid.turned_size)
    turned, resampled = grid.affines
    return resample(array, resampled, turned, grid.turned_size)


def turn_back(array: np.ndarray, grid: Grid) -> np.ndarray:
    """Bring a `(C, ...)` array whose axes were turned to RAS+ back to the scan's own axes."""
    if grid.orientation is None:
        return array
    axes = nib.orientations.axcodes2ornt("RAS")
    back = nib.orientations.ornt_transform(axes, grid.orientation)
    return in_order(_turn(array, back))


def labels_from_grid(array: np.ndarray, grid: Grid) -> np.ndarray:
    """Bring a `(1, ...)` label on the plan's grid back to the scan's.

    Exact where nothing is resampled. Else each class is smoothed a little before, which puts a
    smooth surface between coarse voxels where it was, and not into one half of them.
    """
    if not grid.resamples:
        return from_grid(array, grid)

    def back(inside: np.ndarray) -> np.ndarray:
        smooth = (0, *[_SMOOTHING] * (inside.ndim - 1))
        return from_grid(ndimage.gaussian_filter(inside, smooth), grid)

    return _by_class(array, back)


def _turn(array: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Reorder and flip the spatial axes of a `(C, ...)` array."""
    moved = nib.orientations.apply_orientation(np.moveaxis(array, 0, -1), orientation)
    return np.moveaxis(moved, -1, 0)


def turned_to(on: Scan, other: Scan) -> Scan:
    """Return a scan with its axes turned to those of another one that has the very same voxels.

    Any other scan is returned as it is.
    """
    if on.affine is None or other.affine is None:
        return other
    orientation = nib.io_orientation(np.linalg.solve(on.affine, other.affine))
    if np.array_equal(orientation, [[0, 1], [1, 1], [2, 1]]):
        return other
    affine = other.affine @ nib.orientations.inv_ornt_aff(orientation, other.size)
    array = in_order(_turn(other.array, orientation))
    if array.shape[1:] != on.size or not voxels_apart(on.affine, affine, on.size) <= SAME_PLACE:
        return other
    return replace(other, array=array, affine=affine)


def fit_image(on: Scan, image: Scan, findings: Findings, what: str, where: str) -> Scan:
    """Return an image (named `what`) on the grid of another: as it is, or if accepted, resampled.

    Raises:
        DataError: GEO_SHAPE or GEO_AFFINE, unless accepted; always for 2D images, and for images
            that have no place in common.
    """
    image = _turned(on, image, findings, what, where)
    try:
        check_same_grid(on, image, what, where, findings)
        return image
    except DataError as error:
        if on.affine is None or image.affine is None:
            raise
        findings.ask(error.code, error.found, error.fix)
        code, fix = error.code, error.fix
    ones = np.ones((1, *image.size), np.uint8)
    beyond = int((_nearest(ones, image.affine, on.affine, on.size) == 0).sum())
    cells = math.prod(on.size)
    if beyond == cells:
        raise DataError(code, f"no voxel of the {where} lies in the {what}", fix)
    if beyond:
        found = f"{beyond} of {cells} voxels of the {where} ({beyond / cells:.0%}) lie beyond the "
        findings.warn(code, f"{found}{what}, whose border is repeated there", fix)
    array = resample(image.array, image.affine, on.affine, on.size)
    return on.holding(array)


def fit_label(
    image: Scan,
    label: Scan,
    findings: Findings,
    what: str = "label",
    on: str = "image",
    void: int | None = None,
) -> Scan:
    """Return a label on the grid of its image: as it is, or resampled where that is accepted.

    Axes in another order or direction are turned, where the voxels then lie on each other, and a 2D
    mask is laid on the only slice of a volume. What lies beyond the label is background; it may
    lose of the number `void`, that of ignored voxels, unsaid.

    Raises:
        DataError: GEO_SHAPE or GEO_AFFINE, unless accepted; always for 2D images. LBL_LOST if no
            class is left.
    """
    label = _turned_like(image, label, findings, what, on)
    try:
        check_same_grid(image, label, what, on, findings)
        return label
    except DataError as error:
        if image.affine is None or label.affine is None:
            raise
        findings.ask(error.code, error.found, error.fix)
    array = _nearest(label.array, label.affine, image.affine, image.size)
    if foreground(label.array, void).any() and not foreground(array, void).any():
        found = f"nothing of the {what} is left on the grid of the {on}"
        raise DataError("LBL_LOST", found, f"export the {what} on the grid of the {on}")
    after = dict(zip(*value_counts(array[0]), strict=True))
    image_there = _nearest(
        np.ones((1, *image.size), np.uint8), image.affine, label.affine, label.size
    )
    cut = dict(zip(*value_counts(label.array[image_there == 0]), strict=True))
    growth = abs(np.linalg.det(image.affine) / np.linalg.det(label.affine))
    for number, cells in zip(*value_counts(label.array[0]), strict=True):
        lost = loss_of(cells, after.get(number, 0), growth, cut.get(number, 0))
        if number and number != void and lost:
            found = f"class {number}: {lost} on the grid of the {on}"
            findings.warn("LBL_LOST", found, f"export the {what} on the grid of the {on}")
    return image.holding(array)


def foreground(label: np.ndarray, void: int | None) -> np.ndarray:
    """Return where a label is of a class, neither background nor of the number of the ignored."""
    return label != 0 if void is None else (label != 0) & (label != void)


def _turned_like(image: Scan, label: Scan, findings: Findings, what: str, on: str) -> Scan:
    """Return a label with its axes as those of the image, where it lies on the same voxels then."""
    on_slice = image.affine is not None and label.affine is None
    if on_slice and (*label.size[::-1], 1) == image.size:
        return image.holding(label.array.swapaxes(1, 2)[..., None])
    return _turned(image, label, findings, what, on)


def _turned(on: Scan, other: Scan, findings: Findings, what: str, where: str) -> Scan:
    turned = turned_to(on, other)
    if turned is not other:
        found = f"axes of the {what} are turned to those of the {where}; voxels are the same"
        findings.note("GEO_TURNED", found)
    return turned


def _nearest(
    array: np.ndarray, source: np.ndarray, target: np.ndarray, size: tuple[int, ...]
) -> np.ndarray:
    """Return the nearest value at each place of another grid; 0 where there is none."""

    def there(values: np.ndarray) -> np.ndarray:
        return resample(values, source, target, size, "nearest", "zeros")

    return _exactly(array, there)


def _exactly(array: np.ndarray, bring: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Take values of any type as they are, where `bring` takes each from one place, or gives 0.

    Each byte of them goes by itself: float32, in which it is brought, holds no large number.
    """
    parts = in_order(array)[..., None].view(np.uint8)  # (C, ..., bytes of a value)
    there = [bring(parts[..., n]).astype(np.uint8) for n in range(parts.shape[-1])]
    return np.stack(there, axis=-1).view(array.dtype)[..., 0]


def _by_class(array: np.ndarray, bring: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Resample each class by itself; the one that covers most of a voxel gets it."""
    first, *others = np.unique(array)
    most = bring((array == first).astype(np.float32))
    out = np.full(most.shape, first, array.dtype)
    for number in others:
        covered = bring((array == number).astype(np.float32))
        out[covered > most] = number
        most = np.maximum(most, covered)
    return out
