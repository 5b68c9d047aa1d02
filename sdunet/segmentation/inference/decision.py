"""What is decided of probabilities: the label, and how uncertain it is."""

from collections.abc import Sequence

import numpy as np

from data_prep.core.values.regions import Region, paint

LIKELY = 0.5  # above which a voxel is in a region


def label_of(probabilities: np.ndarray, regions: Sequence[Region] = ()) -> np.ndarray:
    """Return class numbers, uint16.

    Args:
        probabilities: of each class, `(classes, ...)`, of which the largest decides; or of each
            region, `(regions, ...)`, which are painted over each other.
        regions: in the order in which they are painted; none for classes.
    """
    if not regions:
        return probabilities.argmax(0).astype(np.uint16)
    return paint(probabilities > LIKELY, regions)


def entropy_of(probabilities: np.ndarray, *, of_regions: bool = False) -> np.ndarray:
    """Return the entropy of probabilities `(classes, ...)`, 0 for certain, 1 for all alike.

    Of regions it is the mean of their own, 1 where each is as likely as not.
    """
    if of_regions:
        both = np.stack([probabilities, 1 - probabilities])
        return entropy_of(both).mean(0)
    terms = probabilities * np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    return np.clip(-terms.sum(0) / np.log(len(probabilities)), 0, 1)
