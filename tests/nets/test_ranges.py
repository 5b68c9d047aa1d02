"""Numbers that no layer or network can have are refused where they are given, by their names."""

import numpy as np
import pytest

from sdunet.cells import CarryCell
from sdunet.layers import ResSDNLayer, SDNLayer, Sweep
from sdunet.nets.names import NetworkName
from sdunet.nets.registry import build_network
from sdunet.vae.models.ladder import LadderVAE
from sdunet.vae.models.likelihoods import build_likelihood
from sdunet.vae.models.vanilla import VanillaVAE

LAYER = {"in_channels": 2, "out_channels": 2, "num_features": 2}
WIDE = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "features": (12, 12, 12, 12, 12)}
WRONG = (0, -3, 1.5, True, "4", None)


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("name", [*LAYER, "kernel_size", "stride", "padding"])
@pytest.mark.parametrize("layer", [SDNLayer, ResSDNLayer])
def test_layers(layer, name, value):
    if name == "padding" and value == 0:
        layer(**LAYER, padding=0)
        return
    low = 0 if name == "padding" else 1
    with pytest.raises(ValueError, match=rf"^{name} must be a whole number from {low} on, got"):
        layer(**LAYER | {name: value})


def test_numbers_of_other_kinds_are_taken():
    SDNLayer(np.int64(2), 2, 2, (3, 3), padding=(1, 1))


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("cell", ["carry", "gru"])
def test_sweeps(cell, value):
    with pytest.raises(ValueError, match=r"^channels must be a whole number from 1 on, got"):
        Sweep(value, "right", cell=cell)


@pytest.mark.parametrize("groups", [0, -1, 3])
def test_groups_of_a_cell(groups):
    with pytest.raises(ValueError, match=r"^groups must "):
        CarryCell(4, 3, "reach", groups)


NETWORKS = NetworkName.__args__


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("in_channels", "out_channels") for value in WRONG),
        *(("features", (12, value, 12, 12, 12)) for value in WRONG),
        *(("dropout", value) for value in (-0.1, 1, 1.1, float("nan"))),
        ("spatial_dims", 1),
    ],
)
@pytest.mark.parametrize("network", NETWORKS)
def test_networks(network, name, value):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        build_network(network, **WIDE | {name: value})


@pytest.mark.parametrize("value", [*WRONG, (2, 2, 0, 2, 2)])
def test_features_that_are_swept(value):
    with pytest.raises(ValueError, match=r"^num_features must be "):
        build_network("sdunet", **WIDE, num_features=value)


def vanilla(channels=1, size=(16, 16), **arguments):
    return VanillaVAE(channels, size, build_likelihood("bernoulli", 1, 2), **arguments)


def ladder(channels=1, size=(8, 8), **arguments):
    arguments = {"depth": 2, "downsample_at": (1,), "h_channels": 4} | arguments
    return LadderVAE(channels, size, build_likelihood("bernoulli", 1, 2), **arguments)


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        *((vanilla, name, 0) for name in ("channels", "z_size")),
        (vanilla, "decoder_channels", (4, 4, 0, 4)),
        (vanilla, "size", (0, 16)),
        (ladder, "size", (0, 8)),
        *((ladder, n, 0) for n in ("channels", "depth", "z_channels", "h_channels")),
        *((ladder, n, -1) for n in ("context_channels", "sdn_features", "sdn_features_step")),
    ],
)
def test_networks_that_generate(make, name, value):
    make()
    with pytest.raises(ValueError, match=f"^{name} must be "):
        make(**{name: value})
