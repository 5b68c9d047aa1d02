"""Every network of the registry under the same arguments; matched controls; deep supervision."""

from typing import get_args

import pytest
import torch

from sdunet import NestedSDUNet, ResSDNLayer, SDUNet
from sdunet.layers import Sweep
from sdunet.nets.names import NetworkName
from sdunet.nets.registry import build_network, count_parameters
from sdunet.runtime.safetensors_io import read_weights, write_weights

FEATURES = {
    "basic_unet": (4, 6, 8, 10, 12),
    "basic_unet_plus_plus": (4, 6, 8, 10, 12),
    "segresnet": (8, 16, 32),
    "swin_unetr": (12,),
}
# In which a network with attention to windows of 7 cells comes to its end in reasonable time.
SIZES = [(37, 50), (17, 20, 11)]


def build(name, dims=2, **options):
    return build_network(name, dims, 2, 3, features=FEATURES.get(name, (4, 6, 8)), **options)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", get_args(NetworkName))
def test_every_network_takes_any_size_and_learns(name, sizes):
    torch.manual_seed(0)
    network = build(name, len(sizes), dropout=0.1)
    logits = network(torch.randn(1, 2, *sizes))
    assert logits.shape == (1, 3, *sizes)
    logits.square().mean().backward()
    unused = [key for key, p in network.named_parameters() if p.grad is None]
    assert not unused, unused


@pytest.mark.parametrize("name", get_args(NetworkName))
def test_every_network_can_be_kept(name, tmp_path):
    network, other = build(name), build(name)
    write_weights(tmp_path / "weights", network.state_dict())
    other.load_state_dict(read_weights(tmp_path / "weights"))
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", get_args(NetworkName))
def test_every_network_keeps_the_classes_and_cases_apart(name):
    torch.manual_seed(0)
    network = build(name).eval()
    first, second = torch.randn(2, 1, 2, 32, 48).unbind()
    with torch.no_grad():
        both = network(torch.cat([first, second]))
        torch.testing.assert_close(both[:1], network(first), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(both[0, 0], both[0, 1])


OURS = ("sdunet", "nested_sdunet", "unet", "unet_plus_plus")
SUPERVISED = (*OURS, "basic_unet_plus_plus", "dynunet")
TWINS = [("unet", "sdunet"), ("unet_plus_plus", "nested_sdunet")]


@pytest.mark.parametrize("name", SUPERVISED)
def test_deep_supervision_lists_logits_while_training_only(name):
    network = build_network(name, 2, 1, 2, features=(4, 6, 8, 10, 12), deep_supervision=True)
    x = torch.randn(1, 1, 50, 70)
    logits = network(x)
    assert len(logits) == 4
    assert logits[0].shape == (1, 2, 50, 70)
    halves = [(50, 70), (25, 35), (13, 18), (7, 9)]
    full = [(50, 70)] * 4
    assert [one.shape[2:] for one in logits] == (halves if name in ("sdunet", "unet") else full)
    sum(one.square().mean() for one in logits).backward()
    assert all(p.grad is not None for p in network.parameters())
    network.eval()
    assert network(x).shape == (1, 2, 50, 70)


def test_logits_in_training_and_after_are_of_the_same_stage():
    for name in SUPERVISED:
        network = build_network(name, 2, 1, 2, features=(4, 6, 8, 10, 12), deep_supervision=True)
        x = torch.randn(1, 1, 32, 48)
        torch.testing.assert_close(network(x)[0], network.eval()(x))


@pytest.mark.parametrize("name", ["attention_unet", "segresnet"])
def test_deep_supervision_is_refused_where_there_is_none(name):
    with pytest.raises(ValueError, match=f"{name} has no deep supervision"):
        build(name, deep_supervision=True)


def test_nested_network_sweeps_in_its_lower_scales():
    network = NestedSDUNet(2, 1, 2, (4, 6, 8, 10, 12))
    swept = {
        name
        for name, stage in network.stages.items()
        if any(isinstance(m, ResSDNLayer) for m in stage.modules())
    }
    assert swept == {"2_1", "2_2", "3_1"}
    network = NestedSDUNet(2, 1, 2, (4, 6, 8), sdn_encoder=(2,), sdn_decoder=())
    swept = [n for n, s in network.stages.items() if any(isinstance(m, Sweep) for m in s.modules())]
    assert swept == ["2_0"]


def test_every_stage_sees_its_level_before_it_and_the_one_below():
    network = NestedSDUNet(2, 1, 2, (4, 6, 8, 10)).eval()
    widths = {}
    for name, stage in network.stages.items():
        stage.register_forward_hook(
            lambda _, args, __, name=name: widths.__setitem__(name, args[0].shape[1])
        )
    network(torch.randn(1, 1, 16, 16))
    assert widths == {
        "0_0": 1, "1_0": 4, "2_0": 6, "3_0": 8,
        "0_1": 8, "1_1": 12, "2_1": 16,
        "0_2": 12, "1_2": 18,
        "0_3": 16,
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("cell", ["gru", "carry"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("name", "twin"), TWINS)
def test_control_is_its_twin_without_sweeps_and_can_be_as_large(name, twin, dims, cell):
    # Widths are whole numbers: of few channels a step of them is more than is allowed here.
    options = {"features": (16, 32, 64, 128), "num_features": 24, "cell": cell}
    network = build_network(twin, dims, 1, 2, **options)
    control = build_network(name, dims, 1, 2, **options)
    matched = build_network(name, dims, 1, 2, match_parameters=True, **options)
    assert not any(isinstance(m, Sweep) for one in (control, matched) for m in one.modules())
    assert count_parameters(control) < count_parameters(network)
    assert count_parameters(matched) == pytest.approx(count_parameters(network), rel=0.02)


def test_only_controls_are_matched():
    with pytest.raises(ValueError, match="match_parameters widens unet or unet_plus_plus, got 'sd"):
        build("sdunet", match_parameters=True)


def test_basic_networks_have_five_levels():
    with pytest.raises(ValueError, match="a basic network has 5 levels, features name 3"):
        build_network("basic_unet", 2, 1, 2, features=(4, 6, 8))


def test_networks_of_ours_refuse_the_same_nonsense():
    for kind in (SDUNet, NestedSDUNet):
        for wrong, message in (
            ({"features": (4,)}, "features must name at least two levels"),
            ({"num_features": (1, 2)}, "num_features must be one or 3 numbers"),
            ({"sdn_encoder": (3,)}, r"sdn_encoder levels must be in 0..2, got \[3\]"),
            ({"sdn_decoder": (2,)}, r"sdn_decoder levels must be in 0..1, got \[2\]"),
            ({"upsample": "cubic"}, "upsample must be one of"),
        ):
            with pytest.raises(ValueError, match=message):
                kind(2, 1, 2, **({"features": (4, 6, 8)} | wrong))
        with pytest.raises(ValueError, match="spatial_dims must be 2 or 3, got 4"):
            kind(4, 1, 2, (4, 6, 8))
        with pytest.raises(ValueError, match=r"x must be \(N, 1, ...\) with 2 spatial axes"):
            kind(2, 1, 2, (4, 6, 8))(torch.zeros(1, 2, 16, 16))
