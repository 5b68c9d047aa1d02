"""U-Nets whose decoders sweep: spatial dependency networks for medical image segmentation.

Imported before torch, it chooses how torch's threads wait for each other (see
`sdunet.runtime.threads`).
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sdunet.runtime.threads import waiting_policy

if "torch" not in sys.modules:  # which reads the choice when it is loaded
    os.environ.update(waiting_policy())

from sdunet.ops import carry_sweep, sdn_sweep  # at once: exported programs look for them

if TYPE_CHECKING:
    from data_prep.core.errors import DataError
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
_PLACES = {
    "DataError": "data_prep.core.errors",
    "LadderVAE": "sdunet.vae.models.ladder",
    "NestedSDUNet": "sdunet.nets.nested",
    "Prediction": "sdunet.segmentation.inference.predictor",
    "Predictor": "sdunet.segmentation.inference.predictor",
    "ResSDNLayer": "sdunet.layers",
    "SDNLayer": "sdunet.layers",
    "SDUNet": "sdunet.nets.unet",
    "evaluate": "sdunet.segmentation.evaluation.evaluate",
    "train": "sdunet.api",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'sdunet' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
