"""What a VAE says of a batch of images: the terms of its bound. All values are in nats."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Latent:
    """A draw from the posterior of one layer.

    Args:
        z: the draw, `(N, ...)`.
        mean: mean of the posterior before any flow, shaped like `z`.
        rate: estimate of the KL divergence from posterior to prior, exact where a closed form
            is known, `(N,)`.
        log_ratio: log q(z) - log p(z) of the draw, `(N,)`.
    """

    z: Tensor
    mean: Tensor
    rate: Tensor
    log_ratio: Tensor


@dataclass(frozen=True)
class Terms:
    """The terms of the evidence lower bound (ELBO) of each image.

    Args:
        log_likelihood: log p(x | z), `(N,)`; its negative is the distortion.
        latents: top layer first.
    """

    log_likelihood: Tensor
    latents: list[Latent]

    @property
    def rates(self) -> Tensor:
        """The rate of each layer, top first, `(layers, N)`."""
        return torch.stack([latent.rate for latent in self.latents])

    @property
    def elbo(self) -> Tensor:
        """The bound of each image, `(N,)`."""
        return self.log_likelihood - self.rates.sum(0)

    @property
    def log_weight(self) -> Tensor:
        """Log p(x, z) - log q(z | x) of the draw, `(N,)`: the logarithm of an importance weight."""
        return self.log_likelihood - sum(latent.log_ratio for latent in self.latents)

    def objective(self, free_bits: float = 0.0, beta: float = 1.0) -> Tensor:
        r"""Return what training minimises, a scalar.

        $$-\frac1N \sum_n \log p(x_n | z_n) + \beta \sum_l \max\Big(\lambda,
          \frac1N \sum_n \mathrm{KL}_{l, n}\Big)$$

        A layer whose mean rate over the batch is below $\lambda$ costs nothing, and is not
        pushed down further.

        Args:
            free_bits: lambda, in nats a layer and image.
            beta: weight of the rates.

        Reference:
            Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow,
            2016, appendix C.8, by layer instead of by group of channels.
        """
        rates = self.rates.mean(1).clamp_min(free_bits)
        return beta * rates.sum() - self.log_likelihood.mean()
