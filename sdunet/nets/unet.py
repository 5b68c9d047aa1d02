"""A U-Net in which any encoder or decoder stage is plain or sweeps."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from sdunet.nets.base import SweepingUNet
from sdunet.nets.stages import Stages, cells_of, check_input, crop, pad_to_multiple


class SDUNet(SweepingUNet):
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
        dropout: probability of dropping a value after each convolution, 0 to below 1.
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
        encoder: `"plain"`, or `"residual"` for one, three, four and then six residual blocks in
            those levels of the encoder that do not sweep, as nnU-Net's ResEnc.
        strides: of each level but the last, by how much the next is smaller: a number, or one an
            axis. Default: 2.
        kernel_sizes: of the convolutions of each level, odd: a number, or one an axis. Default: 3.

    Shape:
        `(N, in_channels, ...)` to `(N, out_channels, ...)`, of any size: sizes that the levels
        do not divide are padded inside and cropped again. While training with
        `deep_supervision`, a list of those of each decoder level, full resolution first, each
        smaller than the one before by its stride, rounded up.

    Raises:
        ValueError: if a level is outside the network, a list has not one entry per level, or a
            name is unknown.

    Reference:
        Carvalho et al., Spatially Dependent U-Nets, 2021, arXiv 2103.11713.
    """

    @staticmethod
    def usual_levels(depth: int) -> range:
        """Return all levels below full resolution."""
        return range(1, depth - 1)

    @staticmethod
    def widths_aside(features: Sequence[int]) -> Sequence[int]:
        """Return the channels of the decoder levels below full resolution."""
        return features[1:-1]

    def add_stages(
        self,
        stages: Stages,
        widths_in: Sequence[int],
        sdn_encoder: Collection[int],
        sdn_decoder: Collection[int],
    ) -> None:
        """Add a stage per level of the encoder and of the decoder, see `SweepingUNet`."""
        levels = range(stages.depth - 1)
        self.encoder = nn.ModuleList(
            stages.encoder_stage(level, width, sdn_encoder) for level, width in enumerate(widths_in)
        )
        self.up = nn.ModuleList(stages.up(level) for level in levels)
        self.decoder = nn.ModuleList(
            stages.stage(level, 2 * stages.features[level], sdn_decoder) for level in levels
        )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of the classes, `(N, out_channels, ...)`."""
        if self.training and self.aside:
            return self.logits_of_levels(x)
        return crop(self.head(self._decoded(x)[0]), x.shape[2:])

    def logits_of_levels(self, x: Tensor) -> list[Tensor]:
        """Return the logits of each decoder level, whether training or not.

        Shape:
            `(N, out_channels, ...)` each, full resolution first; of that alone without
            `deep_supervision`.
        """
        sizes = x.shape[2:]
        logits = []
        heads = (self.head, *self.aside)
        for head, decoded, covered in zip(heads, self._decoded(x), self.covered, strict=False):
            there = [cells_of(size, cells) for size, cells in zip(sizes, covered, strict=True)]
            logits.append(crop(head(decoded), there))
        return logits

    def _decoded(self, x: Tensor) -> list[Tensor]:
        """Return the map of each decoder level, full resolution first, padded to its multiples."""
        check_input(x, self.in_channels, self.spatial_dims)
        x = pad_to_multiple(x, self.covered[-1])
        skips = []
        for level, stage in enumerate(self.encoder):
            x = stage(self.down[level - 1](x) if level else x)
            skips.append(x)
        skips.pop()
        decoded = []
        for level in reversed(range(len(skips))):
            x = self.decoder[level](torch.cat([skips[level], self.up[level](x)], dim=1))
            decoded.append(x)
        return decoded[::-1]
