"""Names of the networks that a configuration may ask for; `sdunet.nets.registry` builds them."""

from typing import Literal

NetworkName = Literal[
    "sdunet",
    "nested_sdunet",
    "unet",
    "unet_plus_plus",
    "basic_unet",
    "basic_unet_plus_plus",
    "attention_unet",
    "segresnet",
    "dynunet",
    "swin_unetr",
]
