"""Settings of data made in Python are held to what the command line takes."""

import numpy as np
import pytest

from data_prep.core.config import DataConfig, check_once
from data_prep.core.errors import DataError
from sdunet.segmentation.config import NetworkConfig, TrainingConfig
from sdunet.vae.config import LadderConfig, VanillaConfig


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


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (DataConfig(channels=("t1", "t2", "t1")), "channels"),
        (NetworkConfig(sdn_encoder=(1, 2, 1)), "sdn_encoder"),
        (NetworkConfig(directions=("down", "up", "down")), "directions"),
        (TrainingConfig(flip_axes=(0, 0)), "flip_axes"),
        (LadderConfig(downsample_at=(5, 5)), "downsample_at"),
        (VanillaConfig(sdn_scales=(8, 8)), "sdn_scales"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_list_that_names_one_thing_twice_is_refused(settings, name):
    with pytest.raises(DataError, match=rf"^CONFIG_TWICE: section.{name} .* twice; name each once"):
        check_once("section", settings)


def test_equal_sizes_and_codes_are_no_thing_named_twice():
    check_once("dataset", DataConfig(patch_size=(8, 8), accept=("IO_LINK", "IO_LINK")))
    check_once("network", NetworkConfig(features=(8, 8, 8), num_features=(4, 4, 4)))
    for usual in (TrainingConfig(), LadderConfig(), VanillaConfig()):
        check_once("section", usual)
