"""A U-Net in which any encoder or decoder stage is plain or sweeps.

Levels count from 0, the full resolution, down to the bottleneck. Each level halves the map.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from monai.networks.blocks import ADN, Convolution, UpSample
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from sdunet.layers import Direction, ResSDNLayer, SDNLayer

Spec = str | tuple[str, dict]


class SDUNet(nn.Module):
    """U-Net with spatial dependency layers.

    A plain stage is two 3x3 convolutions, each with normalisation, dropout and activation. In a
    sweeping stage the second convolution is an SDN layer. With no sweeping level this is the
    plain U-Net of the same widths, the control of every comparison.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the image.
        out_channels: number of classes, background included; the output holds their logits.
        features: channels of each level, full resolution first; their number is the depth.
        norm: MONAI's name of a normalisation, or `(name, arguments)`.
        act: MONAI's name of an activation, or `(name, arguments)`.
        dropout: probability of dropping a value after each convolution, 0 to 1.
        sdn_decoder: decoder levels that sweep. Default: all below full resolution.
        sdn_encoder: encoder levels that sweep, the bottleneck being the last.
        num_features: channels that are swept, one number or one per level.
        directions: sweeps of each layer, see `SDNLayer`. Default: all of the image's axes.
        residual: mix each SDN layer with a convolution by a learned gate (`ResSDNLayer`).
        upsample: `"deconv"` for transposed convolution, `"nontrainable"` for linear
            interpolation and a 1x1 convolution.

    Shape:
        `(N, in_channels, ...)` to `(N, out_channels, ...)`, of any size: sizes that the levels
        do not divide are padded inside and cropped again.

    Raises:
        ValueError: if a level is outside the network, or a list has not one entry per level.

    Reference:
        Carvalho et al., Spatially Dependent U-Nets, 2021, arXiv 2103.11713.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (16, 32, 64, 128, 256),
        norm: Spec = ("instance", {"affine": True}),
        act: Spec = ("leakyrelu", {"negative_slope": 0.1, "inplace": True}),
        dropout: float = 0.0,
        *,
        sdn_decoder: Collection[int] | None = None,
        sdn_encoder: Collection[int] = (),
        num_features: int | Sequence[int] = 16,
        directions: Sequence[Direction] | None = None,
        residual: bool = True,
        upsample: Literal["deconv", "nontrainable"] = "deconv",
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims must be 2 or 3, got {spatial_dims}")
        depth = len(features)
        if depth < 2:
            raise ValueError(f"features must name at least two levels, got {tuple(features)}")
        if upsample not in ("deconv", "nontrainable"):
            raise ValueError(f"upsample must be 'deconv' or 'nontrainable', got {upsample!r}")
        sdn_decoder = range(1, depth - 1) if sdn_decoder is None else sdn_decoder
        _check_levels("sdn_decoder", sdn_decoder, depth - 1)
        _check_levels("sdn_encoder", sdn_encoder, depth)
        swept = [num_features] * depth if isinstance(num_features, int) else list(num_features)
        if len(swept) != depth:
            raise ValueError(f"num_features must be one or {depth} numbers, got {num_features}")
        directions = get_args(Direction)[: 2 * spatial_dims] if directions is None else directions

        def convolution(channels_in: int, width: int) -> Convolution:
            return Convolution(
                spatial_dims, channels_in, width, act=act, norm=norm, dropout=dropout
            )

        def stage(level: int, channels_in: int, sweeping: Collection[int]) -> nn.Sequential:
            width = features[level]
            first = convolution(channels_in, width)
            if level not in sweeping:
                return nn.Sequential(first, convolution(width, width))
            layer = (ResSDNLayer if residual else SDNLayer)(
                width, width, swept[level], directions=directions, spatial_dims=spatial_dims
            )
            after = ADN("NDA", width, act, norm, spatial_dims, dropout, dropout_dim=1)
            return nn.Sequential(first, layer, after)

        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.down = Pool["max", spatial_dims](2)
        widths_in = [in_channels, *features[:-1]]
        self.encoder = nn.ModuleList(
            stage(level, width, sdn_encoder) for level, width in enumerate(widths_in)
        )
        self.up = nn.ModuleList(
            UpSample(spatial_dims, below, above, scale_factor=2, mode=upsample)
            for above, below in pairwise(features)
        )
        self.decoder = nn.ModuleList(
            stage(level, 2 * features[level], sdn_decoder) for level in range(depth - 1)
        )
        self.head = Conv["conv", spatial_dims](features[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the classes, `(N, out_channels, ...)`."""
        if x.dim() != self.spatial_dims + 2 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"x must be (N, {self.in_channels}, ...) with {self.spatial_dims} spatial axes, "
                f"got {tuple(x.shape)}"
            )
        sizes = x.shape[2:]
        x = _pad_to_multiple(x, 2 ** (len(self.encoder) - 1))
        skips = []
        for level, stage in enumerate(self.encoder):
            x = stage(self.down(x) if level else x)
            skips.append(x)
        skips.pop()
        for level in reversed(range(len(skips))):
            x = self.decoder[level](torch.cat([skips[level], self.up[level](x)], dim=1))
        return self.head(x)[(..., *(slice(size) for size in sizes))]


def _pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    targets = [-(-size // multiple) * multiple for size in x.shape[2:]]
    if set(targets) == {multiple}:
        targets[-1] *= 2  # normalisation over a bottleneck of a single cell is undefined
    pads = [(0, target - size) for size, target in zip(x.shape[2:], targets, strict=True)]
    return F.pad(x, [pad for pair in reversed(pads) for pad in pair], mode="replicate")


def _check_levels(name: str, levels: Collection[int], count: int) -> None:
    wrong = [level for level in levels if level not in range(count)]
    if wrong:
        raise ValueError(f"{name} levels must be in 0..{count - 1}, got {wrong}")
