"""Errors of networks name the settings that they are about as these are typed."""

import pytest

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from sdunet.nets.setting_names import as_typed
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.models.trained_model import network_for
from sdunet.vae.config import (
    ImagesConfig,
    LadderConfig,
    LikelihoodConfig,
    VAEConfig,
    VanillaConfig,
)
from sdunet.vae.model import build_vae

PLAN = Plan(2, ("a",), {"background": 0, "b": 1}, {}, "zscore", None, (32, 32))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"features": (4,)}, "network.features must name at least two levels"),
        ({"features": (4, 6), "sdn_decoder": (9,)}, "network.sdn_decoder levels must be"),
        ({"features": (4, 6), "sdn_encoder": (9,)}, "network.sdn_encoder levels must be"),
        ({"features": (4, 6), "num_features": (4,)}, "network.num_features must be one or 2"),
        ({"directions": ()}, "network.directions must name a sweep"),
        ({"dropout": 2.0}, "network.dropout must be from 0 to below 1"),
        ({"name": "basic_unet", "features": (4, 6)}, "a basic network has 5 levels, network.feat"),
        ({"match_parameters": True}, "network.match_parameters widens"),
        ({"features": (4, 6, 8), "directions": ("front",)}, "network.directions must be one of"),
    ],
)
def test_networks_name_their_settings(settings, told):
    with pytest.raises(DataError, match=f"^CONFIG_NETWORK: .*{told}"):
        network_for(NetworkConfig(**settings), PLAN)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ladder": LadderConfig(downsample_at=(99,))}, "ladder.downsample_at must be layers"),
        (
            {"ladder": LadderConfig(sdn_max_scale=32, sdn_features=9, sdn_directions=5)},
            "ladder.sdn_directions must be from 1",
        ),
        (
            {"model": "vanilla", "vanilla": VanillaConfig(sdn_scales=(3,))},
            "vanilla.sdn_scales must be among",
        ),
        (
            {"model": "vanilla", "images": ImagesConfig(size=(20, 20))},
            "images.size must be multiples of 16",
        ),
        (
            {"likelihood": LikelihoodConfig("bernoulli")},
            "likelihood.name bernoulli needs images.levels 2",
        ),
    ],
)
def test_density_models_name_their_settings(settings, told):
    with pytest.raises(DataError, match=f"^CONFIG_MODEL: .*{told}"):
        build_vae(VAEConfig(**settings))


def test_words_of_the_language_and_names_that_are_whole_stay():
    names = {"name": "network.name", "levels": "images.levels", "cell": "network.cell"}
    for text in ("each cell has a name", "network.name is images.levels", "sublevels"):
        assert as_typed(text, names) == text
    assert as_typed("cell must be one of", names) == "network.cell must be one of"
