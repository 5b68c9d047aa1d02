"""Dilated convolutions at full resolution: a control that sees far without sweeps."""

from collections.abc import Sequence

from monai.networks.blocks import Convolution
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from sdunet.nets.stages import Spec


class Dilated(nn.Module):
    """Convolutions at full resolution that reach ever farther, each added to what it gets.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the image.
        out_channels: number of classes, background included.
        width: channels of every layer.
        dilations: of each layer after the first.
        norm: normalisation of every convolution.
        act: activation after every convolution.
        dropout: probability of dropping a value after each convolution, 0 to below 1.

    Shape:
        `(N, in_channels, ...)` of any size; the logits `(N, out_channels, ...)`.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        width: int,
        dilations: Sequence[int],
        norm: Spec,
        act: Spec,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()

        def layer(channels: int, dilation: int) -> nn.Module:
            return Convolution(
                spatial_dims,
                channels,
                width,
                dilation=dilation,
                norm=norm,
                act=act,
                dropout=dropout or None,
            )

        self.stem = layer(in_channels, 1)
        self.layers = nn.ModuleList(layer(width, dilation) for dilation in dilations)
        self.head = Conv["conv", spatial_dims](width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(N, out_channels, ...)`."""
        x = self.stem(x)
        for layer in self.layers:
            x = x + layer(x)
        return self.head(x)
