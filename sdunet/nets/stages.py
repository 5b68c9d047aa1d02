"""What U-Nets are built of: stages that are plain or sweep, and maps of any size.

Levels count from 0, the full resolution, down to the bottleneck.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from monai.networks.blocks import ADN, Convolution, UpSample
from monai.networks.blocks.dynunet_block import UnetResBlock
from monai.networks.layers.factories import Pool
from torch import Tensor, nn

from sdunet.cells import CellName, InitName, check_whole, one_an_axis
from sdunet.layers import Direction, ResSDNLayer, SDNLayer
from sdunet.nets.names import Encoder

Spec = str | tuple[str, dict]
Upsample = Literal["deconv", "nontrainable"]
Sizes = Sequence[int | Sequence[int]]  # one of each level, a number or one an axis
_RESIDUAL_BLOCKS = (1, 3, 4, 6)  # by level, the last of all further ones, as nnU-Net's ResEnc


@dataclass(frozen=True)
class Stages:
    """Builds the stages of one network, all in the same manner. Arguments as in `SDUNet`.

    Raises:
        ValueError: if an argument does not fit.
    """

    spatial_dims: int
    features: Sequence[int]
    norm: Spec
    act: Spec
    dropout: float
    num_features: int | Sequence[int]
    directions: Sequence[Direction] | None
    residual: bool
    upsample: Upsample
    cell: CellName
    init: InitName
    encoder: Encoder = "plain"
    strides: Sizes | None = None
    kernel_sizes: Sizes | None = None

    def __post_init__(self) -> None:
        if self.spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims must be 2 or 3, got {self.spatial_dims}")
        check_whole(features=self.features, num_features=self.num_features)
        if len(self.features) < 2:
            raise ValueError(f"features must name at least two levels, got {tuple(self.features)}")
        if self.upsample not in get_args(Upsample):
            raise ValueError(f"upsample must be one of {get_args(Upsample)}, got {self.upsample!r}")
        if not isinstance(self.num_features, int) and len(self.num_features) != self.depth:
            raise ValueError(
                f"num_features must be one or {self.depth} numbers, got {self.num_features}"
            )
        check_share("dropout", self.dropout)
        if self.encoder not in get_args(Encoder):
            raise ValueError(f"encoder must be one of {get_args(Encoder)}, got {self.encoder!r}")
        self._check_sizes("strides", self.strides, self.depth - 1)
        self._check_sizes("kernel_sizes", self.kernel_sizes, self.depth)
        if even := [n for size in self.windows for n in size if n % 2 == 0]:
            raise ValueError(f"kernel_sizes must be odd, got {even[0]}")

    def _check_sizes(self, name: str, sizes: Sizes | None, count: int) -> None:
        if sizes is None:
            return
        if not isinstance(sizes, Sequence) or len(sizes) != count:
            raise ValueError(f"{name} must be a list of {count}, got {sizes!r}")
        for size in sizes:
            check_whole(1, **{name: size})
            one_an_axis(name, size, self.spatial_dims)

    @property
    def depth(self) -> int:
        """Number of levels."""
        return len(self.features)

    @property
    def steps(self) -> list[tuple[int, ...]]:
        """Of each level but the last, the cells along each axis that one of the next covers."""
        steps = (2,) * (self.depth - 1) if self.strides is None else self.strides
        return [one_an_axis("strides", step, self.spatial_dims) for step in steps]

    @property
    def windows(self) -> list[tuple[int, ...]]:
        """Cells along each axis that the convolutions of each level see at once."""
        sizes = (3,) * self.depth if self.kernel_sizes is None else self.kernel_sizes
        return [one_an_axis("kernel_sizes", size, self.spatial_dims) for size in sizes]

    def covered(self, level: int) -> tuple[int, ...]:
        """Return how many cells of full resolution one of a level covers along each axis."""
        return tuple(
            map(math.prod, zip((1,) * self.spatial_dims, *self.steps[:level], strict=True))
        )

    def encoder_stage(
        self, level: int, channels_in: int, sweeping: Collection[int]
    ) -> nn.Sequential:
        """Return the stage of a level of the encoder; one that sweeps has no residual blocks."""
        if self.encoder == "plain" or level in sweeping:
            return self.stage(level, channels_in, sweeping)
        width, window = self.features[level], self.windows[level]
        blocks = _RESIDUAL_BLOCKS[min(level, len(_RESIDUAL_BLOCKS) - 1)]
        settings: dict[str, Any] = {
            "norm_name": self.norm,
            "act_name": self.act,
            "dropout": self.dropout or None,
        }
        return nn.Sequential(
            *(
                UnetResBlock(self.spatial_dims, entering, width, window, 1, **settings)
                for entering in (channels_in, *(width,) * (blocks - 1))
            )
        )

    def downs(self) -> nn.ModuleList:
        """Return what brings the map of each level but the last to the next."""
        pool = Pool["max", self.spatial_dims]
        return nn.ModuleList(pool(step) for step in self.steps)

    def stage(self, level: int, channels_in: int, sweeping: Collection[int]) -> nn.Sequential:
        """Return the stage of a level; in one that sweeps, the second convolution is a sweep."""
        width = self.features[level]
        window = self.windows[level]
        first = self._convolution(channels_in, width, window)
        if level not in sweeping:
            return nn.Sequential(first, self._convolution(width, width, window))
        swept = self.num_features
        layer = (ResSDNLayer if self.residual else SDNLayer)(
            width,
            width,
            swept if isinstance(swept, int) else swept[level],
            window,
            padding=[n // 2 for n in window],
            directions=self.directions or get_args(Direction)[: 2 * self.spatial_dims],
            spatial_dims=self.spatial_dims,
            cell=self.cell,
            init=self.init,
        )
        after = ADN(
            "NDA", width, self.act, self.norm, self.spatial_dims, self.dropout, dropout_dim=1
        )
        return nn.Sequential(first, layer, after)

    def up(self, level: int) -> UpSample:
        """Return what brings the map of the level below to this one."""
        below, width = self.features[level + 1], self.features[level]
        step = self.steps[level]
        return UpSample(self.spatial_dims, below, width, scale_factor=step, mode=self.upsample)

    def _convolution(self, channels_in: int, width: int, window: tuple[int, ...]) -> Convolution:
        return Convolution(
            self.spatial_dims,
            channels_in,
            width,
            kernel_size=window,
            act=self.act,
            norm=self.norm,
            dropout=self.dropout,
        )


def check_share(name: str, value: float) -> None:
    """Refuse a share to drop that is none, or all.

    Raises:
        ValueError: naming the argument.
    """
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be from 0 to below 1, got {value!r}")


def check_levels(name: str, levels: Collection[int], count: int) -> None:
    """Refuse levels that a network of so many does not have.

    Raises:
        ValueError: naming the argument.
    """
    wrong = [level for level in levels if level not in range(count)]
    if wrong:
        raise ValueError(f"{name} levels must be in 0..{count - 1}, got {wrong}")


def check_input(x: Tensor, channels: int, spatial_dims: int) -> None:
    """Refuse a map of other channels or axes.

    Raises:
        ValueError: with what is expected.
    """
    if x.dim() != spatial_dims + 2 or x.shape[1] != channels:
        raise ValueError(
            f"x must be (N, {channels}, ...) with {spatial_dims} spatial axes, got {tuple(x.shape)}"
        )


def pad_to_multiple(x: Tensor, multiples: Sequence[int]) -> Tensor:
    """Repeat the border of a map until its sizes can be divided down to the bottleneck."""
    cells = [cells_of(size, by) for size, by in zip(x.shape[2:], multiples, strict=True)]
    targets = [number * by for number, by in zip(cells, multiples, strict=True)]
    # Normalisation over a bottleneck of a single cell is undefined: then, and only then, another
    # is added. In numbers, for a question asked of a size would fix it in an exported network.
    larger = torch.sym_max if torch.compiler.is_compiling() else max
    targets[-1] += larger(0, 2 - math.prod(cells)) * multiples[-1]
    pads = [(0, target - size) for size, target in zip(x.shape[2:], targets, strict=True)]
    return F.pad(x, [pad for pair in reversed(pads) for pad in pair], mode="replicate")


def cells_of(size: int, multiple: int) -> int:
    """Return how many cells of `multiple` voxels cover an axis."""
    # In this form an exported network takes any size; of negative numbers it would ask.
    return (size + multiple - 1) // multiple


def crop(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Undo `pad_to_multiple`."""
    if torch.compiler.is_compiling():
        # A view would fix in the network whether it lies dense in memory, and so its size.
        less = [(0, size - there) for size, there in zip(sizes, x.shape[2:], strict=True)]
        return F.pad(x, [n for pair in reversed(less) for n in pair])
    inside: tuple[slice | EllipsisType, ...] = (..., *(slice(size) for size in sizes))
    return x[inside]
