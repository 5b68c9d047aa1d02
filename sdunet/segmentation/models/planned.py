"""What the settings of a task leave open, taken from the plan of its dataset."""

from dataclasses import replace
from typing import Any

from data_prep.core.config import NetworkPlan, Plan
from sdunet.nets.registry import FITTING_NETWORKS
from sdunet.segmentation.config import NetworkConfig, TaskConfig, TrainingConfig

_FEATURES = (16, 32, 64, 128, 256)
_BATCH_SIZE = 4


def planned(task: TaskConfig, plan: Plan) -> TaskConfig:
    """Return the task with a network and a batch that are wholly settled."""
    batch = batch_size_of(task.training, plan)
    return replace(
        task,
        network=planned_network(task.network, plan),
        training=replace(task.training, batch_size=batch),
    )


def without_validation(task: TaskConfig) -> TaskConfig:
    """Return the task for a training that nothing validates: the last weights are kept."""
    return replace(task, training=replace(task.training, keep="last", validate_every=0))


def batch_size_of(config: TrainingConfig, plan: Plan) -> int:
    """Return the patches of a step."""
    return config.batch_size or (plan.network.batch_size if plan.network else _BATCH_SIZE)


def planned_network(config: NetworkConfig, plan: Plan) -> NetworkConfig:
    """Return the network with widths, strides and kernel sizes of its own, or those of the plan.

    Strides and kernel sizes stay open (2 and 3 everywhere) if the plan has none, or the network
    none to choose.
    """
    fit = plan.network
    if fit is None or config.name not in FITTING_NETWORKS:
        return replace(config, features=config.features or _FEATURES)
    features = config.features or fit.features
    strides, windows = _sizes(fit, len(features), plan.spatial_dims)
    return replace(
        config,
        features=features,
        strides=config.strides or strides,
        kernel_sizes=config.kernel_sizes or windows,
    )


def _sizes(fit: NetworkPlan, depth: int, axes: int) -> tuple[Any, Any]:
    """Return strides and kernel sizes of so many levels, those beyond the plan's 2 and 3."""
    beyond = max(0, depth - len(fit.features))
    strides = (*fit.strides, *[(2,) * axes] * beyond)
    windows = (*fit.kernel_sizes, *[(3,) * axes] * beyond)
    return strides[: depth - 1], windows[:depth]
