"""Names that a configuration may ask for; `sdunet.nets.registry` builds what they mean."""

from typing import Literal

NetworkName = Literal[
    "sdunet",
    "nested_sdunet",
    "unet",
    "unet_plus_plus",
    "dilated",
    "basic_unet",
    "basic_unet_plus_plus",
    "attention_unet",
    "segresnet",
    "dynunet",
    "swin_unetr",
]
Encoder = Literal["plain", "residual"]
