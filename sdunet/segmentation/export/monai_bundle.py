"""A package as a bundle of MONAI, which `monai.bundle` loads and runs."""

import io
import json
from collections.abc import Mapping
from typing import Any

import torch

from sdunet.segmentation.models.trained_model import Model


def bundle_files(
    model: Model, network: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return the files of a bundle, by name.

    `monai.bundle.load` takes weights from nothing but `models/model.pt`, and takes only weights;
    all else reads those of the package.

    Args:
        model: the trained network.
        network: its `NetworkConfig`, as JSON.
        facts: `labels`, `regions`, `doubts` and `versions`.
    """
    plan, versions = model.plan, facts["versions"]
    metadata = {
        "version": "1.0.0",
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"],
        "numpy_version": versions["numpy"],
        "required_packages_version": {"sdunet": versions["sdunet"]},
        "task": "segmentation",
        "description": ". ".join(
            ["A network trained by sdunet; see README.md", *facts.get("doubts", ())]
        ),
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
                    "channel_def": {
                        str(i): _no_reference(name) for i, name in enumerate(plan.channels)
                    },
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": plan.outputs,
                    "spatial_shape": list(plan.patch_size),
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {
                        str(one.get("number", i)): _no_reference(one["name"])
                        for i, one in enumerate(facts.get("regions") or facts["labels"])
                    },
                }
            },
        },
    }
    inference = {
        "bundle_root": ".",
        "images": "images",
        "output_dir": "predictions",
        "network_def": {
            "_target_": "sdunet.bundle.network_of",
            "spatial_dims": plan.spatial_dims,
            "in_channels": len(plan.channels),
            "out_channels": plan.outputs,
            **network,
        },
        "network": {
            "_target_": "sdunet.bundle.trained_network",
            "folder": "@bundle_root",
        },
        "initialize": [],
        "run": [
            {
                "_target_": "sdunet.bundle.predict",
                "runs": "@bundle_root",
                "images": "@images",
                "out": "@output_dir",
            }
        ],
        "finalize": [],
    }
    texts = {"configs/metadata.json": metadata, "configs/inference.json": inference}
    files = {name: json.dumps(content, indent=1).encode() for name, content in texts.items()}
    weights = io.BytesIO()
    torch.save(model.network.state_dict(), weights)
    return files | {"models/model.pt": weights.getvalue()}


def _no_reference(name: str) -> str:
    """Return a name that MONAI takes for no expression, reference or file, as it would these."""
    return f"'{name}" if name.startswith(("$", "@", "%")) else name
