"""A small rendered image set of known factors, to measure disentanglement by."""

import itertools

import numpy as np

FACTORS = ("shape", "colour", "size", "x", "y")
_SIDE = 32
_COLOURS = ((255, 80, 80), (90, 220, 90), (90, 120, 255), (250, 220, 80))
_RADII = (3, 5)
_PLACES = (6, 10, 14, 18, 22, 25)
SIZES = (2, len(_COLOURS), len(_RADII), len(_PLACES), len(_PLACES))


def render_factors() -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Render every combination of factors once: a square or a disc on a dark ground.

    Returns:
        Images `(N, 3, 32, 32)`, uint8; the index of each factor, `(N, 5)`, int64, in the order of
        `FACTORS`; and how many values each factor has.
    """
    factors = np.array(list(itertools.product(*map(range, SIZES))))
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    images = np.full((len(factors), 3, _SIDE, _SIDE), 20, np.uint8)
    for image, (shape, colour, size, x, y) in zip(images, factors, strict=True):
        across, down = np.abs(columns - _PLACES[x]), np.abs(rows - _PLACES[y])
        radius = _RADII[size]
        if shape == 0:
            inside = np.maximum(across, down) <= radius
        else:
            inside = across**2 + down**2 <= radius**2
        image[:, inside] = np.array(_COLOURS[colour], np.uint8)[:, None]
    return images, factors, SIZES
