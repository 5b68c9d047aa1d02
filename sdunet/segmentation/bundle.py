"""A package as a bundle of MONAI, which `monai.bundle` loads and runs."""

import json
from collections.abc import Mapping
from typing import Any

from torch import nn

from sdunet.segmentation.model import Model, load_model


def bundle_files(model: Model, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a bundle, by name; the weights are those of the package.

    Args:
        model: the trained network.
        facts: `labels` and `versions`.
    """
    plan, versions = model.plan, facts["versions"]
    metadata = {
        "version": "1.0.0",
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"],
        "numpy_version": versions["numpy"],
        "required_packages_version": {"sdunet": versions["sdunet"]},
        "task": "segmentation",
        "description": "A network trained by sdunet; see README.md",
        "authors": "",
        "copyright": "",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "num_channels": len(plan.channels),
                    "spatial_shape": list(plan.patch_size),
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {str(i): name for i, name in enumerate(plan.channels)},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": plan.num_classes,
                    "spatial_shape": list(plan.patch_size),
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {str(one["number"]): one["name"] for one in facts["labels"]},
                }
            },
        },
    }
    inference = {
        "bundle_root": ".",
        "images": "images",
        "output_dir": "predictions",
        "network_def": {
            "_target_": "sdunet.segmentation.bundle.network_of",
            "folder": "@bundle_root",
        },
        "network": "@network_def",
        "initialize": [],
        "run": [
            {
                "_target_": "sdunet.segmentation.predict.predict",
                "runs": "@bundle_root",
                "images": "@images",
                "out": "@output_dir",
            }
        ],
        "finalize": [],
    }
    texts = {"configs/metadata.json": metadata, "configs/inference.json": inference}
    return {name: json.dumps(content, indent=1).encode() for name, content in texts.items()}


def network_of(folder: str) -> nn.Module:
    """Return the trained network of a package; what `configs/inference.json` names."""
    return load_model(folder).network
