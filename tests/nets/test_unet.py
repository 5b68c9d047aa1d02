"""The network's shapes, its control and its arguments."""

import pytest
import torch

from sdunet import NestedSDUNet, ResSDNLayer, SDNLayer, SDUNet
from sdunet.cells import CarryCell, GRUSweepCell
from sdunet.layers import Sweep
from sdunet.nets.registry import build_network


def count(network, kind):
    return sum(isinstance(m, kind) for m in network.modules())


@pytest.mark.parametrize("sizes", [(64, 64), (37, 50), (5, 3), (1, 1), (9, 10, 11), (1, 7, 16)])
@pytest.mark.parametrize("upsample", ["deconv", "nontrainable"])
def test_any_size_comes_back(sizes, upsample):
    network = SDUNet(len(sizes), 2, 3, (4, 6, 8, 10), num_features=2, upsample=upsample)
    assert network(torch.randn(2, 2, *sizes)).shape == (2, 3, *sizes)


@pytest.mark.parametrize(
    ("sizes", "inside"),
    [((16, 32), (16, 32)), ((4, 8), (4, 8)), ((5, 3), (8, 4)), ((4, 4), (4, 8)), ((1, 1), (4, 8))],
)
def test_only_sizes_that_do_not_divide_and_single_cells_are_padded(sizes, inside):
    network = SDUNet(2, 1, 2, (4, 6, 8), num_features=2)
    seen = []
    network.encoder[0].register_forward_hook(lambda _, args, __: seen.append(args[0].shape[2:]))
    network(torch.randn(1, 1, *sizes))
    assert seen == [torch.Size(inside)]


def test_network_and_control_drop_values_alike():
    drops = [
        {type(m) for m in SDUNet(2, 1, 2, (4, 6, 8), dropout=0.5, sdn_decoder=levels).modules()}
        for levels in ((), None)
    ]
    kinds = (torch.nn.Dropout, torch.nn.Dropout2d)
    assert drops[0] & set(kinds) == drops[1] & set(kinds) == {torch.nn.Dropout}


def test_by_default_the_decoder_below_full_resolution_sweeps():
    network = SDUNet(2, 1, 2, (4, 6, 8, 10))
    assert [count(stage, ResSDNLayer) for stage in network.decoder] == [0, 1, 1]
    assert [count(stage, SDNLayer) for stage in network.encoder] == [0, 0, 0, 0]


def test_levels_features_and_directions_are_taken_as_asked():
    network = SDUNet(
        3,
        1,
        2,
        (4, 6, 8),
        sdn_decoder=(0,),
        sdn_encoder=(2,),
        num_features=(3, 5, 7),
        directions=("down", "backward"),
        residual=False,
    )
    assert count(network, ResSDNLayer) == 0
    swept = [m for m in network.modules() if isinstance(m, Sweep)]
    assert [(m.channels, m.direction) for m in swept] == [
        (7, "down"),
        (7, "backward"),
        (3, "down"),
        (3, "backward"),
    ]


def test_control_is_the_same_network_without_sweeps():
    control = build_network("unet", 2, 1, 2, features=(4, 6, 8), num_features=3)
    network = build_network("sdunet", 2, 1, 2, features=(4, 6, 8), num_features=3)
    assert count(control, SDNLayer) == 0
    shared = {k: v.shape for k, v in control.state_dict().items() if "decoder.1.1." not in k}
    theirs = {k: v.shape for k, v in network.state_dict().items()}
    assert shared.items() <= theirs.items()


def test_every_parameter_is_trained_and_none_is_registered_twice():
    network = SDUNet(2, 1, 2, (4, 6, 8), num_features=3)
    network(torch.randn(1, 1, 16, 16)).square().sum().backward()
    # A bias before instance normalisation has no effect; rounding may leave an exact zero.
    assert all(p.grad is not None for p in network.parameters())
    state = network.state_dict()
    assert len({t.data_ptr() for t in state.values()}) == len(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_dims": 1}, r"spatial_dims must be 2 or 3, got 1"),
        ({"features": (4,)}, r"features must name at least two levels, got \(4,\)"),
        ({"sdn_decoder": (2,)}, r"sdn_decoder levels must be in 0\.\.1, got \[2\]"),
        ({"sdn_encoder": (0, 3)}, r"sdn_encoder levels must be in 0\.\.2, got \[3\]"),
        ({"num_features": (4, 4)}, r"num_features must be one or 3 numbers, got \(4, 4\)"),
        ({"cell": "lstm"}, r"cell must be one of \('gru', 'carry'\), got 'lstm'"),
        ({"init": "zeros"}, r"init must be one of \('reach', 'published'\), got 'zeros'"),
        (
            {"upsample": "cubic"},
            r"upsample must be one of .*, got 'cubic'",
        ),
    ],
)
def test_errors_name_the_argument_the_rule_and_the_value(arguments, message):
    given = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "features": (4, 6, 8)}
    with pytest.raises(ValueError, match=message):
        SDUNet(**(given | arguments))


