"""How well single latents stand for single factors: two metrics.

Both take `encode`, which maps uint8 images `(N, C, H, W)` to posterior means `(N, Z)`, and draw
from a set that holds images of known factors `(N, F)`.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

Encode = Callable[[np.ndarray], np.ndarray]
# Kim and Mnih leave out latents that the encoder hardly uses: by their standard deviation.
_INACTIVE = 0.05


def factor_vae_score(
    encode: Encode,
    images: np.ndarray,
    factors: np.ndarray,
    *,
    votes: int = 800,
    batch: int = 64,
    seed: int = 0,
) -> float:
    """Return how often the least varying latent tells which factor was held fixed, 0 to 1.

    A vote holds one value of a random factor fixed, draws `batch` images, and names the latent
    whose variance, as a share of its variance over all images, is least. A latent is taken to
    mean the factor most of its votes were cast under; the score is the accuracy of that rule on
    as many new votes. With no latent in use it is 0.

    Raises:
        ValueError: if images and factors differ in number, or no factor varies.

    Reference:
        Kim and Mnih, Disentangling by Factorising, 2018, section 4.
    """
    rng = np.random.default_rng(seed)
    varying = _check(images, factors)
    codes = _encode_all(encode, images)
    deviation = codes.std(0)
    active = deviation > _INACTIVE
    if not active.any():
        return 0.0
    codes = codes[:, active] / deviation[active]

    def count_votes() -> np.ndarray:
        counts = np.zeros((codes.shape[1], factors.shape[1]), int)
        for _ in range(votes):
            factor = rng.choice(varying)
            chosen = rng.choice(_sharing(factors, factor, rng), batch)
            counts[codes[chosen].var(0).argmin(), factor] += 1
        return counts

    rule = count_votes().argmax(1)
    judged = count_votes()
    return float(judged[np.arange(len(rule)), rule].sum() / votes)


def beta_vae_score(
    encode: Encode,
    images: np.ndarray,
    factors: np.ndarray,
    *,
    points: int = 1000,
    batch: int = 64,
    seed: int = 0,
) -> float:
    """Return how well a linear classifier tells which factor pairs of images share, 0 to 1.

    A point holds one factor alike within each of `batch` pairs of images, and is the mean
    distance |z1 - z2| of their codes, latent by latent. The classifier is fitted on `points`
    points and scored on as many new ones.

    Raises:
        ValueError: if images and factors differ in number, or no factor varies.

    Reference:
        Higgins et al., beta-VAE, 2017, section 3.
    """
    rng = np.random.default_rng(seed)
    varying = _check(images, factors)
    codes = _encode_all(encode, images)

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        distances, shared = [], rng.choice(varying, points)
        for factor in shared:
            pairs = [rng.choice(_sharing(factors, factor, rng), 2) for _ in range(batch)]
            first, second = codes[np.array(pairs).T]
            distances.append(np.abs(first - second).mean(0))
        labels = np.searchsorted(varying, shared)
        return torch.from_numpy(np.array(distances)), torch.from_numpy(labels)

    x, y = draw()
    mean, spread = x.mean(0), x.std(0).clamp_min(1e-12)
    classifier = _fit_linear((x - mean) / spread, y, len(varying))
    x, y = draw()
    with torch.no_grad():
        guessed = classifier((x - mean) / spread).argmax(1)
    return float((guessed == y).double().mean())


def _fit_linear(x: torch.Tensor, y: torch.Tensor, classes: int) -> nn.Linear:
    linear = nn.Linear(x.shape[1], classes, dtype=x.dtype)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    optimizer = torch.optim.LBFGS(linear.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(linear(x), y) + 1e-4 * linear.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return linear


def _sharing(factors: np.ndarray, factor: int, rng: np.random.Generator) -> np.ndarray:
    """Return the images that share a random value of a factor."""
    value = factors[rng.integers(len(factors)), factor]
    return np.flatnonzero(factors[:, factor] == value)


def _encode_all(encode: Encode, images: np.ndarray, block: int = 256) -> np.ndarray:
    blocks = [encode(images[start : start + block]) for start in range(0, len(images), block)]
    return np.concatenate(blocks).astype(np.float64)


def _check(images: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the factors that vary."""
    if factors.ndim != 2 or len(images) != len(factors):
        raise ValueError(
            f"factors must be (N, F) for {len(images)} images, got {tuple(factors.shape)}"
        )
    varying = np.flatnonzero(factors.min(0) < factors.max(0))
    if not len(varying):
        raise ValueError("at least one factor must vary")
    return varying
