"""Distributions of images over whole grey levels, given what a decoder puts out.

Shapes in this file: images `(N, C, H, W)` of integers from 0 to `levels - 1`; parameters
`(N, parameters, H, W)`. Log-probabilities are in nats, one a image. Every distribution sums to
one over its levels: the outermost levels take all that lies beyond them.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdunet.cells import check_whole

LikelihoodName = Literal["mixture", "logistic", "bernoulli"]


def centred(x: Tensor, levels: int) -> Tensor:
    """Return levels 0 to `levels - 1` as floats from -1 to 1."""
    return x.float() * (2 / (levels - 1)) - 1


def to_levels(x: Tensor, levels: int) -> Tensor:
    """Return the nearest levels of values in -1 to 1, as uint8; what lies outside is clamped."""
    return ((x + 1) * ((levels - 1) / 2)).round().clamp(0, levels - 1).to(torch.uint8)


def discretised_logistic_log_prob(
    x: Tensor, mean: Tensor, log_scale: Tensor, levels: int
) -> Tensor:
    r"""Return the log-probability of each level under a logistic cut into `levels` bins.

    With a and b the standardised upper and lower edge of the bin,
    $\sigma(a) - \sigma(b) = \sigma(a)\,\sigma(-b)\,(1 - e^{b - a})$, of which every factor has
    an exact logarithm however far out the bin lies.

    Args:
        x: levels scaled to -1 to 1, see `centred`.
        mean: on the same scale.
        log_scale: logarithm of the logistic's scale.
        levels: number of bins.
    """
    half = 1 / (levels - 1)
    narrow = torch.exp(-log_scale)
    upper = (x - mean + half) * narrow
    lower = (x - mean - half) * narrow
    below = F.logsigmoid(upper)
    above = F.logsigmoid(-lower)
    inside = below + above + torch.log(-torch.expm1(-2 * half * narrow))
    return torch.where(x < half - 1, below, torch.where(x > 1 - half, above, inside))


def _mean(mean: Tensor, log_scale: Tensor) -> Tensor:
    return mean


def _draw_logistic(mean: Tensor, log_scale: Tensor) -> Tensor:
    u = torch.rand_like(mean).clamp(1e-7, 1 - 1e-7)
    return mean + torch.exp(log_scale) * (torch.log(u) - torch.log1p(-u))


class Mixture(nn.Module):
    r"""Mixture of discretised logistics; the means of green and blue lean on the channels before.

    Parameters of a pixel: K weights, K means and K log-scales a channel, and with three channels
    3 K coefficients.

    Reference:
        Salimans et al., PixelCNN++, 2017, equations 1 to 3. Bins are integrated exactly here
        (see `discretised_logistic_log_prob`), without its special cases.
    """

    def __init__(self, channels: int, levels: int, mixtures: int) -> None:
        super().__init__()
        check_whole(mixtures=mixtures)
        self.channels = channels
        self.levels = levels
        self.mixtures = mixtures
        self.couplings = channels * (channels - 1) // 2
        self.parameters_per_pixel = mixtures * (1 + 2 * channels + self.couplings)

    def _unpack(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n, _, h, w = params.shape
        params = params.float().view(n, self.mixtures, -1, h, w)  # (N, K, 1 + 2C + couplings, H, W)
        sizes = (1, self.channels, self.channels, self.couplings)
        weights, means, log_scales, coefficients = params.split(sizes, 2)
        log_weights = torch.log_softmax(weights.squeeze(2), 1)  # (N, K, H, W)
        return log_weights, means, log_scales.clamp_min(-7), torch.tanh(coefficients)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-probability of each image, `(N,)`."""
        log_weights, means, log_scales, coefficients = self._unpack(params)
        x = centred(x, self.levels).unsqueeze(1)  # (N, 1, C, H, W)
        means = torch.stack(
            [means[:, :, c] + self._lean(x, coefficients, c) for c in range(self.channels)],
            2,
        )
        by_channel = discretised_logistic_log_prob(x, means, log_scales, self.levels)
        pixels = torch.logsumexp(log_weights + by_channel.sum(2), 1)
        return pixels.flatten(1).sum(1)

    def sample(self, params: Tensor) -> Tensor:
        """Draw an image from the distribution, uint8."""
        log_weights, means, log_scales, coefficients = self._unpack(params)
        noise = -torch.log(-torch.log(torch.rand_like(log_weights).clamp(1e-7, 1 - 1e-7)))
        chosen = (log_weights + noise).argmax(1)  # Gumbel's way to draw a category
        return self._image(chosen, means, log_scales, coefficients, _draw_logistic)

    def mode(self, params: Tensor) -> Tensor:
        """Return the mean of each pixel's likeliest component, uint8: a picture without noise."""
        log_weights, means, log_scales, coefficients = self._unpack(params)
        return self._image(log_weights.argmax(1), means, log_scales, coefficients, _mean)

    def _image(self, chosen, means, log_scales, coefficients, draw) -> Tensor:
        one = chosen[:, None, None]  # (N, 1, 1, H, W)
        means, log_scales, coefficients = (
            p.gather(1, one.expand(-1, -1, p.shape[2], -1, -1))
            for p in (means, log_scales, coefficients)
        )
        image: list[Tensor] = []
        x = torch.zeros_like(means)
        for c in range(self.channels):
            mean = means[:, 0, c] + self._lean(x, coefficients, c)[:, 0]
            image.append(to_levels(draw(mean, log_scales[:, 0, c]), self.levels))
            x[:, 0, c] = centred(image[-1], self.levels)
        return torch.stack(image, 1)

    def _lean(self, x: Tensor, coefficients: Tensor, channel: int) -> Tensor:
        first = channel * (channel - 1) // 2
        lean = coefficients[:, :, first : first + channel] * x[:, :, :channel]
        return lean.sum(2)