@pytest.mark.parametrize("network", [SDUNet, NestedSDUNet])
@pytest.mark.parametrize(("cell", "kind"), [("gru", GRUSweepCell), ("carry", CarryCell)])
def test_the_cell_asked_for_sweeps(network, cell, kind):
    built = network(2, 1, 2, (4, 6, 8), num_features=3, cell=cell)
    cells = [m.cell for m in built.modules() if isinstance(m, Sweep)]
    assert cells
    assert all(isinstance(one, kind) for one in cells)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"x must be \(N, 1, \.\.\.\) with 2 spatial axes, got"):
        SDUNet(2, 1, 2, (4, 6))(torch.zeros(1, 3, 8, 8))


def test_unknown_network_is_named():
    with pytest.raises(ValueError, match=r"network must be one of .*'sdunet', .*, got 'vnet'"):
        build_network("vnet", 2, 1, 2, features=(4, 6))


ANISOTROPIC = {"strides": [(2, 2, 1), 2], "kernel_sizes": [(3, 3, 1), 3, 3]}


@pytest.mark.parametrize("name", ["sdunet", "nested_sdunet", "unet_plus_plus", "dynunet"])
@pytest.mark.parametrize("encoder", ["plain", "residual"])
def test_any_size_comes_back_from_networks_of_uneven_strides(name, encoder):
    network = build_network(
        name, 3, 1, 2, features=(4, 6, 8), num_features=2, encoder=encoder, **ANISOTROPIC
    ).eval()
    for sizes in [(8, 8, 5), (9, 6, 4), (1, 1, 1)]:
        assert network(torch.randn(1, 1, *sizes)).shape == (1, 2, *sizes)


def test_a_thin_axis_keeps_its_cells_where_its_stride_is_1():
    network = SDUNet(3, 1, 2, (4, 6, 8), num_features=2, **ANISOTROPIC)
    seen = []
    for stage in network.encoder:
        stage.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[2:])))
    network(torch.randn(1, 1, 16, 8, 6))
    assert seen == [(16, 8, 6), (8, 4, 6), (4, 2, 3)]


def test_slices_do_not_see_each_other_before_windows_do():
    """With kernels and strides of 1 along an axis, a plain network maps each slice on its own."""
    flat = {"strides": [(2, 2, 1)], "kernel_sizes": [(3, 3, 1)] * 2, "norm": ("group", {})}
    network = SDUNet(3, 1, 2, (4, 8), sdn_decoder=(), **flat | {"norm": "batch"}).eval()
    x = torch.randn(1, 1, 8, 8, 5)
    changed = x.clone()
    changed[..., 2] += 1
    differs = (network(x) != network(changed)).flatten(0, 3).any(0)
    assert differs.tolist() == [False, False, True, False, False]


def test_deep_supervision_follows_the_strides():
    network = SDUNet(3, 1, 2, (4, 6, 8), num_features=2, deep_supervision=True, **ANISOTROPIC)
    outs = network.train()(torch.randn(2, 1, 9, 8, 5))
    assert [tuple(out.shape[2:]) for out in outs] == [(9, 8, 5), (5, 4, 5)]


def test_a_residual_encoder_has_more_and_more_blocks():
    network = SDUNet(2, 1, 2, (4, 6, 8, 10, 12, 14), encoder="residual", sdn_encoder=(2,))
    assert [len(stage) for stage in network.encoder] == [1, 3, 3, 6, 6, 6]
    assert count(network.encoder[2], ResSDNLayer) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"strides": [2]}, "strides must be a list of 2"),
        ({"strides": 2}, "strides must be a list of 2"),
        ({"strides": [2, (2, 2)]}, "strides must be one number or 3, one an axis"),
        ({"strides": [2, 0]}, "strides must be a whole number from 1 on"),
        ({"kernel_sizes": [3, 3]}, "kernel_sizes must be a list of 3"),
        ({"kernel_sizes": [3, 2, 3]}, "kernel_sizes must be odd, got 2"),
        ({"encoder": "dense"}, "encoder must be one of"),
    ],
)
def test_shapes_of_levels_that_cannot_be_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        SDUNet(3, 1, 2, (4, 6, 8), **arguments)


def test_a_network_of_monai_that_has_no_strides_says_so():
    with pytest.raises(ValueError, match="attention_unet has no strides to choose"):
        build_network("attention_unet", 3, 1, 2, features=(4, 6, 8), strides=[2, 2])
