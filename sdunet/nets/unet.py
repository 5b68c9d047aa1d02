"""A U-Net in which any encoder or decoder stage is plain or sweeps."""

from collections.abc import Collection, Sequence

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from sdunet.cells import CellName, InitName
from sdunet.layers import Direction
from sdunet.nets.stages import (
    Spec,
    Stages,
    Upsample,
    check_input,
    check_levels,
    crop,
    pad_to_multiple,
)


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
        deep_supervision: give logits of every decoder level while training.
        cell: that sweeps, see `Sweep`.
        init: of the sweeps, see `Sweep`.

    Shape:
        `(N, in_channels, ...)` to `(N, out_channels, ...)`, of any size: sizes that the levels
        do not divide are padded inside and cropped again. While training with
        `deep_supervision`, a list of those of each decoder level, full resolution first, each
        half the size of the one before, rounded up.

    Raises:
        ValueError: if a level is outside the network, a list has not one entry per level, or a
            name is unknown.

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
        upsample: Upsample = "deconv",
        deep_supervision: bool = False,
        cell: CellName = "carry",
        init: InitName = "reach",
    ) -> None:
        super().__init__()
        stages = Stages(
            *(spatial_dims, features, norm, act, dropout),
            *(num_features, directions, residual, upsample, cell, init),
        )
        depth = stages.depth
        sdn_decoder = range(1, depth - 1) if sdn_decoder is None else sdn_decoder
        check_levels("sdn_decoder", sdn_decoder, depth - 1)
        check_levels("sdn_encoder", sdn_encoder, depth)
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.down = Pool["max", spatial_dims](2)
        widths_in = [in_channels, *features[:-1]]
        self.encoder = nn.ModuleList(
            stages.stage(level, width, sdn_encoder) for level, width in enumerate(widths_in)
        )
        self.up = nn.ModuleList(stages.up(level) for level in range(depth - 1))
        self.decoder = nn.ModuleList(
            stages.stage(level, 2 * features[level], sdn_decoder) for level in range(depth - 1)
        )
        conv = Conv["conv", spatial_dims]
        self.head = conv(features[0], out_channels, 1)
        self.aside = nn.ModuleList(
            conv(width, out_channels, 1) for width in features[1:-1] if deep_supervision
        )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of the classes, `(N, out_channels, ...)`."""
        check_input(x, self.in_channels, self.spatial_dims)
        sizes = x.shape[2:]
        x = pad_to_multiple(x, 2 ** (len(self.encoder) - 1))
        skips = []
        for level, stage in enumerate(self.encoder):
            x = stage(self.down(x) if level else x)
            skips.append(x)
        skips.pop()
        decoded = []
        for level in reversed(range(len(skips))):
            x = self.decoder[level](torch.cat([skips[level], self.up[level](x)], dim=1))
            decoded.append(x)
        logits = crop(self.head(x), sizes)
        if not (self.training and self.aside):
            return logits
        logits = [logits]
        for level, head in enumerate(self.aside, start=1):
            there = [-(-size // 2**level) for size in sizes]
            logits.append(crop(head(decoded[-1 - level]), there))
        return logits
