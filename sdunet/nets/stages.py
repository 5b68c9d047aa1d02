"""What U-Nets are built of: stages that are plain or sweep, and maps of any size.

Levels count from 0, the full resolution, down to the bottleneck. Each level halves the map.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Literal, get_args

import torch.nn.functional as F
from monai.networks.blocks import ADN, Convolution, UpSample
from torch import Tensor, nn

from sdunet.cells import CellName, InitName, check_whole
from sdunet.layers import Direction, ResSDNLayer, SDNLayer

Spec = str | tuple[str, dict]
Upsample = Literal["deconv", "nontrainable"]


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

    @property
    def depth(self) -> int:
        """Number of levels."""
        return len(self.features)

    def stage(self, level: int, channels_in: int, sweeping: Collection[int]) -> nn.Sequential:
        """Return the stage of a level; in one that sweeps, the second convolution is a sweep."""
        width = self.features[level]
        first = self._convolution(channels_in, width)
        if level not in sweeping:
            return nn.Sequential(first, self._convolution(width, width))
        swept = self.num_features
        layer = (ResSDNLayer if self.residual else SDNLayer)(
            width,
            width,
            swept if isinstance(swept, int) else swept[level],
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
        return UpSample(self.spatial_dims, below, width, scale_factor=2, mode=self.upsample)

    def _convolution(self, channels_in: int, width: int) -> Convolution:
        return Convolution(
            self.spatial_dims,
            channels_in,
            width,
            act=self.act,
            norm=self.norm,
            dropout=self.dropout,
        )


def check_share(name: str, value: float) -> None:
    """Refuse a probability that is none.

    Raises:
        ValueError: naming the argument.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value!r}")


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


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the border of a map until its sizes can be halved down to the bottleneck."""
    targets = [-(-size // multiple) * multiple for size in x.shape[2:]]
    if set(targets) == {multiple}:
        targets[-1] *= 2  # normalisation over a bottleneck of a single cell is undefined
    pads = [(0, target - size) for size, target in zip(x.shape[2:], targets, strict=True)]
    return F.pad(x, [pad for pair in reversed(pads) for pad in pair], mode="replicate")


def crop(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Undo `pad_to_multiple`."""
    inside: tuple[slice | EllipsisType, ...] = (..., *(slice(size) for size in sizes))
    return x[inside]
