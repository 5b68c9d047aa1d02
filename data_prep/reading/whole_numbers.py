"""Whole numbers that were rounded on their way through floating point; nothing else is one.

The one rule of all labels, references and predictions, whether they number classes or objects.
"""

import numpy as np

from data_prep.core.errors import DataError

# A hundred roundings of float32, as scaled headers and nearest neighbours leave; 0.999 is no 1.
_RELATIVE = 1e-5
_MOST = 1e-3
_EXACT = 1 << 53  # up to which float64 holds every whole number


def nearest_whole(values: np.ndarray) -> np.ndarray:
    """Return the whole numbers that values stand for, float64.

    Values may be off by a hundred-thousandth of themselves, or of 1 where they are smaller, and
    never by more than 0.001.

    Args:
        values: those that a label holds, each once, `(n,)`.

    Raises:
        DataError: LBL_NONFINITE for NaN or infinity, LBL_INTERPOLATED for values between whole
            numbers, LBL_UNKNOWN for whole ones that float64 does not hold.
    """
    if not np.isfinite(values).all():
        raise DataError("LBL_NONFINITE", "NaN or infinite label values", "export the label again")
    if values.dtype.kind in "iu" and values.size and int(values.max()) > _EXACT:
        found = f"a label value of {int(values.max())}"
        raise DataError("LBL_UNKNOWN", found, "save class numbers, which are below 65536")
    exact = values.astype(np.float64)
    whole = np.rint(exact)
    allowed = np.minimum(_RELATIVE * np.maximum(np.abs(whole), 1), _MOST)
    between = exact[np.abs(exact - whole) > allowed]
    if between.size:
        raise DataError(
            "LBL_INTERPOLATED",
            f"{len(values)} values such as {between[:3].tolist()}",
            "resample labels by nearest neighbour only; of probabilities give the class of the "
            "largest",
        )
    return whole
