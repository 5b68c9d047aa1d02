"""Bounds of the log-likelihood from any number of draws, and how much latents vary."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sdunet.vae.models.terms import Terms

# Burda et al., Importance Weighted Autoencoders, 2016, section 5.2.
ACTIVE_VARIANCE = 0.01


def bounds(
    network: Callable[[Tensor], Terms], x: Tensor, samples: int, first: Terms | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ELBO and importance-weighted bound, log-likelihood term `(N,)`, rates `(layers, N)`.

    All are means over `samples` draws but the importance-weighted bound, the logarithm of the
    mean of the weights; the draws are summed as they come. `first` saves one of them.
    """
    terms = network(x) if first is None else first
    elbo, log_weights = terms.elbo, terms.log_weight
    distortion, rates = terms.log_likelihood, terms.rates
    for _ in range(samples - 1):
        terms = network(x)
        elbo = elbo + terms.elbo
        log_weights = torch.logaddexp(log_weights, terms.log_weight)
        distortion = distortion + terms.log_likelihood
        rates = rates + terms.rates
    log_mean = log_weights - math.log(samples)
    return elbo / samples, log_mean, distortion / samples, rates / samples


class Moments:
    """Running mean and variance of each element over images, after Chan et al., 1983."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Take in values, `(N, ...)`."""
        values = values.double().cpu()
        count, mean = len(values), values.mean(0)
        squares = ((values - mean) ** 2).sum(0)
        if not self.count:
            self.count, self.mean, self.squares = count, mean, squares
            return
        total = self.count + count
        shift = mean - self.mean
        self.squares = self.squares + squares + shift**2 * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    def active(self) -> int:
        """Return how many elements vary by more than `ACTIVE_VARIANCE`."""
        return int((self.squares / self.count > ACTIVE_VARIANCE).sum())
