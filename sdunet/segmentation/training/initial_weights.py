"""Weights to begin a training from: those of a trained network, where they fit the new one."""

from pathlib import Path

import torch
from torch import nn

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.layouts.cases import sample
from data_prep.prepared.dataset import Dataset
from sdunet.runtime.doubts import UNFINISHED, UNLISTED
from sdunet.runtime.run_record import say
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.inference.ensemble import load_ensemble
from sdunet.segmentation.models.seen_cases import images_of, origins_of, seen_of
from sdunet.segmentation.models.trained_model import Model

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_ENCODER = "encoder."  # how its parameters are called
_HEADS = ("head.", "aside.")  # how those of each class are


def load_initial(path: str | Path, plan: Plan) -> Model:
    """Load the network to begin from.

    Args:
        path: folder of one run, or an exported package, as folder, as zip or on the Hub.
        plan: of the dataset that is to be trained on.

    Raises:
        DataError: INIT_DIMS if it is for another number of axes; MODEL_MISSING if there are
            several; as `load_ensemble`.
    """
    # A training that was stopped is a beginning like any other.
    models = load_ensemble([path], tidy=False, accept=[UNFINISHED, UNLISTED]).models
    if len(models) > 1:
        raise DataError("MODEL_MISSING", f"{path} holds {len(models)} models", "name one of them")
    model = models[0]
    if model.plan.spatial_dims != plan.spatial_dims:
        raise DataError(
            "INIT_DIMS",
            f"{path} is a network of {model.plan.spatial_dims} spatial axes, the dataset has "
            f"{plan.spatial_dims}",
            "begin from a network of as many axes, or leave --init out",
        )
    return model


def take_weights(
    network: nn.Module, trained: nn.Module, *, heads: bool = True
) -> tuple[list[str], list[str]]:
    """Copy into a network every tensor of a trained one that has its name and shape.

    Args:
        network: is changed.
        trained: to take from.
        heads: whether to take those of the classes, too, which must be the same ones.

    Returns:
        Names of what was taken, and of what stays as it was drawn.

    Raises:
        DataError: INIT_NONE if nothing fits.
    """
    own, given = network.state_dict(), trained.state_dict()
    taken = [
        name
        for name in own
        if name in given
        and given[name].shape == own[name].shape
        and (heads or not name.startswith(_HEADS))
    ]
    if not taken:
        raise DataError(
            "INIT_NONE",
            f"none of {len(own)} tensors of the network has its name and shape in the other",
            "begin from a network of the same network.name and widths, or leave --init out",
        )
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
    return taken, [name for name in own if name not in taken]


def begin_from(
    initial: Model | None, network: nn.Module, config: TrainingConfig, plan: Plan
) -> tuple[list[str], list[str]]:
    """Take the weights to begin from, and leave the encoder as it is, if that is asked for.

    Heads are taken for the same classes alone: a head for others would begin with their names
    exchanged.

    Returns:
        As `take_weights`.

    Raises:
        DataError: as `take_weights`; CONFIG_FREEZE if the network has no encoder apart from its
            decoder, or all weights are drawn.
    """
    if initial is None:
        if config.freeze_encoder:
            found = "training.freeze_encoder, and all weights are drawn"
            raise DataError("CONFIG_FREEZE", found, "begin from a trained network, or leave it out")
        return [], []
    before = initial.plan.labels, initial.plan.regions
    same = before == (plan.labels, plan.regions)
    fitting = take_weights(network, initial.network, heads=same)
    if config.freeze_encoder:
        frozen = [p for name, p in network.named_parameters() if name.startswith(_ENCODER)]
        if not frozen:
            found = "training.freeze_encoder, and the network has no encoder of its own"
            raise DataError("CONFIG_FREEZE", found, "leave it out, or take sdunet or unet")
        if any(isinstance(part, _BATCH_NORMS) for part in network.modules()):
            found = "training.freeze_encoder, and statistics of batch normalisation go on changing"
            raise DataError("CONFIG_FREEZE", found, "leave it out, or take network.norm instance")
        for parameter in frozen:
            parameter.requires_grad_(False)
    return fitting


def say_initial(
    initial: Model,
    fitting: tuple[list[str], list[str]],
    dataset: Dataset,
    fold: int | None,
) -> None:
    """Tell what a training begins from, and what is doubtful about that, see `doubts_about`."""
    taken, drawn = fitting
    rest = f"; drawn anew: {sample(drawn)}" if drawn else ""
    say(f"begins from {initial.root.name}: {len(taken)} of {len(taken) + len(drawn)} tensors{rest}")
    for finding in doubts_about(initial, dataset, fold):
        say(str(finding))


def doubts_about(model: Model, dataset: Dataset, fold: int | None) -> list[Finding]:
    """Return what may make the network a bad beginning, or its scores no honest ones.

    Args:
        model: to begin from.
        dataset: that is to be trained on.
        fold: that is to validate, if one is.

    Raises:
        DataError: as `origins_of`.
    """
    found = []
    for name in ("channels", "intensity"):
        before, now = getattr(model.plan, name), getattr(dataset.plan, name)
        if before != now:
            text = f"{name} {now} now, {before} where the weights were trained"
            found.append(Finding("warning", "INIT_OTHER", text, "prepare alike if that is wrong"))
    validating = images_of(dataset, dataset.sides(fold)["val"])
    origins = origins_of(model)
    if seen := seen_of(validating, origins):
        text = f"its weights were trained on cases that validate fold {fold}, {len(seen)} of "
        text += f"{len(validating)}: scores flatter"
        fix = f"begin from a network of fold {fold}, or judge on other cases"
        found.append(Finding("warning", "INIT_SEEN", text, fix))
    elif validating and any(origin.cases is None for origin in origins):
        text = "nothing tells whether its weights were trained on cases that validate"
        found.append(Finding("note", "INIT_UNKNOWN", text, "judge on cases that it cannot know"))
    return found
