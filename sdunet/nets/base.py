"""What the U-Nets of this package share: their arguments, and all that does not differ."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence

from monai.networks.layers.factories import Conv
from torch import nn

from sdunet.cells import CellName, InitName, check_whole
from sdunet.layers import Direction
from sdunet.nets.names import Encoder
from sdunet.nets.stages import Sizes, Spec, Stages, Upsample, check_levels


class SweepingUNet(nn.Module, ABC):
    """A U-Net of some shape; subclasses say which stages it has. Arguments as in `SDUNet`.

    Raises:
        ValueError: if an argument does not fit.
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
        encoder: Encoder = "plain",
        strides: Sizes | None = None,
        kernel_sizes: Sizes | None = None,
    ) -> None:
        super().__init__()
        check_whole(in_channels=in_channels, out_channels=out_channels)
        if directions is not None and not directions:
            raise ValueError("directions must name a sweep, or be left out")
        stages = Stages(
            spatial_dims=spatial_dims,
            features=features,
            norm=norm,
            act=act,
            dropout=dropout,
            num_features=num_features,
            directions=directions,
            residual=residual,
            upsample=upsample,
            cell=cell,
            init=init,
            encoder=encoder,
            strides=strides,
            kernel_sizes=kernel_sizes,
        )
        if sdn_decoder is None:
            sdn_decoder = self.usual_levels(stages.depth)
        check_levels("sdn_decoder", sdn_decoder, stages.depth - 1)
        check_levels("sdn_encoder", sdn_encoder, stages.depth)
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.depth = stages.depth
        self.down = stages.downs()
        self.covered = [stages.covered(level) for level in range(stages.depth)]
        self.multiples = self.covered[-1]
        self.add_stages(stages, [in_channels, *features[:-1]], sdn_encoder, sdn_decoder)
        conv = Conv["conv", spatial_dims]
        self.head = conv(features[0], out_channels, 1)
        widths = self.widths_aside(features) if deep_supervision else ()
        self.aside = nn.ModuleList(conv(width, out_channels, 1) for width in widths)

    @staticmethod
    @abstractmethod
    def usual_levels(depth: int) -> range:
        """Return the decoder levels that sweep if none are given."""

    @staticmethod
    @abstractmethod
    def widths_aside(features: Sequence[int]) -> Iterable[int]:
        """Return the channels of each map that deep supervision makes logits of, but the last."""

    @abstractmethod
    def add_stages(
        self,
        stages: Stages,
        widths_in: Sequence[int],
        sdn_encoder: Collection[int],
        sdn_decoder: Collection[int],
    ) -> None:
        """Add all between the image and the head.

        Args:
            stages: builds each stage.
            widths_in: channels that enter each encoder level.
            sdn_encoder: encoder levels that sweep.
            sdn_decoder: decoder levels that sweep.
        """
