"""What a package names in its MONAI bundle: its networks, and prediction with them.

Packages hold these names, so they stay where they are.
"""

from typing import Any

from torch import nn

from sdunet.segmentation.config import network_config
from sdunet.segmentation.inference.predict_folder import predict
from sdunet.segmentation.models.trained_model import build, load_model

__all__ = ["network_of", "predict", "trained_network"]


def trained_network(folder: str) -> nn.Module:
    """Return the trained network of a package, which is verified.

    Raises:
        DataError: as `load_model`.
    """
    return load_model(folder).network


def network_of(spatial_dims: int, in_channels: int, out_channels: int, **network: Any) -> nn.Module:
    """Return an untrained network of a `NetworkConfig`; what `configs/inference.json` names.

    Raises:
        DataError: CONFIG_NETWORK if an argument does not fit.
    """
    return build(network_config(network), spatial_dims, in_channels, out_channels)
