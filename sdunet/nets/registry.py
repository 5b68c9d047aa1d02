"""Networks by the name a configuration gives them."""

from typing import Literal

from sdunet.nets.unet import SDUNet

NetworkName = Literal["sdunet", "unet"]


def build_network(
    name: NetworkName, spatial_dims: int, in_channels: int, out_channels: int, **arguments: object
) -> SDUNet:
    """Build a network from its name and the arguments of `SDUNet`.

    `"unet"` is the same network without a sweeping level, whatever the arguments say of them.

    Raises:
        ValueError: if the name is unknown, or an argument does not fit.
    """
    if name == "unet":
        arguments |= {"sdn_decoder": (), "sdn_encoder": ()}
    elif name != "sdunet":
        raise ValueError(f"network must be 'sdunet' or 'unet', got {name!r}")
    return SDUNet(spatial_dims, in_channels, out_channels, **arguments)
