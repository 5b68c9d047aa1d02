"""A package as a bundle of MONAI, which `monai.bundle` loads, runs and trains on."""

import io
import json
from collections.abc import Mapping
from typing import Any

import torch

from sdunet.segmentation.export.monai_metadata import metadata_of
from sdunet.segmentation.export.monai_workflows import inference_of, training_of
from sdunet.segmentation.models.trained_model import Model

# What MONAI sets up its messages by: those of a run, with their time, on the screen.
_LOGGING = """[loggers]
keys=root

[handlers]
keys=screen

[formatters]
keys=line

[logger_root]
level=INFO
handlers=screen

[handler_screen]
class=StreamHandler
level=INFO
formatter=line
args=(sys.stdout,)

[formatter_line]
format=%(asctime)s %(name)s %(levelname)s: %(message)s
"""


def bundle_files(
    model: Model, network: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return the files of a bundle, by name.

    `monai.bundle.load` takes weights from nothing but `models/model.pt`, and takes only weights;
    all else reads those of the package.

    Args:
        model: the trained network.
        network: its `NetworkConfig`, as JSON.
        facts: as `metadata_of`, with the `loss` of its training where that is known.
    """
    texts = {
        "configs/metadata.json": metadata_of(model, facts),
        "configs/inference.json": inference_of(model, network),
        "configs/train.json": training_of(model, network, facts.get("loss", {})),
    }
    files = {name: json.dumps(content, indent=1).encode() for name, content in texts.items()}
    weights = io.BytesIO()
    torch.save(model.network.state_dict(), weights)
    return files | {
        "configs/logging.conf": _LOGGING.encode(),
        "models/model.pt": weights.getvalue(),
    }
