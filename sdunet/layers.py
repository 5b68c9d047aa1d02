"""Layers that carry context across a feature map by sweeping it line by line.

Shapes in this file: N batch, C channels, D depth, H height, W width; maps are `(N, C, H, W)`,
volumes `(N, C, D, H, W)`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar, Unpack, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdunet.cells import CellName, InitName, build_cell, check_whole, one_an_axis
from sdunet.ops import gated_mix

Direction = Literal["right", "left", "down", "up", "forward", "backward"]

# Axis counted from the end, and whether the sweep runs against it.
_AXES: dict[str, tuple[int, bool]] = {
    "right": (-1, False),
    "left": (-1, True),
    "down": (-2, False),
    "up": (-2, True),
    "forward": (-3, False),
    "backward": (-3, True),
}
_WINDOW = ("kernel_size", "stride", "padding")
_CONVS = {2: (nn.Conv2d, nn.ConvTranspose2d), 3: (nn.Conv3d, nn.ConvTranspose3d)}


class Sweep(nn.Module):
    """One sweep in one direction, with its own weights.

    Args:
        channels: C of the map.
        direction: where the sweep runs to. Right and left run along the last axis, down and up
            along the second to last, forward and backward along the third to last.
        spatial_dims: 2 for `(N, C, H, W)`, 3 for `(N, C, D, H, W)`.
        cell: "carry" for `carry_sweep`, "gru" for the published `sdn_sweep`.
        init: "reach", or "published" for PyTorch's own initialisation; see `sdunet.cells`.

    Attributes:
        backend: handed on to the operator, "auto" at first.

    Raises:
        ValueError: if the direction is unknown or has no axis in so many dimensions, the cell
            or the initialisation is unknown, or `channels` is no whole number above 0.
    """

    def __init__(
        self,
        channels: int,
        direction: Direction,
        spatial_dims: int = 2,
        *,
        cell: CellName = "carry",
        init: InitName = "reach",
    ) -> None:
        super().__init__()
        _check_direction(direction, spatial_dims)
        self.channels = channels
        self.direction = direction
        self.spatial_dims = spatial_dims
        self.backend = "auto"
        self.cell = build_cell(cell, init, channels, spatial_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Return the swept map, shaped like `x`."""
        _check_map(x, self.spatial_dims)
        axis, against = _AXES[self.direction]
        lines = x.movedim((axis, 1), (1, -1))  # (N, T, ..., C)
        y = self.cell.sweep(lines, reverse=against, backend=self.backend)
        return y.movedim((1, -1), (axis, 1))


class SDNLayer(nn.Module):
    """Project in, sweep in every direction in turn, project out: a convolution that sees the map.

    Takes the arguments of a convolution plus the number of features that are swept, so that
    `Conv2d(i, o, 4, 2, 1)` becomes `SDNLayer(i, o, F, 4, 2, 1)`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        num_features: channels of the map that is swept. More are more expressive and slower.
        kernel_size: of the projection in, as are `stride` and `padding`; each a number, or one
            an axis.
        stride: see `kernel_size`.
        padding: see `kernel_size`.
        directions: sweeps in their order, each with its own weights.
        upsample: project in by a transposed convolution, so that `stride` enlarges the map.
        spatial_dims: 2 for images, 3 for volumes.
        cell: see `Sweep`.
        init: see `Sweep`.

    Raises:
        ValueError: if `directions` is empty or holds a name that does not fit `spatial_dims`, the
            cell or the initialisation is unknown, or a number is out of its range: `padding` may
            be 0, all others are whole numbers above 0.

    Reference:
        Miladinovic et al., Spatial Dependency Networks, ICLR 2021, arXiv 2103.08877.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_features: int,
        kernel_size: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 1,
        *,
        directions: Sequence[Direction] = ("right", "left", "down", "up"),
        upsample: bool = False,
        spatial_dims: int = 2,
        cell: CellName = "carry",
        init: InitName = "reach",
    ) -> None:
        super().__init__()
        _check_spatial_dims(spatial_dims)
        check_whole(in_channels=in_channels, out_channels=out_channels, num_features=num_features)
        check_whole(kernel_size=kernel_size, stride=stride)
        check_whole(0, padding=padding)
        window: list[Any] = [  # of as many axes as the convolution has
            one_an_axis(name, value, spatial_dims)
            for name, value in zip(_WINDOW, (kernel_size, stride, padding), strict=True)
        ]
        if isinstance(directions, str) or not directions:
            raise ValueError(
                f"directions must be a non-empty sequence of names, got {directions!r}"
            )
        self.spatial_dims = spatial_dims
        conv, conv_transpose = _CONVS[spatial_dims]
        enter = conv_transpose if upsample else conv
        self.project_in = enter(in_channels, num_features, *window)
        sweeps = (Sweep(num_features, d, spatial_dims, cell=cell, init=init) for d in directions)
        self.sweeps = nn.Sequential(*sweeps)
        self.project_out = conv(num_features, out_channels, 1)
        # Networks of the published cell were trained before some operations were joined, which
        # rounds otherwise; they go on to give the same bits.
        self.keeps_bits = cell == "gru"

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, sized as by the convolution of the same arguments."""
        _check_map(x, self.spatial_dims)
        swept = self.sweep(self.project_in(_channels_last(x)).tanh_())
        out = _project(swept, self.project_out.weight, _there(self.project_out.bias))
        return _lay_out(out, _layout_of(x))

    def sweep(self, x: Tensor) -> Tensor:
        """Return what is projected out, with the channels of a cell side by side in memory."""
        return _channels_last(self.sweeps(x))


