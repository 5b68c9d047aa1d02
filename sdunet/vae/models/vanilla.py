"""The VAE of one latent vector, whose decoder may hold SDN layers: for disentanglement.

Shapes in this file: N batch, Z length of the latent vector.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

import torch
from torch import Tensor, nn

from sdunet.cells import CellName, InitName, check_whole
from sdunet.layers import Direction, SDNLayer
from sdunet.vae.models.gaussian import draw_gaussian, gaussian_kl, gaussian_log_prob
from sdunet.vae.models.ladder import check_images
from sdunet.vae.models.likelihoods import Likelihood, centred
from sdunet.vae.models.terms import Latent, Terms

_DIRECTIONS: tuple[Direction, ...] = get_args(Direction)[:4]


class VanillaVAE(nn.Module):
    """Four convolutions to a Gaussian vector, and four enlarging layers back to the image.

    Args:
        channels: of the image.
        size: height and width of the image, multiples of 16.
        likelihood: distribution of the image, see `build_likelihood`.
        z_size: Z.
        decoder_channels: of the maps that the four enlarging layers take in.
        sdn_scales: longer sides of the maps that an `SDNLayer` puts out, instead of a transposed
            convolution; 1/8, 1/4 and 1/2 of the image, or the image itself.
        sdn_features: features that are swept.
        sdn_directions: sweeps of each SDN layer, 1 to 4, dealt out in turn.
        cell: that sweeps, see `Sweep`.
        init: of the sweeps, see `Sweep`.

    Raises:
        ValueError: if the size does not fit, a number is out of its range, or a scale does not
            occur.

    Reference:
        Miladinovic et al., Spatial Dependency Networks, ICLR 2021, section 5.3; the networks are
        those of Higgins et al., beta-VAE, 2017.
    """

    def __init__(
        self,
        channels: int,
        size: Sequence[int],
        likelihood: Likelihood,
        *,
        z_size: int = 10,
        decoder_channels: Sequence[int] = (64, 64, 32, 32),
        sdn_scales: Sequence[int] = (),
        sdn_features: int = 200,
        sdn_directions: int = 1,
        cell: CellName = "carry",
        init: InitName = "reach",
    ) -> None:
        super().__init__()
        check_whole(channels=channels, z_size=z_size, decoder_channels=decoder_channels)
        if len(size) != 2 or any(side < 16 or side % 16 for side in size):
            raise ValueError(f"size must be multiples of 16, got {tuple(size)}")
        if not 1 <= sdn_directions <= 4:
            raise ValueError(f"sdn_directions must be from 1 to 4, got {sdn_directions}")
        if sdn_scales:
            check_whole(sdn_features=sdn_features)
        if len(decoder_channels) != 4:
            raise ValueError(f"decoder_channels must be four, got {tuple(decoder_channels)}")
        scales = [max(size) // shrink for shrink in (8, 4, 2, 1)]
        wrong = [scale for scale in sdn_scales if scale not in scales]
        if wrong:
            raise ValueError(f"sdn_scales must be among {scales}, got {wrong}")
        self.channels = channels
        self.size = tuple(size)
        self.likelihood = likelihood
        self.z_sizes = [(z_size,)]
        top = tuple(side // 16 for side in size)
        widths = (channels, 32, 32, 64, 64)
        halving = [
            module
            for before, after in pairwise(widths)
            for module in (nn.Conv2d(before, after, 4, 2, 1), nn.ReLU())
        ]
        self.encoder = nn.Sequential(
            *halving, nn.Flatten(), nn.Linear(64 * math.prod(top), 2 * z_size)
        )
        self.decoder = nn.Sequential(
            nn.Linear(z_size, 256),
            nn.ReLU(),
            nn.Linear(256, decoder_channels[0] * math.prod(top)),
            nn.ReLU(),
            nn.Unflatten(1, (decoder_channels[0], *top)),
        )
        widths = (*decoder_channels, likelihood.parameters_per_pixel)
        dealt = 0
        for scale, (before, after) in zip(scales, pairwise(widths), strict=True):
            if scale in sdn_scales:
                turns = [_DIRECTIONS[i % 4] for i in range(dealt, dealt + sdn_directions)]
                dealt += sdn_directions
                layer: nn.Module = SDNLayer(
                    *(before, after, sdn_features, 4, 2, 1),
                    directions=turns,
                    upsample=True,
                    cell=cell,
                    init=init,
                )
            else:
                layer = nn.ConvTranspose2d(before, after, 4, 2, 1)
            self.decoder.append(layer)
            if scale != scales[-1]:
                self.decoder.append(nn.ReLU())
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Terms:
        """Return the terms of the bound for images `x`, `(N, C, *size)` of whole levels."""
        check_images(x, self.channels, self.size)
        encoded = self.encoder(centred(x, self.likelihood.levels))
        mean, log_var = encoded.float().chunk(2, 1)
        z = draw_gaussian(mean, log_var)
        zero = torch.zeros_like(mean)
        rate = gaussian_kl(mean, log_var, zero, zero)
        log_ratio = gaussian_log_prob(z, mean, log_var) - gaussian_log_prob(z, zero, zero)
        latent = Latent(z, mean, rate.sum(1), log_ratio.sum(1))
        return Terms(self.likelihood.log_prob(self.decoder(z), x), [latent])

    def decode(
        self, count: int, latents: Sequence[Tensor | None] = (), temperature: float = 1.0
    ) -> Tensor:
        """Return the likelihood's parameters; arguments as in `LadderVAE.decode`."""
        if latents and latents[0] is not None:
            return self.decoder(latents[0])
        mean = torch.zeros(count, *self.z_sizes[0], device=next(self.decoder.parameters()).device)
        return self.decoder(draw_gaussian(mean, mean, temperature))

    def sequential_steps(self) -> int:
        """Return the number of lines that a decode updates one after another."""
        steps, sides = 0, [side // 16 for side in self.size]
        for layer in self.decoder:
            if isinstance(layer, (SDNLayer, nn.ConvTranspose2d)):
                sides = [2 * side for side in sides]
            if isinstance(layer, SDNLayer):
                for sweep in layer.sweeps:
                    steps += sides[sweep.direction in ("right", "left")] - 1
        return steps


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.orthogonal_(module.weight)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 0.02)
