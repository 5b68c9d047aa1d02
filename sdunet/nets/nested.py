"""A U-Net++ in which any stage is plain or sweeps."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from sdunet.nets.base import SweepingUNet
from sdunet.nets.stages import Stages, check_input, crop, pad_to_multiple


class NestedSDUNet(SweepingUNet):
    r"""U-Net++ with spatial dependency layers in its lower scales.

    Between encoder and decoder, every level has stages that see all earlier ones of their level
    and the one below:

    $$X_{i,0} = S(\mathrm{down}(X_{i-1,0})), \quad
      X_{i,j} = S([X_{i,0}, \dots, X_{i,j-1}, \mathrm{up}(X_{i+1,j-1})])$$

    With no sweeping level this is the plain U-Net++ of the same widths.

    Args:
        spatial_dims: as are all arguments that are not named here, see `SDUNet`.
        sdn_decoder: levels whose stages after the encoder sweep. Default: from 2 on, at least
            the lowest.
        deep_supervision: give logits of every full-resolution stage while training.

    Shape:
        As of `SDUNet`; while training with `deep_supervision` a list of logits, all of full
        size, those of the last and deepest stage first.

    Raises:
        ValueError: as `SDUNet`.

    Reference:
        Zhou et al., UNet++, 2018, arXiv 1807.10165; with sweeps Carvalho et al., Spatially
        Dependent U-Nets, 2021, arXiv 2103.11713.
    """

    @staticmethod
    def usual_levels(depth: int) -> range:
        """Return the levels from 2 on, at least the lowest."""
        return range(min(2, depth - 2), depth - 1)

    @staticmethod
    def widths_aside(features: Sequence[int]) -> Sequence[int]:
        """Return the channels of the full-resolution stages between the first and the last."""
        return [features[0]] * (len(features) - 2)

    def add_stages(
        self,
        stages: Stages,
        widths_in: Sequence[int],
        sdn_encoder: Collection[int],
        sdn_decoder: Collection[int],
    ) -> None:
        """Add the stages `X_ij` by their names `i_j`, see `SweepingUNet`."""
        self.stages = nn.ModuleDict()
        self.up = nn.ModuleDict()
        for level, width in enumerate(widths_in):
            self.stages[f"{level}_0"] = stages.encoder_stage(level, width, sdn_encoder)
        for column in range(1, stages.depth):
            for level in range(stages.depth - column):
                name, width = f"{level}_{column}", stages.features[level]
                self.up[name] = stages.up(level)
                self.stages[name] = stages.stage(level, (column + 1) * width, sdn_decoder)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of the classes, `(N, out_channels, ...)`."""
        check_input(x, self.in_channels, self.spatial_dims)
        sizes = x.shape[2:]
        x = pad_to_multiple(x, self.covered[-1])
        rows: list[list[Tensor]] = []
        for level in range(self.depth):
            x = self.stages[f"{level}_0"](self.down[level - 1](x) if level else x)
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
