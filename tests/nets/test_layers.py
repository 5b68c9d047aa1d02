"""Directions, shapes and the authors' weight names of the SDN layers."""

import copy
import itertools

import pytest
import torch
from torch import nn

from sdunet import ResSDNLayer, SDNLayer
from sdunet.layers import Sweep, from_reference_state_dict

FLIPPED = {"right": ("left", -1), "down": ("up", -2), "forward": ("backward", -3)}
ALL = ("right", "left", "down", "up", "forward", "backward")


every_cell = pytest.mark.parametrize("cell", ["gru", "carry"])


def same_weights(sweep, direction, cell):
    other = Sweep(sweep.channels, direction, sweep.spatial_dims, cell=cell)
    other.load_state_dict(sweep.state_dict())
    return other


@every_cell
@pytest.mark.parametrize("direction", FLIPPED)
def test_opposite_direction_is_the_flipped_sweep(direction, cell):
    opposite, axis = FLIPPED[direction]
    sweep = Sweep(2, direction, 3, cell=cell)
    x = torch.randn(1, 2, 3, 4, 5)
    want = same_weights(sweep, opposite, cell)(x.flip(axis)).flip(axis)
    torch.testing.assert_close(sweep(x), want)


@every_cell
def test_down_is_right_on_the_transposed_map(cell):
    sweep = Sweep(3, "right", cell=cell)
    x = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(same_weights(sweep, "down", cell)(x.mT).mT, sweep(x))


