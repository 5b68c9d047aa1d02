"""What the bundle of a package tells of its network, by MONAI's schema."""

from collections.abc import Mapping
from typing import Any

from sdunet.segmentation.models.trained_model import Model

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
_VERSION = "1.0.0"
_IGNITE = "0.5.2"  # by which MONAI's engines run; the oldest that setup.cfg allows


def metadata_of(model: Model, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return `configs/metadata.json`.

    Args:
        model: the trained network.
        facts: `labels`, `regions`, `doubts` and `versions`; perhaps `validation_dice` and
            `licence`, the name of its file, or `licence_name`.
    """
    plan, versions = model.plan, facts["versions"]
    licence = facts.get("licence") or facts.get("licence_name")
    names = [one["name"] for one in facts.get("regions") or facts["labels"]]
    kind = "volumes" if plan.spatial_dims == 3 else "2D images"
    targets = ", ".join(target.name for target in plan.scored)
    dice = facts.get("validation_dice")
    return {
        "schema": SCHEMA,
        "version": _VERSION,
        "changelog": {_VERSION: "exported"},
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"],
        "numpy_version": versions["numpy"],
        "required_packages_version": {
            "sdunet": versions["sdunet"],
            "pytorch-ignite": _IGNITE,
        },
        "name": "A network trained by sdunet",
        "task": f"Segmentation of {kind}: {targets}",
        "description": ". ".join(
            ["A network trained by sdunet; see docs/README.md", *facts.get("doubts", ())]
        ),
        "authors": "not stated",
        "copyright": f"see {licence}" if licence else "not stated; no licence was given",
        "intended_use": "Not a medical device, and not for diagnosis",
        "eval_metrics": {} if dice is None else {"mean Dice of the validation cases": dice},
        "network_data_format": {
            "inputs": {"image": _tensor(model, "magnitude", plan.channels)},
            "outputs": {"pred": _tensor(model, "classes" if plan.regions else "labels", names)},
        },
    }


def _tensor(model: Model, format_: str, channels: list[str] | tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "image",
        "format": format_,
        "modality": "n/a",
        "num_channels": len(channels),
        "spatial_shape": list(model.plan.patch_size),
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": True,
        "channel_def": {str(number): _inert(name) for number, name in enumerate(channels)},
    }


def _inert(name: str) -> str:
    """Return a name that MONAI takes for no expression, reference or file, as it would these."""
    return f"'{name}" if name.startswith(("$", "@", "%")) else name
