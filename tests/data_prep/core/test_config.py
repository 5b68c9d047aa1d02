"""Settings of data made in Python are held to what the command line takes."""

import numpy as np
import pytest

from data_prep.core.config import DataConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("intensity", "foo"),
        ("test_share", 1.5),
        ("test_share", 1),
        ("folds", 0),
        ("folds", 2.7),
        ("folds", True),
        ("folds", np.int64(3)),
        ("accept", ("GEO_X",)),
        ("accept", "GEO_NONE"),
        ("memory_gb", float("nan")),
        ("memory_gb", float("inf")),
        ("memory_gb", np.float64(4)),
        ("seed", -1),
        ("label_map", {1.9: 1}),
        ("spacing", (1,)),
        ("spacing", (0.0, 1, 1)),
        ("spacing", (-1.0, 1, 1)),
        ("spacing", (True, True, True)),
        ("patch_size", (0, 2)),
        ("channels", "CT"),
        ("group_pattern", 5),
    ],
)
def test_a_value_that_no_setting_can_have_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name} cannot be "):
        DataConfig(**{name: value})


def test_lists_and_whole_numbers_are_taken_for_what_they_are():
    config = DataConfig(spacing=[1, 2, 3.5], accept=["GEO_NONE"], folds=5, memory_gb=4)
    assert (config.spacing, config.accept) == ((1, 2, 3.5), ("GEO_NONE",))