@every_cell
@pytest.mark.parametrize("direction", ALL)
def test_a_sweep_runs_along_its_axis_from_its_first_line(direction, cell):
    x = torch.randn(1, 2, 3, 4, 5, requires_grad=True)
    sweep = Sweep(2, direction, 3, cell=cell)
    y = sweep(x)
    values = torch.einsum("oc,nc...->no...", sweep.cell.weight[-2:], x) if cell == "carry" else x
    axis = ALL.index(direction) // 2
    first, last = (0, -1) if direction in FLIPPED else (-1, 0)
    lines = y.detach().movedim(-1 - axis, 0), values.detach().movedim(-1 - axis, 0)
    torch.testing.assert_close(lines[0][first], lines[1][first])
    (grad,) = torch.autograd.grad(y.movedim(-1 - axis, 0)[last].sum(), x)
    assert (grad.movedim(-1 - axis, 0).flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize("layer", [SDNLayer, ResSDNLayer])
@pytest.mark.parametrize("sizes", [(5, 8), (1, 1), (6, 4)])
@pytest.mark.parametrize("arguments", [(3, 1, 1), (4, 2, 1), (1, 1, 0), (5, 1, 2)])
def test_takes_the_place_of_a_convolution(layer, arguments, sizes):
    x = torch.randn(2, 3, *sizes)
    if min(sizes) + 2 * arguments[2] < arguments[0]:
        with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
            layer(3, 7, 4, *arguments)(x)
        return
    assert layer(3, 7, 4, *arguments)(x).shape == nn.Conv2d(3, 7, *arguments)(x).shape


@pytest.mark.parametrize("layer", [SDNLayer, ResSDNLayer])
def test_upsampling_and_volumes_follow_the_transposed_convolution(layer):
    x = torch.randn(1, 3, 2, 4, 3)
    enlarge = layer(3, 5, 4, 4, 2, 1, upsample=True, spatial_dims=3, directions=ALL)
    assert enlarge(x).shape == nn.ConvTranspose3d(3, 5, 4, 2, 1)(x).shape


@every_cell
def test_every_output_cell_depends_on_every_input_cell(cell):
    torch.manual_seed(0)
    x = torch.randn(1, 1, 6, 9, dtype=torch.float64, requires_grad=True)
    y = SDNLayer(1, 1, 4, cell=cell).double()(x)
    for place in (y[0, 0, 0, 0], y[0, 0, 5, 8], y[0, 0, 3, 4]):
        (grad,) = torch.autograd.grad(place, x, retain_graph=True)
        assert (grad != 0).all()


def test_residual_gate_one_is_the_convolution_and_gate_zero_the_sweep():
    layer, x = ResSDNLayer(2, 3, 4), torch.randn(1, 2, 5, 6)
    for bias, want in ((40.0, layer.conv(x)), (-40.0, layer.sdn(x)[:, :3])):
        with torch.no_grad():
            layer.sdn.project_out.bias[3:] = bias
        torch.testing.assert_close(layer(x), want)


def test_layers_can_be_copied():
    layer, x = ResSDNLayer(2, 3, 4), torch.randn(1, 2, 5, 6)
    torch.testing.assert_close(copy.deepcopy(layer)(x), layer(x))


def authors_state(in_channels, out_channels, features, directions):
    """Random weights under the names of the published code."""
    torch.manual_seed(3)
    state = {}
    for stage, conv in {
        "project_in_stage": nn.Conv2d(in_channels, features, 3),
        "project_out_stage": nn.Conv2d(features, out_channels, 1),
    }.items():
        state |= {f"{stage}.{name}": p.detach() for name, p in conv.named_parameters()}
    for i in range(len(directions)):
        cell = nn.GRUCell(3 * features, features)
        for name, p in cell.named_parameters():
            state[f"sdn_correction_stage.{i}.cell.gru.{name}"] = p.detach()
    return state


def authors_layer(x, state, directions):
    """The published update rule on a square map, from its description: cell by cell, no library."""
    x = torch.tanh(
        nn.functional.conv2d(
            x, state["project_in_stage.weight"], state["project_in_stage.bias"], padding=1
        )
    )
    side = x.shape[-1]
    zero = torch.zeros_like(x[..., 0, 0])
    for i, direction in enumerate(directions):
        name = f"sdn_correction_stage.{i}.cell.gru."
        w_ih, w_hh = state[name + "weight_ih"], state[name + "weight_hh"]
        b_ih, b_hh = state[name + "bias_ih"], state[name + "bias_hh"]
        vertical, reverse = direction in ("down", "up"), direction in ("left", "up")
        order = list(range(side))[:: -1 if reverse else 1]
        grid = x.mT.clone() if vertical else x.clone()  # always swept along the last axis
        for before, line in itertools.pairwise(order):
            new_line = []
            for j in range(side):
                above = [
                    grid[:, :, k, before] if 0 <= k < side else zero for k in (j - 1, j, j + 1)
                ]
                a = torch.cat(above, 1) @ w_ih.T + b_ih
                c = grid[:, :, j, line] @ w_hh.T + b_hh
                (ar, az, an), (cr, cz, cn) = a.chunk(3, 1), c.chunk(3, 1)
                z = torch.sigmoid(az + cz)
                n = torch.tanh(an + torch.sigmoid(ar + cr) * cn)
                new_line.append((1 - z) * n + z * grid[:, :, j, line])
            grid[:, :, :, line] = torch.stack(new_line, 2)
        x = grid.mT if vertical else grid
    return nn.functional.conv2d(
        x, state["project_out_stage.weight"], state["project_out_stage.bias"]
    )


@pytest.mark.parametrize("directions", [("right", "left", "down", "up"), ("up", "right")])
def test_authors_weights_give_the_authors_output(directions):
    state = authors_state(2, 3, 5, directions)
    layer = SDNLayer(2, 3, 5, directions=directions, cell="gru")
    assert from_reference_state_dict(layer, state) is layer
    x = torch.randn(2, 2, 6, 6)
    torch.testing.assert_close(layer(x), authors_layer(x, state, directions), rtol=1e-5, atol=1e-6)


def test_authors_residual_weights_give_the_authors_output():
    directions = ("right", "down")
    inner = authors_state(2, 6, 5, directions)
    cnn = nn.Conv2d(2, 3, 3, padding=1)
    state = {f"sdn.{name}": tensor for name, tensor in inner.items()}
    state |= {f"cnn.{name}": p.detach() for name, p in cnn.named_parameters()}
    layer = ResSDNLayer(2, 3, 5, directions=directions, cell="gru")
    from_reference_state_dict(layer, state)
    x = torch.randn(1, 2, 7, 7)
    sdn, gate = authors_layer(x, inner, directions).chunk(2, 1)
    want = torch.sigmoid(gate) * cnn(x) + (1 - torch.sigmoid(gate)) * sdn
    torch.testing.assert_close(layer(x), want, rtol=1e-5, atol=1e-6)


def test_weights_that_do_not_fit_are_named():
    state = authors_state(2, 3, 5, ("right", "left"))
    with pytest.raises(ValueError, match=r"missing \[\], unexpected \['sdn_correction_stage\.1\."):
        from_reference_state_dict(SDNLayer(2, 3, 5, directions=("right",), cell="gru"), state)
    with pytest.raises(
        ValueError, match=r"missing \['sdn_correction_stage\.2\.cell\.gru\.bias_hh'"
    ):
        from_reference_state_dict(
            SDNLayer(2, 3, 5, directions=("right", "left", "up"), cell="gru"), state
        )
    with pytest.raises(ValueError, match=r"project_out_stage\.weight must be \(4, 5, 1, 1\), got"):
        from_reference_state_dict(
            SDNLayer(2, 4, 5, directions=("right", "left"), cell="gru"), state
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sweep(2, "sideways"), r"direction must be one of \('right', .*got 'sideways'"),
        (lambda: Sweep(2, "up", cell="rnn"), r"cell must be one of \('gru', 'carry'\), got 'rnn'"),
        (
            lambda: SDNLayer(1, 1, 2, init="far"),
            r"init must be one of \('reach', 'published'\), got 'far'",
        ),
        (lambda: Sweep(2, "forward", 2), r"for spatial_dims=2, got 'forward'"),
        (lambda: SDNLayer(1, 1, 2, directions=()), r"directions must be a non-empty sequence"),
        (lambda: SDNLayer(1, 1, 2, directions="up"), r"non-empty sequence of names, got 'up'"),
        (lambda: SDNLayer(1, 1, 2, spatial_dims=1), r"spatial_dims must be 2 or 3, got 1"),
        (
            lambda: Sweep(2, "up")(torch.zeros(2, 3, 4)),
            r"x must be \(N, C, H, W\), got \(2, 3, 4\)",
        ),
    ],
)
def test_errors_name_the_argument_the_rule_and_the_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("layer", [SDNLayer, ResSDNLayer])
def test_output_and_gradient_lie_in_memory_as_the_input(layer, layout):
    torch.manual_seed(0)
    layer = layer(3, 4, 5)
    plain = torch.randn(2, 3, 6, 7)
    x = plain.contiguous(memory_format=layout).requires_grad_()
    y = layer(x)
    assert y.is_contiguous(memory_format=layout)
    (grad,) = torch.autograd.grad(y.square().sum(), x)
    assert grad.is_contiguous(memory_format=layout)
    torch.testing.assert_close(y, layer(plain))


