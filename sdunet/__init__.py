"""U-Nets whose decoders sweep: spatial dependency networks for medical image segmentation.

Imported before torch, it chooses how torch's threads wait for each other (see
`sdunet.runtime.threads`).
"""

import os
import sys

from sdunet.runtime.threads import waiting_policy

if "torch" not in sys.modules:  # which reads the choice when it is loaded
    os.environ.update(waiting_policy())

from sdunet.layers import ResSDNLayer, SDNLayer
from sdunet.nets.nested import NestedSDUNet
from sdunet.nets.unet import SDUNet
from sdunet.ops import carry_sweep, sdn_sweep
from sdunet.vae.models.ladder import LadderVAE

__all__ = [
    "LadderVAE",
    "NestedSDUNet",
    "ResSDNLayer",
    "SDNLayer",
    "SDUNet",
    "carry_sweep",
    "sdn_sweep",
]
