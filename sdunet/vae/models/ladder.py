"""The ladder VAE: convolutions up, spatial dependency layers or convolutions down.

Shapes in this file: N batch, H hidden channels, Z latent channels; maps `(N, channels, ...)`.
Layers count from 0, at the image's resolution, upwards. Values are in nats.
"""

from collections.abc import Sequence
from typing import Literal, TypedDict, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from sdunet.cells import CellName, InitName, check_whole
from sdunet.layers import Direction, ResSDNLayer
from sdunet.vae.models.flows import AutoregressiveFlow, MaskedConv2d
from sdunet.vae.models.gaussian import draw_gaussian, gaussian_kl, gaussian_log_prob
from sdunet.vae.models.ladder_plan import Sweeping, plan_layers
from sdunet.vae.models.likelihoods import Likelihood, centred
from sdunet.vae.models.terms import Latent, Terms

PosteriorName = Literal["gaussian", "iaf"]


class CellKind(TypedDict):
    """Cell and initialisation of sweeps, as arguments of `ResSDNLayer`."""

    cell: CellName
    init: InitName


class LadderLayer(nn.Module):
    """One layer of the ladder: a block up, and two blocks down around the latent map.

    Args:
        h_channels: H.
        z_channels: Z.
        posterior: `gaussian`, or `iaf` for a Gaussian moved by an autoregressive flow.
        context_channels: of the flow.
        halve: the layer above has half the resolution.
        top: no layer is above, so that nothing is passed up.
        sweeps: features and directions of the first and of the second block down; None for
            plain convolutions.
        kind: of the sweeps.
    """

    def __init__(
        self,
        h_channels: int,
        z_channels: int,
        *,
        posterior: PosteriorName,
        context_channels: int,
        halve: bool,
        top: bool,
        sweeps: tuple[int, Sequence[Direction], Sequence[Direction]] | None,
        kind: CellKind,
    ) -> None:
        super().__init__()
        self.halve = halve
        context = context_channels if posterior == "iaf" else 0
        self.flow = AutoregressiveFlow(z_channels, context) if context else None
        self.posterior_sizes = (z_channels, z_channels, context)
        q_channels = sum(self.posterior_sizes)
        self.up_sizes = (0 if top else h_channels, q_channels)
        self.down_sizes = (h_channels, q_channels, 2 * z_channels)
        window = (4, 2, 1) if halve else (3, 1, 1)
        self.up_a = nn.Conv2d(h_channels, sum(self.up_sizes), *window)
        self.up_b = None if top else nn.Conv2d(h_channels, 2 * h_channels, 3, padding=1)
        channels_a = (h_channels, sum(self.down_sizes))
        channels_b = (h_channels + z_channels, 2 * h_channels)
        if sweeps is None:
            self.down_a: nn.Module = nn.Conv2d(*channels_a, 3, padding=1)
            conv = nn.ConvTranspose2d if halve else nn.Conv2d
            self.down_b: nn.Module = conv(*channels_b, *window)
        else:
            features, first, second = sweeps
            self.down_a = ResSDNLayer(*channels_a, features, directions=first, **kind)
            self.down_b = ResSDNLayer(
                *channels_b, features, *window, directions=second, upsample=halve, **kind
            )

    def up(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map for the layer above, and what the image says of the posterior."""
        h, q = self.up_a(F.elu(x)).split(self.up_sizes, 1)
        if self.up_b is None:
            return h, q
        h, gate = self.up_b(F.elu(h)).chunk(2, 1)
        x = x[:, :, ::2, ::2] if self.halve else x
        return torch.lerp(x, h, torch.sigmoid(gate - 1)), q

    def look_down(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features for `merge`, what the layers above say of the posterior, the prior."""
        return self.down_a(F.elu(x)).split(self.down_sizes, 1)

    def posterior(self, q: Tensor, prior: Tensor) -> Latent:
        """Draw from the posterior of parameters `q`, and compare it with the prior."""
        mean, log_var, context = q.float().split(self.posterior_sizes, 1)
        prior_mean, prior_log_var = prior.float().chunk(2, 1)
        z = draw_gaussian(mean, log_var)
        log_q = gaussian_log_prob(z, mean, log_var)
        if self.flow is None:
            rate = gaussian_kl(mean, log_var, prior_mean, prior_log_var)
            log_ratio = log_q - gaussian_log_prob(z, prior_mean, prior_log_var)
        else:
            z, log_det = self.flow(z, context)
            log_ratio = log_q - log_det - gaussian_log_prob(z, prior_mean, prior_log_var)
            rate = log_ratio  # the flow leaves no closed form
        return Latent(z, mean, rate.flatten(1).sum(1), log_ratio.flatten(1).sum(1))

    def merge(self, x: Tensor, z: Tensor, features: Tensor) -> Tensor:
        """Return the map for the layer below."""
        h = torch.cat([z.to(features.dtype), features], 1)
        h, gate = self.down_b(F.elu(h)).chunk(2, 1)
        x = F.interpolate(x, scale_factor=2.0) if self.halve else x
        return torch.lerp(x.to(h.dtype), h, torch.sigmoid(gate - 1))


class LadderVAE(nn.Module):
    """Ladder VAE whose way down sweeps at the chosen scales (SDN-VAE), or nowhere (IAF-VAE+).

    The scale of a layer is the longer side of its output on the way down. Directions are dealt
    out in turn: every sweeping block takes the next `sdn_directions` of right, left, down, up.

    Args:
        channels: of the image.
        size: height and width of the image, any. Maps are padded where halving would not fit.
        likelihood: distribution of the image, see `build_likelihood`.
        depth: number of layers.
        downsample_at: layers whose upper neighbour has half the resolution.
        z_channels: Z.
        h_channels: H.
        posterior: see `LadderLayer`; the prior is a diagonal Gaussian.
        context_channels: of the flow; rounded down to a multiple of `z_channels`.
        sdn_max_scale: largest scale that sweeps; 0 for none. From the image's longer side on,
            the last layer, which puts out the likelihood's parameters, sweeps too.
        sdn_min_scale: smallest scale that sweeps.
        sdn_features: features at the largest sweeping scale.
        sdn_features_step: taken off at each halving; never below 50 or `sdn_features`.
        sdn_directions: sweeps of each block, 1 to 4. The last layer takes all four.
        cell: that sweeps, see `Sweep`.
        init: of the sweeps, see `Sweep`.

    Raises:
        ValueError: if an argument is out of its range, or a sweeping scale does not occur.

    Reference:
        Miladinovic et al., Spatial Dependency Networks, ICLR 2021, section 4 and figure 4.
    """

    def __init__(
        self,
        channels: int,
        size: Sequence[int],
        likelihood: Likelihood,
        *,
        depth: int = 15,
        downsample_at: Sequence[int] = (5, 10),
        z_channels: int = 4,
        h_channels: int = 200,
        posterior: PosteriorName = "iaf",
        context_channels: int = 100,
        sdn_max_scale: int = 0,
        sdn_min_scale: int = 0,
        sdn_features: int = 0,
        sdn_features_step: int = 0,
        sdn_directions: int = 2,
        cell: CellName = "carry",
        init: InitName = "reach",
    ) -> None:
        super().__init__()
        check_whole(channels=channels, size=size, depth=depth, z_channels=z_channels)
        check_whole(h_channels=h_channels, context_channels=context_channels)
        check_whole(
            0,
            sdn_max_scale=sdn_max_scale,
            sdn_min_scale=sdn_min_scale,
            sdn_features=sdn_features,
            sdn_features_step=sdn_features_step,
        )
        sweeping = Sweeping(
            sdn_max_scale, sdn_min_scale, sdn_features, sdn_features_step, sdn_directions
        )
        multiple = 2 ** len(set(downsample_at))
        height, width = size
        self.channels, self.size, self.likelihood = channels, (height, width), likelihood
        self.padding, padded = _padded(self.size, multiple)
        plans, last = plan_layers(padded, depth, downsample_at, sweeping)
        self.map_sizes = [plan.size for plan in plans]  # of each layer's output on the way down
        self.sdn_features = {i: plan.features for i, plan in enumerate(plans) if plan.features}
        halved = [tuple(s // 2 if plan.halve else s for s in plan.size) for plan in plans]
        self.z_sizes = [(z_channels, *size) for size in halved]
        self.top_size = halved[-1]
        kind: CellKind = {"cell": cell, "init": init}
        self.first = nn.Conv2d(channels, h_channels, 3, padding=1)
        self.layers = nn.ModuleList(
            LadderLayer(
                h_channels,
                z_channels,
                posterior=posterior,
                context_channels=max(context_channels // z_channels, 1) * z_channels,
                halve=plan.halve,
                top=index == depth - 1,
                sweeps=(plan.features, *plan.directions) if plan.features else None,
                kind=kind,
            )
            for index, plan in enumerate(plans)
        )
        self.top = nn.Parameter(torch.zeros(h_channels))
        out = likelihood.parameters_per_pixel
        self.last: nn.Module = (
            ResSDNLayer(h_channels, out, sdn_features, directions=last, **kind)
            if sdn_max_scale >= max(self.size)
            else nn.Conv2d(h_channels, out, 3, padding=1)
        )
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Terms:
        """Return the terms of the bound for images `x`, `(N, C, *size)` of whole levels."""
        check_images(x, self.channels, self.size)
        h = F.pad(self.first(centred(x, self.likelihood.levels)), self.padding)
        from_image = []
        for layer in self._ladder():
            h, q = layer.up(h)
            from_image.append(q)
        latents: list[Latent] = []
        h = self._top(len(x))
        for layer, q_up in zip(reversed(self._ladder()), reversed(from_image), strict=True):
            features, q_down, prior = layer.look_down(h)
            latents.append(layer.posterior(q_up + q_down, prior))
            h = layer.merge(h, latents[-1].z, features)
        return Terms(self.likelihood.log_prob(self._put_out(h), x), latents)

    def _ladder(self) -> list[LadderLayer]:
        """Return the layers, that beside the image first."""
        return [cast(LadderLayer, layer) for layer in self.layers]

    def decode(
        self, count: int, latents: Sequence[Tensor | None] = (), temperature: float = 1.0
    ) -> Tensor:
        """Return the likelihood's parameters for latents drawn from the prior.

        Args:
            count: N.
            latents: maps to use instead of drawn ones, top layer first, None to draw; layers
                beyond the list are drawn.
            temperature: scales the standard deviation of what is drawn.
        """
        h = self._top(count)
        for index, layer in enumerate(reversed(self._ladder())):
            features, _, prior = layer.look_down(h)
            given = latents[index] if index < len(latents) else None
            mean, log_var = prior.float().chunk(2, 1)
            drawn = draw_gaussian(mean, log_var, temperature)
            h = layer.merge(h, drawn if given is None else given, features)
        return self._put_out(h)

    def sequential_steps(self) -> int:
        """Return the number of lines that a decode updates one after another."""
        steps = 0
        sizes = [(layer.down_a, z[1:]) for layer, z in zip(self.layers, self.z_sizes, strict=True)]
        sizes += [(layer.down_b, s) for layer, s in zip(self.layers, self.map_sizes, strict=True)]
        for block, (height, width) in [*sizes, (self.last, self.size)]:
            if isinstance(block, ResSDNLayer):
                for sweep in block.sdn.sweeps:
                    steps += (width if sweep.direction in ("right", "left") else height) - 1
        return steps

    def _top(self, count: int) -> Tensor:
        return self.top.view(1, -1, 1, 1).expand(count, -1, *self.top_size)

    def _put_out(self, h: Tensor) -> Tensor:
        left, _, above, _ = self.padding
        height, width = self.size
        return self.last(F.elu(h[:, :, above : above + height, left : left + width]))


def _padded(
    size: tuple[int, int], multiple: int
) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Return the padding left, right, above and below that makes sides a multiple, and the sides.

    Maps are padded alike on both sides, and by one more to the right and below where that is odd.
    """
    height, width = (-(-side // multiple) * multiple for side in size)
    more = width - size[1], height - size[0]
    (left, right), (above, below) = ((m // 2, (m + 1) // 2) for m in more)
    return (left, right, above, below), (height, width)


def check_images(x: Tensor, channels: int, size: tuple[int, ...]) -> None:
    """Refuse what is not a batch of images of the given size.

    Raises:
        ValueError: if the shape differs.
    """
    if tuple(x.shape[1:]) != (channels, *size):
        raise ValueError(f"images must be (N, {channels}, {size[0]}, {size[1]}), got {(*x.shape,)}")


def _initialise(module: nn.Module) -> None:
    """Give every convolution orthogonal weights of a learned norm."""
    if not isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        return
    nn.init.orthogonal_(module.weight)
    if isinstance(module, MaskedConv2d):
        module.clear_hidden_weights()
    weight_norm(module, dim=int(isinstance(module, nn.ConvTranspose2d)))
