"""How well a VAE models images it never saw: its bound, its likelihood, and where the bits go."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from sdunet.runtime.torch_errors import not_finite
from sdunet.vae.data.packed import Packed, PackedImages
from sdunet.vae.evaluation.bounds import Moments, bounds
from sdunet.vae.model import Model, check_images_fit, check_same_data


def evaluate(
    model: Model,
    data: Packed,
    *,
    split: str = "test",
    samples: int = 1,
    batch_size: int = 64,
    limit: int | None = None,
    seed: int = 0,
    progress: Callable[[Iterable, str], Iterable] = lambda items, title: items,
) -> dict:
    """Return the bound, and the likelihood by importance sampling, over a split.

    Args:
        model: a trained VAE; it stays on its device.
        data: the image set it was trained on.
        split: `test` or `train`.
        samples: K draws an image. Memory does not grow with them.
        batch_size: images at a time.
        limit: only so many images, from the first on.
        seed: of the draws.
        progress: wraps the loop over batches.

    Returns:
        For `negative_elbo` and `nll` mean, standard error over images and n, both in nats an
        image and in bits a dimension; rate and active units of each layer, top layer first;
        distortion.

    Raises:
        DataError: if the data is not what the model was trained on; RUN_NONFINITE if a bound is
            not finite, naming the images.

    Reference:
        Burda et al., Importance Weighted Autoencoders, 2016, equation 8.
    """
    check_images_fit(model.config.images, data)
    check_same_data(model, data)
    images = PackedImages(data.images(split), data.levels, model.config.images.levels)
    count = len(images) if limit is None else min(limit, len(images))
    if min(count, samples, batch_size) < 1:
        raise ValueError("samples, batch_size and limit must be at least 1")
    device = next(model.network.parameters()).device
    torch.manual_seed(seed)
    elbos: list[Tensor] = []
    likelihoods: list[Tensor] = []
    distortions: list[Tensor] = []
    rates: list[Tensor] = []
    activity: list[Moments] = [Moments() for _ in model.network.z_sizes]
    starts = range(0, count, batch_size)
    with torch.inference_mode(), parametrize.cached():
        for start in progress(starts, "evaluate"):
            stop = min(start + batch_size, count)
            x = torch.stack([images[i] for i in range(start, stop)]).to(device)
            terms = model.network(x)
            for moments, latent in zip(activity, terms.latents, strict=True):
                moments.add(latent.mean)
            found = bounds(model.network, x, samples, terms)
            for kept, value in zip((elbos, likelihoods, distortions, rates), found, strict=True):
                kept.append(value.double().cpu())
            if not (torch.isfinite(elbos[-1]).all() and torch.isfinite(likelihoods[-1]).all()):
                raise not_finite(f"the bound of {split} images {start} to {stop - 1} is not finite")
    dims = math.prod(images[0].shape)
    by_layer = torch.cat(rates, 1).mean(1).tolist()
    bits = dims * math.log(2)
    return {
        "split": split,
        "images_sha256": data.splits[split]["sha256"],
        "n": count,
        "samples": samples,
        "dimensions": dims,
        "levels": model.config.images.levels,
        "negative_elbo": _summary(-torch.cat(elbos), bits),
        "nll": _summary(-torch.cat(likelihoods), bits),
        "distortion": _summary(-torch.cat(distortions), bits),
        "layers": [
            {
                "shape": list(size),
                "rate_nats": rate,
                "rate_bits_per_dim": rate / bits,
                "active_units": moments.active(),
                "units": math.prod(size),
            }
            for size, rate, moments in zip(_top_first(model), by_layer, activity, strict=True)
        ],
    }


def _top_first(model: Model) -> list:
    return list(reversed(model.network.z_sizes))


def _summary(nats: Tensor, bits: float) -> dict:
    """Return mean and standard error in nats and in bits a dimension; no error from one image."""
    mean = nats.mean().item()
    error = (nats.std() / math.sqrt(len(nats))).item() if len(nats) > 1 else None
    return {
        "nats": mean,
        "nats_standard_error": error,
        "bits_per_dim": mean / bits,
        "bits_per_dim_standard_error": None if error is None else error / bits,
        "n": len(nats),
    }
