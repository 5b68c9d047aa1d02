"""The network that stands in for the one nnU-Net plans."""

import copy

import pytest
import torch

from sdunet import SDUNet
from sdunet.integrations.nnunet_network import planned_sdunet
from sdunet.layers import ResSDNLayer

UNET = "dynamic_network_architectures.architectures.unet"


def plan(axes, **changes):
    arguments = {
        "n_stages": 4,
        "features_per_stage": [4, 6, 8, 8],
        "kernel_sizes": [[1, *[3] * (axes - 1)], *[[3] * axes] * 3],
        "strides": [[1] * axes, [1, *[2] * (axes - 1)], [2] * axes, [2] * axes],
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    name = changes.pop("network", "PlainConvUNet")
    return {"network_class_name": f"{UNET}.{name}", "arch_kwargs": {**arguments, **changes}}


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("training", [True, False])
def test_levels_are_given_when_told_whether_training_or_not(axes, training):
    network = planned_sdunet(plan(axes), 2, 3, deep_supervision=True).train(training)
    image = torch.randn(2, 2, *[16] * axes)
    steps = [[1] * axes, [1, *[2] * (axes - 1)], [2, *[4] * (axes - 1)]]
    wanted = [(2, 3, *(16 // step for step in level)) for level in steps]
    levels = network(image)
    assert [tuple(level.shape) for level in levels] == wanted
    network.deep_supervision = False
    assert torch.equal(network(image), levels[0])


def test_weights_fit_whether_deep_supervision_is_on_or_not():
    first, second = (planned_sdunet(plan(2), 1, 2, on) for on in (True, False))
    saved = copy.deepcopy(first.state_dict())
    second.load_state_dict(saved)
    image = torch.randn(1, 1, 16, 16)
    assert torch.equal(first(image)[0], second(image))
    assert second.state_dict().keys() == saved.keys()


def test_heads_have_the_name_that_nnunet_leaves_behind():
    names = [name for name in planned_sdunet(plan(2), 1, 2, True).state_dict() if "head" in name]
    assert names == []
    network = planned_sdunet(plan(2), 1, 2, True)
    heads = {name for name in network.state_dict() if ".seg_layers." in name}
    assert len(heads) == 6


def test_widths_kernels_and_blocks_are_those_of_the_plan():
    network = planned_sdunet(plan(3, network="ResidualEncoderUNet"), 1, 2, True).network
    assert isinstance(network, SDUNet)
    assert [len(stage) for stage in network.encoder] == [1, 3, 4, 6]
    assert network.covered == [(1, 1, 1), (1, 2, 2), (2, 4, 4), (4, 8, 8)]
    plain = planned_sdunet(plan(3), 1, 2, True).network
    kernels = [stage[0].conv.kernel_size for stage in plain.encoder]
    assert kernels == [(1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)]
    sweeping = [isinstance(stage[1], ResSDNLayer) for stage in plain.decoder]
    assert sweeping == [False, True, True]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "Primus"}, "PlainConvUNet or ResidualEncoderUNet"),
        ({"strides": [[2, 2], [2, 2], [2, 2], [2, 2]]}, "full resolution first|start with a level"),
        ({"norm_op": "torch.nn.GroupNorm"}, "norm_op must be"),
        ({"nonlin": "torch.nn.Softplus"}, "nonlin must be"),
    ],
)
def test_plans_of_other_networks_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        planned_sdunet(plan(2, **changes), 1, 2, True)
