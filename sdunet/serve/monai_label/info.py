"""What clients of MONAI Label are told: the model, and how its classes are called."""

from typing import Any

from data_prep.core.config import Plan
from sdunet.serve.served_model import ServedModel


def info_of(model: ServedModel) -> dict[str, Any]:
    """Return what a server of MONAI Label tells of itself; this one only segments.

    Source: `MONAILabelApp.info` of MONAI Label 0.8.
    """
    plan, identity = model.ensemble.plan, model.identity
    description = f"Trained by sdunet for {', '.join(plan.channels)}. For research only."
    about = {
        "type": "segmentation",
        "labels": classes_of(plan),
        "dimension": plan.spatial_dims,
        "description": description,
        "config": {},
    }
    nothing: dict[str, Any] = {
        key: {} for key in ("trainers", "strategies", "scoring", "train_stats", "datastore")
    }
    return {
        "name": f"sdunet: {model.name}",
        "description": description,
        "version": identity["version"],
        "labels": [*classes_of(plan)],
        "models": {model.name: about},
        **nothing,
    }


def classes_of(plan: Plan) -> dict[str, int]:
    """Return names and numbers of classes, 1, 2, 3 and so on, without the background.

    3D Slicer takes the first name for 1, the second for 2, whatever the numbers say:
    `vtkSlicerSegmentationsModuleLogic::ImportLabelmapToSegmentationNode`.
    """
    named = sorted(plan.stated.items(), key=lambda item: item[1])
    return {name: number for name, number in named if number}
