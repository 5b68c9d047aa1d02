"""What `configs/train.json` of a package runs: training of its network goes on with new cases."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.values.regions import masks_of, targets_of
from data_prep.files.output_folder import MARK
from data_prep.prepared.dataset import Dataset
from data_prep.prepared.prepare import prepare
from sdunet.runtime.run_record import say
from sdunet.segmentation.config import LossName, TrainingConfig
from sdunet.segmentation.inference.decision import label_of
from sdunet.segmentation.training.data_module import load_case
from sdunet.segmentation.training.losses import LOSSES, build_loss, weights_of
from sdunet.segmentation.workflow.steps import Data, Package, check_apart

CHECKPOINTS = ("model.pt", "model_final.pt")  # that MONAI writes: the best and the last weights


def prepare_like(package: Package, data: str, out: str) -> Dataset:
    """Prepare images and labels by the plan of a package, as `sdunet prepare` does, and tell of it.

    Cases with an error are left out, and told. What is there and unchanged is used again.

    Args:
        package: the package.
        data: a dataset in a known layout, with labels as those that the network was trained on.
        out: folder of the training, where the dataset goes to `prepared`.

    Raises:
        DataError: OUT_TAKEN if `out` is of a command of sdunet, or holds weights already, which
            MONAI would replace; as `check_apart` and `prepare`.
    """
    check_apart(package, data, out)
    for name in (MARK, *CHECKPOINTS):
        if (Path(out) / name).exists():
            raise DataError("OUT_TAKEN", f"{out} holds {name} already", "give a new output_dir")
    plan = replace(package.plan, accept=(*package.plan.accept, *package.accept))
    dataset, problems = prepare(data, Path(out) / "prepared", DataConfig(), plan=plan, tell=_say)
    for problem in problems:
        say(str(problem))
    return dataset


def cases_of_side(dataset: Dataset, fold: int, side: str) -> list[Data]:
    """Return the cases that train, `train`, or validate, `val`, `{"case": id}` each.

    Raises:
        DataError: SPLIT_FOLD if there is no such fold.
    """
    return [{"case": id_} for id_ in dataset.sides(fold)[side]]


def read_prepared(data: Data, dataset: Dataset) -> Data:
    """Return a case with `image`, `(C, ...)` float32 as the network sees it, and `label`, int64."""
    case = load_case(dataset, data["case"])
    label = torch.from_numpy(case["label"].astype(np.int64))
    return {**data, "image": torch.from_numpy(case["image"]), "label": label}


def loss_of(
    package: Package, name: LossName = "dice_ce", weights: Mapping[str, float] | None = None
) -> nn.Module:
    """Return the loss of training, which knows of regions and of voxels that are ignored.

    Args:
        package: the package.
        name: of the loss, as in `training.loss`; a package tells that of its training.
        weights: of classes or regions by name, as in `training.class_weights`. Default: all 1.

    Raises:
        DataError: CONFIG_CLASSES for a weight of what is not learned.
        ValueError: for another name, or a weight that is not positive.
    """
    plan, weights = package.plan, dict(weights or {})
    if name not in LOSSES:
        raise ValueError(f"no loss {name!r:.80}; name one of {', '.join(LOSSES)}")
    if wrong := [n for n, weight in weights.items() if not 0 < weight < math.inf]:
        raise ValueError(f"weights must be above 0, got {weights[wrong[0]]} for {wrong[0]!r:.80}")
    config = TrainingConfig(loss=name, class_weights=weights)
    of_outputs = weights_of(plan, config)
    return build_loss(name, void=plan.rules.void, regions=plan.regions, weights=of_outputs)


def as_masks(data: Data, package: Package) -> Data:
    """Turn probabilities and class numbers into a mask of each class, or region, for MONAI's Dice.

    Ignored voxels are in no mask.

    Args:
        data: `pred`, probabilities `(classes, ...)`, and `label`, `(1, ...)`.
        package: the package.

    Returns:
        The data with both as `(targets, ...)`, float32; the background is no target.
    """
    plan = package.plan
    targets = targets_of(plan.labels, plan.regions)
    label = _numbers(data["label"])[0]
    found = label_of(_numbers(data["pred"]), plan.regions)
    if plan.rules.void is not None:
        found[label == plan.rules.void] = 0
    masks = {"pred": masks_of(found, targets), "label": masks_of(label, targets)}
    return {**data} | {key: torch.from_numpy(m.astype(np.float32)) for key, m in masks.items()}


def _numbers(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach().cpu())


def _say(finding: Finding) -> None:
    say(str(finding))
