"""What a VAE has learned, as pictures: samples, interpolations, neighbours, reconstructions.

Images are uint8 levels, `(N, C, H, W)`.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from sdunet.runtime.torch_errors import not_finite
from sdunet.vae.model import VAE

BLOCK = 1000  # stored images read at a time
_BATCH = 64  # images decoded at a time: their parameters take many times what they do


def sample(
    network: VAE,
    count: int,
    *,
    temperature: float = 1.0,
    latents: Sequence[Tensor | None] = (),
    pixels: bool = False,
) -> Tensor:
    """Return sampled images.

    Args:
        network: the VAE.
        count: how many.
        temperature: scales the standard deviation of the latents' draws, from 0 on.
        latents: fixed latents, see `LadderVAE.decode`.
        pixels: also draw each pixel from its distribution, a true sample of the model at
            temperature 1; otherwise its likeliest component's mean.

    Raises:
        DataError: RUN_NONFINITE if the model gives NaN or infinity.
    """
    with torch.inference_mode(), parametrize.cached():
        draw = network.likelihood.sample if pixels else network.likelihood.mode
        images = []
        for start in range(0, count, _BATCH):
            here = slice(start, min(start + _BATCH, count))
            fixed = [None if z is None else z[here] for z in latents]
            params = network.decode(here.stop - start, fixed, temperature)
            if not torch.isfinite(params).all():  # or pictures of NaN would look like images
                raise not_finite("what the model decodes is not finite")
            images.append(draw(params))
        return torch.cat(images)


def reconstruct(network: VAE, images: Tensor) -> Tensor:
    """Return the images as decoded from one draw of their posterior."""
    made = []
    for some in images.split(_BATCH):
        with torch.inference_mode(), parametrize.cached():
            latents = [latent.z for latent in network(some).latents]
        made.append(sample(network, len(some), latents=latents))
    return torch.cat(made)


def interpolate(
    network: VAE,
    ends: Tensor,
    steps: int,
    *,
    layers: int | None = None,
    temperature: float = 0.7,
) -> Tensor:
    """Return `steps` images from one to another, along straight lines between their latents.

    Args:
        network: the VAE.
        ends: the two images, `(2, C, H, W)`.
        steps: images to make, at equal distances, the ends' own latents first and last.
        layers: only the top so many layers hold interpolated latents, the same draw for all
            images filling the others; default: all layers.
        temperature: of the layers that are drawn.
    """
    with torch.inference_mode(), parametrize.cached():
        latents = [latent.z for latent in network(ends).latents]
    kept = len(latents) if layers is None else layers
    if not 1 <= kept <= len(latents):
        raise ValueError(f"layers must be from 1 to {len(latents)}, got {layers}")
    seed = int(torch.randint(2**31, ()))
    images = []
    for share in torch.linspace(0, 1, steps):
        torch.manual_seed(seed)
        between = [torch.lerp(z[:1], z[1:], float(share)) for z in latents[:kept]]
        images.append(sample(network, 1, latents=between, temperature=temperature))
    return torch.cat(images)


def nearest(
    images: Tensor,
    among: np.ndarray,
    count: int,
    *,
    merge: int = 1,
    block: int = BLOCK,
    progress: Callable[[Iterable, str], Iterable] = lambda items, title: items,
) -> np.ndarray:
    """Return the indices `(N, count)` of the nearest images by squared error, nearest first.

    Args:
        images: queries.
        among: stored images, read by blocks.
        count: neighbours of each query.
        merge: stored levels that make one level of the queries.
        block: images read at a time.
        progress: wraps the loop over blocks.
    """
    queries = images.flatten(1).double()
    count = min(count, len(among))
    distances = torch.empty(len(queries), 0, dtype=torch.float64)
    indices = torch.empty(len(queries), 0, dtype=torch.int64)
    for start in progress(range(0, len(among), block), "neighbours"):
        stored = torch.from_numpy(among[start : start + block] // merge).flatten(1).double()
        found = torch.cdist(queries, stored, compute_mode="donot_use_mm_for_euclid_dist")
        places = torch.arange(start, start + len(stored)).expand(len(queries), -1)
        distances, indices = torch.cat([distances, found], 1), torch.cat([indices, places], 1)
        distances, best = distances.topk(min(count, distances.shape[1]), largest=False)
        indices = indices.gather(1, best)
    return indices.numpy()


def traverse(network: VAE, image: Tensor, values: Sequence[float] = (-3, -2, -1, 0, 1, 2, 3)):
    """Return images that change one latent at a time: rows by latent, columns by value.

    Args:
        network: a VAE of one latent vector.
        image: where the other latents come from, `(1, C, H, W)`.
        values: what the changed latent is set to.

    Raises:
        ValueError: if the network has latent maps.
    """
    if len(network.z_sizes) != 1 or len(network.z_sizes[0]) != 1:
        raise ValueError("a traversal needs a VAE of one latent vector (model: vanilla)")
    with torch.inference_mode():
        mean = network(image).latents[0].mean
    rows = []
    for index in range(mean.shape[1]):
        z = mean.repeat(len(values), 1)
        z[:, index] = torch.tensor(values, dtype=z.dtype)
        rows.append(sample(network, len(values), latents=[z]))
    return torch.cat(rows)
