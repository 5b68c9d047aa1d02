"""Networks of MONAI, and a control of dilated convolutions, under the arguments of ours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monai.networks import nets
from torch import Tensor, nn

from sdunet.cells import check_whole, one_an_axis
from sdunet.nets.dilated import Dilated
from sdunet.nets.names import Encoder
from sdunet.nets.stages import (
    Sizes,
    Spec,
    Upsample,
    check_input,
    check_share,
    crop,
    pad_to_multiple,
)


class Baseline(nn.Module):
    """A network, most of MONAI, that takes maps of any size, and gives logits as `SDUNet` does.

    Args:
        network: gives logits `(N, classes, ...)`; several of them, deepest first, in a list or
            along axis 1.
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the image.
        multiples: of which the sizes of its maps must be, along each axis.
    """

    def __init__(
        self, network: nn.Module, spatial_dims: int, in_channels: int, multiples: Sequence[int]
    ) -> None:
        super().__init__()
        self.network = network
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.multiples = multiples

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of the classes, while training perhaps a list, deepest first."""
        check_input(x, self.in_channels, self.spatial_dims)
        sizes = x.shape[2:]
        out = self.network(pad_to_multiple(x, self.multiples))
        if isinstance(out, Tensor):
            out = out.unbind(1) if out.dim() == x.dim() + 1 else [out]
        logits = [crop(one, sizes) for one in out]
        return logits if self.training and len(logits) > 1 else logits[0]


@dataclass(frozen=True)
class Wanted:
    """Arguments of a baseline, as of `SDUNet`."""

    spatial_dims: int
    in_channels: int
    out_channels: int
    features: Sequence[int] = (16, 32, 64, 128, 256)
    norm: Spec = ("instance", {"affine": True})
    act: Spec = ("leakyrelu", {"negative_slope": 0.1, "inplace": True})
    dropout: float = 0.0
    upsample: Upsample = "deconv"
    deep_supervision: bool = False
    encoder: Encoder = "plain"
    strides: Sizes | None = None
    kernel_sizes: Sizes | None = None

    @property
    def ends(self) -> tuple[int, int, int]:
        """The first arguments of most networks."""
        return self.spatial_dims, self.in_channels, self.out_channels

    @property
    def five_levels(self) -> tuple[int, ...]:
        """Widths as the two basic networks want them, that of the last stage added."""
        if len(self.features) != 5:
            raise ValueError(f"a basic network has 5 levels, features name {len(self.features)}")
        return (*self.features, self.features[0])


def build_baseline(name: str, **arguments: Any) -> Baseline:
    """Build a network by its name among `BASELINES`, with the arguments of `Wanted`.

    Raises:
        ValueError: if the network cannot be built so.
    """
    wanted = Wanted(**arguments)
    if wanted.spatial_dims not in (2, 3):
        raise ValueError(f"spatial_dims must be 2 or 3, got {wanted.spatial_dims}")
    check_whole(in_channels=wanted.in_channels, out_channels=wanted.out_channels)
    check_whole(features=wanted.features)
    check_share("dropout", wanted.dropout)
    if not wanted.features:
        raise ValueError("features must name the width of each level, got none")
    if name == "swin_unetr" and wanted.features[0] % 12:
        raise ValueError(f"features of {name} must begin with a multiple of 12")
    if wanted.deep_supervision and name not in _SUPERVISED:
        raise ValueError(f"{name} has no deep supervision")
    if name != "dynunet":
        defaults = Wanted(*wanted.ends)
        for argument in ("encoder", "strides", "kernel_sizes"):
            if getattr(wanted, argument) != getattr(defaults, argument):
                raise ValueError(f"{name} has no {argument} to choose")
    if name != "swin_unetr" and len(wanted.features) < 2:
        raise ValueError(f"features must name at least two levels, got {tuple(wanted.features)}")
    network = BASELINES[name](wanted)
    return Baseline(network, wanted.spatial_dims, wanted.in_channels, _multiples(name, wanted))


def _multiples(name: str, w: Wanted) -> tuple[int, ...]:
    if name == "swin_unetr":
        return (32,) * w.spatial_dims
    if w.strides is None:
        return (2 ** (len(w.features) - 1),) * w.spatial_dims
    steps = [one_an_axis("strides", step, w.spatial_dims) for step in w.strides]
    return tuple(map(math.prod, zip(*steps, strict=True)))


def _dilated(w: Wanted) -> nn.Module:
    """Reaches as far as a U-Net of as many levels, at the width of the first."""
    dilations = (*(2**level for level in range(len(w.features))), 1)
    return Dilated(*w.ends, w.features[0], dilations, w.norm, w.act, w.dropout)


def _basic_unet(w: Wanted) -> nn.Module:
    return nets.BasicUNet(
        *w.ends, w.five_levels, w.act, w.norm, dropout=w.dropout, upsample=w.upsample
    )


class _DeepestFirst(nets.BasicUNetPlusPlus):
    def forward(self, x: Tensor) -> list[Tensor]:
        return super().forward(x)[::-1]


def _basic_unet_plus_plus(w: Wanted) -> nn.Module:
    network = _DeepestFirst(
        *w.ends,
        w.five_levels,
        w.deep_supervision,
        w.act,
        w.norm,
        dropout=w.dropout,
        upsample=w.upsample,
    )
    if not w.deep_supervision:  # nothing reads these; DDP refuses what gets no gradient
        for column in (1, 2, 3):
            setattr(network, f"final_conv_0_{column}", nn.Identity())
    return network


def _attention_unet(w: Wanted) -> nn.Module:
    strides = (2,) * (len(w.features) - 1)
    return nets.AttentionUnet(*w.ends, w.features, strides, dropout=w.dropout)


def _segresnet(w: Wanted) -> nn.Module:
    """Doubles its width at each level, from the first on."""
    halvings = len(w.features) - 1
    return nets.SegResNet(
        w.spatial_dims,
        w.features[0],
        w.in_channels,
        w.out_channels,
        dropout_prob=w.dropout or None,
        blocks_down=(1, *(2,) * (halvings - 1), 4),
        blocks_up=(1,) * halvings,
    )


def _dynunet(w: Wanted) -> nn.Module:
    depth = len(w.features)
    steps = (2,) * (depth - 1) if w.strides is None else w.strides
    return nets.DynUNet(
        *w.ends,
        kernel_size=(3,) * depth if w.kernel_sizes is None else w.kernel_sizes,
        strides=(1, *steps),
        upsample_kernel_size=steps,
        res_block=w.encoder == "residual",
        filters=w.features,
        dropout=w.dropout or None,
        norm_name=w.norm,
        act_name=w.act,
        deep_supervision=w.deep_supervision,
        deep_supr_num=max(1, depth - 2),
    )


def _swin_unetr(w: Wanted) -> nn.Module:
    """Has widths of its own; the first must be divisible by 12."""
    return nets.SwinUNETR(
        w.in_channels,
        w.out_channels,
        feature_size=w.features[0],
        drop_rate=w.dropout,
        spatial_dims=w.spatial_dims,
    )


BASELINES = {
    "dilated": _dilated,
    "basic_unet": _basic_unet,
    "basic_unet_plus_plus": _basic_unet_plus_plus,
    "attention_unet": _attention_unet,
    "segresnet": _segresnet,
    "dynunet": _dynunet,
    "swin_unetr": _swin_unetr,
}
_SUPERVISED = ("basic_unet_plus_plus", "dynunet")
