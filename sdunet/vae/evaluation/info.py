"""What a configuration builds, without building it: parameters, scales, sequential steps."""

import torch

from sdunet.vae.config import VAEConfig
from sdunet.vae.model import build_vae, count_parameters
from sdunet.vae.models.ladder import LadderVAE


def describe(config: VAEConfig) -> dict:
    """Return parameters (total and by part), sweeping scales and sequential steps of a decode.

    Raises:
        DataError: CONFIG_MODEL if an argument does not fit.
    """
    with torch.device("meta"):  # shapes alone: full-size models take no memory
        network = build_vae(config)
    if isinstance(network, LadderVAE):
        scales = {
            max(network.map_sizes[layer]): features
            for layer, features in network.sdn_features.items()
        }
    else:
        scales = dict.fromkeys(config.vanilla.sdn_scales, config.vanilla.sdn_features)
    return {
        "model": config.model,
        "parameters": count_parameters(network),
        "sdn_scales": [{"scale": s, "features": f} for s, f in scales.items()],
        "sequential_steps": network.sequential_steps(),
        "images": {
            "channels": config.images.channels,
            "size": list(config.images.size),
            "levels": config.images.levels,
        },
    }
