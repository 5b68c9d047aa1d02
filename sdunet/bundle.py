"""What a package names in its MONAI bundle: its networks, and the steps of its workflows.

Packages hold these names, so they stay where they are.
"""

from typing import Any

from torch import nn

from sdunet.segmentation.config import network_config
from sdunet.segmentation.inference.predict_folder import predict
from sdunet.segmentation.models.trained_model import build, load_model
from sdunet.segmentation.workflow.fine_tuning import (
    as_masks,
    cases_of_side,
    loss_of,
    prepare_like,
    read_prepared,
)
from sdunet.segmentation.workflow.steps import (
    WindowInferer,
    cases_of,
    check_paths,
    decide,
    has_own_weights,
    load_package,
    read_scan,
    write_label,
)

__all__ = [
    "WindowInferer",
    "as_masks",
    "cases_of",
    "cases_of_side",
    "check_paths",
    "decide",
    "has_own_weights",
    "load_package",
    "loss_of",
    "network_of",
    "predict",
    "prepare_like",
    "read_prepared",
    "read_scan",
    "trained_network",
    "write_label",
]


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
