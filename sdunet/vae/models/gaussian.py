"""Diagonal Gaussians of latent maps, given by mean and log-variance. Values are in nats."""

import math

import torch
from torch import Tensor


def gaussian_log_prob(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Return the log-density of each element of `z`; all shapes alike."""
    return -0.5 * (math.log(2 * math.pi) + log_var + (z - mean) ** 2 * torch.exp(-log_var))


def gaussian_kl(mean: Tensor, log_var: Tensor, to_mean: Tensor, to_log_var: Tensor) -> Tensor:
    """Return the KL divergence of each element, from the first Gaussian to the second."""
    ratio = torch.exp(log_var - to_log_var)
    shift = (mean - to_mean) ** 2 * torch.exp(-to_log_var)
    return 0.5 * (ratio + shift - 1 - (log_var - to_log_var))


def draw_gaussian(mean: Tensor, log_var: Tensor, temperature: float = 1.0) -> Tensor:
    """Return a sample; the temperature, from 0 on, scales the standard deviation."""
    return mean + temperature * torch.exp(0.5 * log_var) * torch.randn_like(mean)
