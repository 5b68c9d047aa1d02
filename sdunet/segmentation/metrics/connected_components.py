"""Connected components of a mask."""

import numpy as np
from scipy import ndimage


def connected_components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the components of a mask, numbered from 1, and their voxels; corners connect."""
    numbered, _ = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim))
    return numbered, np.bincount(numbered.ravel())[1:]
