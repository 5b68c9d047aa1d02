"""U-Nets whose decoders sweep: spatial dependency networks for medical image segmentation.

Imported before torch, it chooses how torch's threads wait for each other (see
`sdunet.runtime.threads`).
"""

import os
import sys
from typing import TYPE_CHECKING

from lazy_loader import attach

from data_prep.core.errors import DataError
from data_prep.parent_process import end_with_leader
from sdunet.runtime.threads import waiting_policy

if "torch" not in sys.modules:
    end_with_leader()  # or it would outlive its leader for the seconds that torch takes to load
    # torch reads this choice when it is loaded.
    os.environ.update(waiting_policy())

from sdunet.ops import carry_sweep, sdn_sweep  # at once: exported programs look for them

if TYPE_CHECKING:
    from sdunet.api import train
    from sdunet.layers import ResSDNLayer, SDNLayer
    from sdunet.nets.nested import NestedSDUNet
    from sdunet.nets.unet import SDUNet
    from sdunet.segmentation.evaluation.evaluate import evaluate
    from sdunet.segmentation.inference.predictor import Prediction, Predictor
    from sdunet.vae.models.ladder import LadderVAE

__version__ = "0.1.0"
__all__ = [
    "DataError",
    "LadderVAE",
    "NestedSDUNet",
    "Prediction",
    "Predictor",
    "ResSDNLayer",
    "SDNLayer",
    "SDUNet",
    "carry_sweep",
    "evaluate",
    "sdn_sweep",
    "train",
]

# Imported when first asked for: the layer alone needs neither MONAI nor Lightning.
__getattr__, __dir__, _ = attach(
    __name__,
    submod_attrs={
        "api": ["train"],
        "layers": ["ResSDNLayer", "SDNLayer"],
        "nets.nested": ["NestedSDUNet"],
        "nets.unet": ["SDUNet"],
        "segmentation.evaluation.evaluate": ["evaluate"],
        "segmentation.inference.predictor": ["Prediction", "Predictor"],
        "vae.models.ladder": ["LadderVAE"],
    },
)
