"""Levels that halve a patch more often than it can be are refused; one too many is not."""

from dataclasses import replace

import pytest

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.models.trained_model import network_for

PLAN = Plan(2, ("image",), {"background": 0, "disc": 1}, {}, "zscore", None, (16, 16))


@pytest.mark.parametrize("name", ["sdunet", "unet"])
def test_levels_that_make_most_of_a_patch_padding_are_refused(name):
    with pytest.raises(DataError, match=r"CONFIG_NETWORK: 12 levels pad each patch of 16 x 16 to "):
        network_for(NetworkConfig(name=name, features=(2,) * 12, num_features=2), PLAN)


@pytest.mark.parametrize(("levels", "patch"), [(5, (16, 16)), (6, (16, 16)), (5, (6, 40))])
def test_levels_that_pad_a_little_are_taken(levels, patch):
    config = NetworkConfig(features=(2,) * levels, num_features=2)
    assert network_for(config, replace(PLAN, patch_size=patch)).depth == levels
