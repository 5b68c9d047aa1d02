"""Arrays as people look at them."""

import io

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

_EDGE = np.array([215, 48, 31], np.uint8)


def axial_slice(array: np.ndarray, z: int) -> np.ndarray:
    """Cut slice `z` of a `(..., X, Y, Z)` RAS+ array as radiologists look at it, `(..., H, W)`.

    Anterior is up and the patient's right is on the left.
    """
    return np.swapaxes(array[..., z], -1, -2)[..., ::-1, ::-1]


def to_colours(array: np.ndarray) -> np.ndarray:
    """Stretch a `(C, H, W)` image to `(H, W, 3)` in 0..1, its 0.5 to 99.5 percentiles.

    Three channels are taken as red, green, blue; of any other number the first is shown grey.
    """
    shown = array if len(array) == 3 else array[:1]
    low, high = np.percentile(shown, (0.5, 99.5))
    stretched = np.clip((shown.astype(np.float64) - low) / max(high - low, 1e-6), 0, 1)
    return np.moveaxis(np.broadcast_to(stretched, (3, *stretched.shape[1:])), 0, -1)


def thumbnail(image: np.ndarray, label: np.ndarray) -> bytes:
    """Draw a prepared case, the outline of its label in red; of a volume the fullest slice.

    Args:
        image: `(C, H, W)` or `(C, X, Y, Z)`.
        label: `(1, ...)` class numbers.

    Returns:
        PNG bytes.
    """
    plane = label[0]
    if plane.ndim == 3:
        z = int((plane != 0).sum((0, 1)).argmax())
        image, plane = axial_slice(image, z), axial_slice(plane, z)
    colours = (to_colours(image) * 255).astype(np.uint8)
    colours[find_boundaries(plane, mode="inner")] = _EDGE
    picture = io.BytesIO()
    Image.fromarray(colours).save(picture, "PNG")
    return picture.getvalue()
