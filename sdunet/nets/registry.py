"""Networks by the name a configuration gives them."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, get_args

import torch
from torch import nn

from sdunet.nets.base import SweepingUNet
from sdunet.nets.baselines import BASELINES, Baseline, build_baseline
from sdunet.nets.names import NetworkName
from sdunet.nets.nested import NestedSDUNet
from sdunet.nets.unet import SDUNet

_OURS: dict[str, type[SweepingUNet]] = {"sdunet": SDUNet, "nested_sdunet": NestedSDUNet}
SWEEPING_NETWORKS = tuple(_OURS)
# Networks that take strides and kernel sizes.
FITTING_NETWORKS = ("sdunet", "nested_sdunet", "unet", "unet_plus_plus", "dynunet")
# Each control, and the network it is without sweeps.
_TWINS = {"unet": "sdunet", "unet_plus_plus": "nested_sdunet"}
_SWEEPING = ("sdn_decoder", "sdn_encoder", "num_features", "directions", "residual", "cell", "init")


def build_network(
    name: NetworkName,
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    *,
    features: Sequence[int],
    match_parameters: bool = False,
    **arguments: Any,
) -> nn.Module:
    """Build a network from its name and the arguments of `SDUNet`.

    `"unet"` and `"unet_plus_plus"` are `"sdunet"` and `"nested_sdunet"` without a sweeping level;
    they and the networks of MONAI pass over what the arguments say of sweeps.

    Args:
        name: of the network.
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the image.
        out_channels: number of classes, background included.
        features: channels of each level, full resolution first.
        match_parameters: widen a control until it has as many parameters as its sweeping twin of
            the given arguments.
        arguments: further arguments of `SDUNet`.

    Raises:
        ValueError: if the name is unknown, or an argument does not fit.
    """
    ends: dict[str, Any] = {
        "spatial_dims": spatial_dims,
        "in_channels": in_channels,
        "out_channels": out_channels,
    }
    if name not in get_args(NetworkName):
        raise ValueError(f"network must be one of {get_args(NetworkName)}, got {name!r}")
    if match_parameters and name not in _TWINS:
        raise ValueError(f"match_parameters widens {' or '.join(_TWINS)}, got {name!r}")
    plain = {key: value for key, value in arguments.items() if key not in _SWEEPING}
    if name in BASELINES:
        return build_baseline(name, **ends, features=features, **plain)
    if name in _OURS:
        return _OURS[name](**ends, features=features, **arguments)
    kind = _OURS[_TWINS[name]]
    if match_parameters:
        with torch.device("meta"):
            wanted = count_parameters(kind(**ends, features=features, **arguments))
        control = partial(kind, **ends, **plain, sdn_decoder=())
        return control(features=_widened(features, wanted, control))
    return kind(**ends, features=features, **plain, sdn_decoder=())


def passed_over(name: NetworkName, *, match_parameters: bool, sweeps: bool) -> tuple[str, ...]:
    """Return the arguments of sweeps, where a network has none and is matched to none.

    Args:
        name: of the network.
        match_parameters: whether it is matched to one that sweeps.
        sweeps: whether any of its levels does.
    """
    if name in _OURS:  # whose levels that sweep may be none
        return () if sweeps else _SWEEPING[2:]
    return () if match_parameters else _SWEEPING


def multiples_of(network: nn.Module) -> tuple[int, ...]:
    """Return what the sizes of maps along each axis are brought to multiples of.

    Raises:
        TypeError: if the network is not of `build_network`.
    """
    if not isinstance(network, SweepingUNet | Baseline):
        raise TypeError(f"{type(network).__name__} is no network of this library")
    return tuple(network.multiples)


def count_parameters(network: nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def _widened(features: Sequence[int], wanted: int, build: Callable[..., nn.Module]) -> list[int]:
    """Return features, all widened alike, that come closest to a number of parameters."""

    def wider(deepest: int) -> list[int]:
        return [round(n * deepest / features[-1]) for n in features]

    def count(deepest: int) -> int:
        with torch.device("meta"):
            return count_parameters(build(features=wider(deepest)))

    widths = range(features[-1], 16 * features[-1])
    above = bisect_left(widths, wanted, key=count)
    near = widths[max(0, above - 1) : above + 1]
    return wider(min(near, key=lambda width: abs(count(width) - wanted)))
