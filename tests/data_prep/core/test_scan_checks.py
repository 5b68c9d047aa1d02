"""What is refused of any scan, whatever file it came from."""

import warnings

import numpy as np
import pytest

from data_prep.core.errors import DataError
from data_prep.core.scan import Scan
from data_prep.core.scan_checks import check_image


def test_half_precision_is_taken_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_image(Scan(np.linspace(-60000, 60000, 24, dtype=np.float16).reshape(1, 4, 6)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_beyond_any_scale_are_refused(dtype):
    with pytest.raises(DataError, match=r"INT_RANGE: values up to 1e\+31"):
        check_image(Scan(np.array([[[0, 1e31]]], dtype)))
