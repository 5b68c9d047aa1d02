"""Voxels of references that are ignored: no score counts what is predicted there."""

import numpy as np

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.scan import Scan
from sdunet.segmentation.metrics.arguments import without

ABOUT = (
    "voxels that references ignore are background in reference and prediction alike before "
    "surfaces and objects are found, and are left out of all counts of voxels"
)


def set_apart(reference: Scan, void: int | None) -> tuple[Scan, np.ndarray | None]:
    """Return a reference with background where it is ignored, and where that is, `(1, ...)`.

    Args:
        reference: class numbers, `(1, ...)`.
        void: number of ignored voxels; `None` where nothing is ignored.
    """
    if void is None:
        return reference, None
    ignored = reference.array == void
    return reference.holding(without(ignored, reference.array)[0]), ignored


def check_predicted(label: np.ndarray, rules: Rules) -> None:
    """Refuse a prediction of what is ignored.

    Raises:
        DataError: LBL_IGNORED.
    """
    if rules.void is not None and (count := int(np.count_nonzero(label == rules.void))):
        found = f"{count} voxels are predicted as {rules.ignored}, which is ignored in references"
        raise DataError("LBL_IGNORED", found, "predict a class everywhere")