class SweepOptions(TypedDict, total=False):
    """What `SDNLayer` takes by name."""

    directions: Sequence[Direction]
    upsample: bool
    spatial_dims: int
    cell: CellName
    init: InitName


class ResSDNLayer(nn.Module):
    r"""A convolution and an SDN layer side by side, mixed by a gate that the SDN layer emits.

    $$y = g \cdot \mathrm{conv}(x) + (1 - g) \cdot s, \quad [s, g'] = \mathrm{SDN}(x), \quad
      g = \sigma(g')$$

    Arguments, their defaults and errors are those of `SDNLayer`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_features: int,
        kernel_size: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 1,
        **options: Unpack[SweepOptions],
    ) -> None:
        super().__init__()
        check_whole(out_channels=out_channels)  # which is doubled on
        self.sdn = SDNLayer(
            *(in_channels, 2 * out_channels, num_features, kernel_size, stride, padding), **options
        )
        conv = _CONVS[self.sdn.spatial_dims][options.get("upsample", False)]
        enter = self.sdn.project_in
        window: list[Any] = [enter.kernel_size, enter.stride, enter.padding]
        self.conv = conv(in_channels, out_channels, *window)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, sized as by the convolution of the same arguments."""
        _check_map(x, self.sdn.spatial_dims)
        layout = _layout_of(x)
        entered, other = self._convolve(_channels_last(x))
        swept = self.sdn.sweep(entered)
        out = self.sdn.project_out
        bias = _there(out.bias)
        if self.sdn.keeps_bits:
            # Each half projected out on its own: halves of one map would not be dense in memory.
            halves = zip(out.weight.chunk(2), bias.chunk(2), strict=True)
            value, gate = (_project(swept, *half) for half in halves)
            return _lay_out(torch.lerp(value, other, torch.sigmoid(gate)), layout)
        last = layout != torch.contiguous_format
        return gated_mix(swept, out.weight.flatten(1), bias, other, channels_last=last)

    def _convolve(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map to be swept and the convolution's.

        In volumes both by one convolution: PyTorch's, of few channels, take as long as of many.
        """
        enter, conv = self.sdn.project_in, self.conv
        if self.sdn.keeps_bits or not isinstance(conv, nn.Conv3d):
            return enter(x).tanh_(), conv(x)
        weight, bias = (
            torch.cat(parts)
            for parts in (
                (enter.weight, conv.weight),
                (_there(enter.bias), _there(conv.bias)),
            )
        )
        both = F.conv3d(x, weight, bias, conv.stride, conv.padding)
        entered, other = both.split([enter.out_channels, conv.out_channels], dim=1)
        return entered.tanh(), _channels_last(other)


def _there(bias: Tensor | None) -> Tensor:
    if bias is None:
        raise ValueError("a convolution without a bias")
    return bias


def _project(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the convolution of single cells of `x`, whose channels lie side by side.

    The bits are those of PyTorch's, whose way back takes up to twice as long.
    """
    return F.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)


