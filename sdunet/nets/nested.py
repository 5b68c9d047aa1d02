"""A U-Net++ in which any stage is plain or sweeps."""

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


class NestedSDUNet(nn.Module):
    r"""U-Net++ with spatial dependency layers in its lower scales.

    Between encoder and decoder, every level has stages that see all earlier ones of their level
    and the one below:

    $$X_{i,0} = S(\mathrm{down}(X_{i-1,0})), \quad
      X_{i,j} = S([X_{i,0}, \dots, X_{i,j-1}, \mathrm{up}(X_{i+1,j-1})])$$

    With no sweeping level this is the plain U-Net++ of the same widths.

    Args:
        spatial_dims: as are all other arguments, see `SDUNet`.
        in_channels: see `SDUNet`.
        out_channels: see `SDUNet`.
        features: see `SDUNet`.
        norm: see `SDUNet`.
        act: see `SDUNet`.
        dropout: see `SDUNet`.
        sdn_decoder: levels whose stages after the encoder sweep. Default: from 2 on, at least
            the lowest.
        sdn_encoder: encoder levels that sweep.
        num_features: see `SDUNet`.
        directions: see `SDUNet`.
        residual: see `SDUNet`.
        upsample: see `SDUNet`.
        deep_supervision: give logits of every full-resolution stage while training.
        cell: see `SDUNet`.
        init: see `SDUNet`.

    Shape:
        As of `SDUNet`; while training with `deep_supervision` a list of logits, all of full
        size, those of the last and deepest stage first.

    Raises:
        ValueError: as `SDUNet`.

    Reference:
        Zhou et al., UNet++, 2018, arXiv 1807.10165; with sweeps Carvalho et al., Spatially
        Dependent U-Nets, 2021, arXiv 2103.11713.
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
        if sdn_decoder is None:
            sdn_decoder = range(min(2, depth - 2), depth - 1)
        check_levels("sdn_decoder", sdn_decoder, depth - 1)
        check_levels("sdn_encoder", sdn_encoder, depth)
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.depth = depth
        self.down = Pool["max", spatial_dims](2)
        widths_in = [in_channels, *features[:-1]]
        self.stages = nn.ModuleDict()
        self.up = nn.ModuleDict()
        for level, width in enumerate(widths_in):
            self.stages[f"{level}_0"] = stages.stage(level, width, sdn_encoder)
        for column in range(1, depth):
            for level in range(depth - column):
                name, width = f"{level}_{column}", features[level]
                self.up[name] = stages.up(level)
                self.stages[name] = stages.stage(level, (column + 1) * width, sdn_decoder)
        conv = Conv["conv", spatial_dims]
        self.head = conv(features[0], out_channels, 1)
        self.aside = nn.ModuleList(
            conv(features[0], out_channels, 1) for _ in range(depth - 2) if deep_supervision
        )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of the classes, `(N, out_channels, ...)`."""
        check_input(x, self.in_channels, self.spatial_dims)
        sizes = x.shape[2:]
        x = pad_to_multiple(x, 2 ** (self.depth - 1))
        rows: list[list[Tensor]] = []
        for level in range(self.depth):
            x = self.stages[f"{level}_0"](self.down(x) if level else x)
            rows.append([x])
        for column in range(1, self.depth):
            for level in range(self.depth - column):
                name = f"{level}_{column}"
                below = self.up[name](rows[level + 1][column - 1])
                rows[level].append(self.stages[name](torch.cat([*rows[level], below], dim=1)))
        logits = crop(self.head(rows[0][-1]), sizes)
        if not (self.training and self.aside):
            return logits
        earlier = reversed(rows[0][1:-1])
        rest = [crop(head(map_), sizes) for head, map_ in zip(self.aside, earlier, strict=True)]
        return [logits, *rest]
