"""Arrays as people look at them."""

import nibabel as nib
import numpy as np

from data_prep.files.png import array_to_png
from data_prep.preprocessing.grid import foreground

# None is a colour of the map of errors, or of what is ignored.
_CLASSES = (
    *("#ffd92f", "#00e5ff", "#ff7f00", "#f781bf", "#b2df8a", "#cab2d6"),
    *("#e31a1c", "#1f78b4", "#33a02c", "#6a3d9a", "#b15928", "#8dd3c7"),
)
IGNORED = "#ffffff"  # outline of what is ignored
_ENOUGH = 2_000_000  # voxels that tell the percentiles of an image


def class_colour(number: int) -> str:
    """Return the `#rrggbb` of a class: black for background; after twelve they begin again."""
    return "#000000" if number == 0 else _CLASSES[(int(number) - 1) % len(_CLASSES)]


def bytes_of_colour(number: int) -> tuple[int, int, int]:
    """Return red, green and blue of the colour of a class, 0 to 255 each."""
    red, green, blue = bytes.fromhex(class_colour(number)[1:])
    return red, green, blue


def turned(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn a `(C, X, Y, Z)` array so that its axes run to right, anterior and superior.

    Nothing is resampled: every voxel stays what it is. Returns the array and its affine.
    """
    orientation = nib.io_orientation(affine)
    last = nib.orientations.apply_orientation(np.moveaxis(array, 0, -1), orientation)
    back = nib.orientations.inv_ornt_aff(orientation, array.shape[1:])
    return np.moveaxis(last, -1, 0), affine @ back


def plane_of(array: np.ndarray, axis: int, index: int) -> np.ndarray:
    """Cut a `(..., X, Y, Z)` RAS+ array as radiologists look at it, `(..., H, W)`.

    Along axis 2 axial, 1 coronal, 0 sagittal. Up is anterior or superior; the patient's right is on
    the left, of sagittal planes anterior is.
    """
    plane = np.take(array, index, axis=axis - 3)
    return np.swapaxes(plane, -1, -2)[..., ::-1, ::-1]


def window_of(array: np.ndarray) -> tuple[float, float]:
    """Return the 0.5 and 99.5 percentiles of what is shown of a `(C, ...)` image.

    Of large images, those of some million voxels drawn at random, the same every time.
    """
    shown = _shown(array).ravel()
    if shown.size > _ENOUGH:
        shown = shown[np.random.default_rng(0).integers(shown.size, size=_ENOUGH)]
    shown = shown[np.isfinite(shown)]
    low, high = np.percentile(shown, (0.5, 99.5)) if shown.size else (0, 0)
    return float(low), float(high)


def to_colours(array: np.ndarray, window: tuple[float, float] | None = None) -> np.ndarray:
    """Stretch a `(C, H, W)` image to `(H, W, 3)` in 0..1, by default by its `window_of`.

    Three channels are taken as red, green, blue; of any other number the first is shown grey. NaN
    is black.
    """
    shown = np.nan_to_num(_shown(array))
    low, high = window or window_of(array)
    stretched = np.clip((shown.astype(np.float64) - low) / max(high - low, 1e-6), 0, 1)
    return np.moveaxis(np.broadcast_to(stretched, (3, *stretched.shape[1:])), 0, -1)


def _shown(array: np.ndarray) -> np.ndarray:
    return array if len(array) == 3 else array[:1]


def thumbnail(image: np.ndarray, label: np.ndarray, void: int | None = None) -> bytes:
    """Draw a prepared case, each class outlined in its colour; of a volume the fullest slice.

    Args:
        image: `(C, H, W)` or `(C, X, Y, Z)`.
        label: `(1, ...)` class numbers.
        void: number of what is ignored in it, outlined in white; `None` where nothing is.

    Returns:
        PNG bytes.
    """
    plane = label[0]
    if plane.ndim == 3:
        z = int(foreground(plane, void).sum((0, 1)).argmax())
        image, plane = plane_of(image, 2, z), plane_of(plane, 2, z)
    colours = (to_colours(image) * 255).astype(np.uint8)
    lines = outlines(plane)
    for number in np.unique(plane[lines]):
        colour = IGNORED if number == void else class_colour(int(number))
        colours[lines & (plane == number)] = tuple(bytes.fromhex(colour[1:]))
    return array_to_png(colours)


def outlines(label: np.ndarray) -> np.ndarray:
    """Return where a label `(H, W)` has another value above, below, left or right, as booleans."""
    return edges(label, 0) | edges(label, 1)


def edges(label: np.ndarray, axis: int) -> np.ndarray:
    """Return where a label, not the background, has another value before or behind on an axis."""
    found = np.zeros(label.shape, bool)
    along, differ = (
        np.moveaxis(found, axis, 0),
        np.moveaxis(np.diff(label, axis=axis) != 0, axis, 0),
    )
    along[:-1] |= differ
    along[1:] |= differ
    return found & (label != 0)