class Logistic(nn.Module):
    """A discretised logistic a value, all of one learned scale."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.parameters_per_pixel = channels
        self.log_scale = nn.Parameter(torch.zeros(()))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-probability of each image, `(N,)`."""
        x = centred(x, self.levels)
        values = discretised_logistic_log_prob(x, params.float(), self.log_scale, self.levels)
        return values.flatten(1).sum(1)

    def sample(self, params: Tensor) -> Tensor:
        """Draw an image from the distribution, uint8."""
        return to_levels(_draw_logistic(params.float(), self.log_scale), self.levels)

    def mode(self, params: Tensor) -> Tensor:
        """Return the nearest levels of the means, uint8."""
        return to_levels(params.float(), self.levels)


class Bernoulli(nn.Module):
    """Images of two levels; parameters are the logits of level 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.levels = 2
        self.parameters_per_pixel = channels

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the log-probability of each image, `(N,)`."""
        logits = params.float()
        losses = F.binary_cross_entropy_with_logits(logits, x.float(), reduction="none")
        return -losses.flatten(1).sum(1)

    def sample(self, params: Tensor) -> Tensor:
        """Draw an image from the distribution, uint8."""
        return torch.bernoulli(torch.sigmoid(params.float())).to(torch.uint8)

    def mode(self, params: Tensor) -> Tensor:
        """Return the likelier level of each value, uint8."""
        return (params > 0).to(torch.uint8)


Likelihood = Mixture | Logistic | Bernoulli


def build_likelihood(
    name: LikelihoodName, channels: int, levels: int, mixtures: int = 10
) -> Likelihood:
    """Build a likelihood by name.

    Raises:
        ValueError: for channels other than 1 and 3, fewer than two levels or more than 256, or a
            Bernoulli of other than two levels.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    if not 2 <= levels <= 256:
        raise ValueError(f"levels must be from 2 to 256, got {levels}")
    if name == "bernoulli":
        if levels != 2:
            raise ValueError(f"likelihood bernoulli needs levels 2, got {levels}")
        return Bernoulli(channels)
    if name == "logistic":
        return Logistic(channels, levels)
    return Mixture(channels, levels, mixtures)
