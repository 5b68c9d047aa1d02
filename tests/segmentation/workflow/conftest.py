"""A bundle without a training or an export, which take long."""

from dataclasses import asdict

import pytest
import torch

from sdunet.runtime.safetensors_io import write_weights
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.export.monai_bundle import bundle_files
from sdunet.segmentation.models.trained_model import (
    WEIGHTS,
    load_model,
    network_for,
    save_description,
)

SMALL = NetworkConfig(features=(4, 6), num_features=3)


@pytest.fixture
def bundles(tmp_path):
    """Maker of the bundle of an untrained network."""

    def make(plan, **told):
        root = tmp_path / "bundle"
        torch.manual_seed(3)
        network = network_for(SMALL, plan)
        save_description(root, SMALL, plan, 0.5, ())
        write_weights(root / WEIGHTS, network.state_dict())
        labels = [{"name": name} for name in plan.classes]
        versions = dict.fromkeys(("monai", "torch", "numpy", "sdunet"), "1")
        facts = {"labels": labels, "regions": [asdict(one) for one in plan.regions]}
        files = bundle_files(load_model(root), asdict(SMALL), facts | {"versions": versions} | told)
        for name, content in files.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(content)
        return root

    return make