# By the number of the map's axes.
_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


class _LayOut(torch.autograd.Function):
    """Turns a map in memory, and its gradient back: left turned, it would slow what follows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: torch.memory_format) -> Tensor:
        ctx.layout = _layout_of(x)
        return x.contiguous(memory_format=layout)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.contiguous(memory_format=ctx.layout), None


def _channels_last(x: Tensor) -> Tensor:
    """Return `x` laid out as sweeps want it; convolutions of few channels are faster so, too."""
    return _lay_out(x, _CHANNELS_LAST[x.dim()])


def _lay_out(x: Tensor, layout: torch.memory_format) -> Tensor:
    return x if x.is_contiguous(memory_format=layout) else _LayOut.apply(x, layout)


def _layout_of(x: Tensor) -> torch.memory_format:
    last = _CHANNELS_LAST[x.dim()]
    apart = x.is_contiguous() or not x.is_contiguous(memory_format=last)
    return torch.contiguous_format if apart else last


Layer = TypeVar("Layer", SDNLayer, ResSDNLayer)


def from_reference_state_dict(layer: Layer, state: Mapping[str, Tensor]) -> Layer:
    """Load weights named as in the code the SDN paper was published with.

    The layer must have been made with `cell="gru"`. Those names are `project_in_stage.*`,
    `sdn_correction_stage.{i}.cell.gru.*` and `project_out_stage.*`; in the residual layer the same
    under `sdn.`, and `cnn.*`. Its directions 0, 1, 2, 3 are "right", "left", "down", "up" here;
    give them to the layer in the same order.

    Returns:
        The layer itself, loaded.

    Raises:
        ValueError: if names are missing or left over, as for a layer of another cell, or a shape
            differs.
    """
    renamed = {_our_name(name): name for name in state}
    wanted = layer.state_dict()
    missing = sorted(_their_name(name) for name in wanted.keys() - renamed.keys())
    unexpected = sorted(renamed[name] for name in renamed.keys() - wanted.keys())
    if missing or unexpected:
        raise ValueError(
            f"state does not fit the layer: missing {missing}, unexpected {unexpected}"
        )
    for name, tensor in wanted.items():
        given = state[renamed[name]]
        if given.shape != tensor.shape:
            raise ValueError(
                f"{renamed[name]} must be {tuple(tensor.shape)}, got {tuple(given.shape)}"
            )
    layer.load_state_dict({name: state[theirs] for name, theirs in renamed.items()})
    return layer


# Ours to theirs, to be replaced in this order.
_NAMES = {
    "project_in.": "project_in_stage.",
    "sweeps.": "sdn_correction_stage.",
    ".cell.": ".cell.gru.",
    "project_out.": "project_out_stage.",
    "conv.": "cnn.",
}


def _our_name(name: str) -> str:
    for ours, theirs in _NAMES.items():
        name = name.replace(theirs, ours)
    return name


def _their_name(name: str) -> str:
    for ours, theirs in _NAMES.items():
        name = name.replace(ours, theirs)
    return name


def _check_spatial_dims(spatial_dims: int) -> None:
    if spatial_dims not in _CONVS:
        raise ValueError(f"spatial_dims must be 2 or 3, got {spatial_dims}")


def _check_direction(direction: str, spatial_dims: int) -> None:
    _check_spatial_dims(spatial_dims)
    names = get_args(Direction)[: 2 * spatial_dims]
    if direction not in names:
        raise ValueError(
            f"direction must be one of {names} for spatial_dims={spatial_dims}, got {direction!r}"
        )


def _check_map(x: Tensor, spatial_dims: int) -> None:
    if x.dim() != spatial_dims + 2:
        sizes = "(N, C, H, W)" if spatial_dims == 2 else "(N, C, D, H, W)"
        raise ValueError(f"x must be {sizes}, got {tuple(x.shape)}")
