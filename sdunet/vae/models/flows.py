"""Inverse autoregressive flow over a latent map, in the order of reading: rows, then columns.

Shapes in this file: latents `(N, Z, H, W)`, context `(N, X, H, W)`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedConv2d(nn.Conv2d):
    """A 3x3 convolution that sees only the cells read before, all channels of them.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        include_centre: also see the cell itself, as every convolution after the first may.

    Reference:
        van den Oord et al., Pixel Recurrent Neural Networks, 2016, section 3.4.
    """

    def __init__(self, in_channels: int, out_channels: int, *, include_centre: bool) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)
        self.visible = 5 if include_centre else 4  # of the nine weights, in the order of reading
        self.clear_hidden_weights()

    @torch.no_grad()
    def clear_hidden_weights(self) -> None:
        """Set what the mask hides to zero, so that a norm of the weights does not count it."""
        self.weight.mul_(self.mask())

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of `x`, `(N, in_channels, H, W)`."""
        return F.conv2d(x, self.weight * self.mask(), self.bias, padding=1)

    def mask(self) -> Tensor:
        """Return which weights of the kernel are used, `(3, 3)`."""
        mask = self.weight.new_zeros(9)
        mask[: self.visible] = 1
        return mask.view(3, 3)


class AutoregressiveFlow(nn.Module):
    r"""One step of an inverse autoregressive flow, conditioned on a context.

    $$z' = (z - 0.1\, m) / \exp(0.1\, s)$$

    where m and s of a cell come from the cells read before it and from the context of those and
    of itself.

    Args:
        z_channels: channels of the latent map.
        context_channels: channels of the context, and of the hidden maps.

    Reference:
        Kingma et al., Improving Variational Inference with Inverse Autoregressive Flow, 2016.
    """

    def __init__(self, z_channels: int, context_channels: int) -> None:
        super().__init__()
        self.first = MaskedConv2d(z_channels, context_channels, include_centre=False)
        self.hidden = MaskedConv2d(context_channels, context_channels, include_centre=True)
        self.last = MaskedConv2d(context_channels, 2 * z_channels, include_centre=True)

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the transformed latents, and log |dz'/dz| of each element."""
        h = F.elu(self.first(z) + context)
        mean, log_scale = (0.1 * self.last(F.elu(self.hidden(h)))).chunk(2, 1)
        return (z - mean) * torch.exp(-log_scale), -log_scale