@every_cell
@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize("sizes", [(6, 7), (4, 6, 5)])
def test_residual_layer_is_the_gate_between_convolution_and_sdn(cell, upsample, sizes):
    torch.manual_seed(0)
    dims = len(sizes)
    layer = ResSDNLayer(3, 4, 5, 4, 2, 1, cell=cell, upsample=upsample, spatial_dims=dims).double()
    x = torch.randn(2, 3, *sizes, dtype=torch.float64, requires_grad=True)
    swept, gate = layer.sdn(x).chunk(2, dim=1)
    gate = torch.sigmoid(gate)
    wanted, found = gate * layer.conv(x) + (1 - gate) * swept, layer(x)
    torch.testing.assert_close(found, wanted)
    cotangent, inputs = torch.randn_like(wanted), [x, *layer.parameters()]
    for grad, other in zip(
        torch.autograd.grad(found, inputs, cotangent),
        torch.autograd.grad(wanted, inputs, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(grad, other)


@pytest.mark.parametrize("sizes", [(6, 7), (4, 6, 5)])
def test_reparametrised_weights_are_the_ones_used(sizes):
    torch.manual_seed(0)
    layer, x = ResSDNLayer(3, 4, 5, spatial_dims=len(sizes)), torch.randn(2, 3, *sizes)
    for part in (layer.sdn.project_in, layer.sdn.project_out, layer.conv):
        before = layer(x)
        torch.nn.utils.parametrizations.weight_norm(part)
        torch.testing.assert_close(layer(x), before)
        part.parametrizations.weight.original0.data.mul_(3)
        assert not torch.allclose(layer(x), before)


@pytest.mark.parametrize("layer", [SDNLayer, ResSDNLayer])
def test_maps_of_the_wrong_number_of_axes_are_refused(layer):
    with pytest.raises(ValueError, match=r"x must be \(N, C, H, W\), got \(3, 6, 7\)"):
        layer(3, 4, 5)(torch.randn(3, 6, 7))


def norms_along(sweep, lines):
    """Norms of the gradients that some lines send to line 0, of lines swept to the right."""
    x = torch.tanh(torch.randn(2, sweep.channels, *(6,) * (sweep.spatial_dims - 1), lines[-1] + 1))
    x.requires_grad_()
    y = sweep(x)
    cotangent = torch.randn_like(y[..., 0])
    grads = [
        torch.autograd.grad((y[..., t] * cotangent).sum(), x, retain_graph=True)[0] for t in lines
    ]
    return [grad[..., 0].norm().item() for grad in grads]


@every_cell
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("channels", [8, 16, 32, 150])
def test_a_gradient_reaches_32_lines_from_the_start(channels, spatial_dims, cell):
    torch.manual_seed(0)
    near, far = norms_along(Sweep(channels, "right", spatial_dims, cell=cell), (1, 32))
    assert 0.03 < far / near < 3


def test_at_the_published_initialisation_it_does_not():
    torch.manual_seed(0)
    near, far = norms_along(Sweep(16, "right", cell="gru", init="published"), (1, 32))
    assert far / near < 1e-6


@every_cell
def test_a_stack_of_sweeps_neither_saturates_nor_fades(cell):
    torch.manual_seed(0)
    x = torch.tanh(torch.randn(1, 16, 64, 64))
    y = SDNLayer(16, 16, 16, cell=cell).sweeps(x)
    assert (y.abs() > 0.95).float().mean() < 0.1
    assert y.std() > 0.05
