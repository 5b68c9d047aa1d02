"""The configuration of one task: dataset, network, training, trainer. One YAML file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from jsonargparse.typing import ClosedUnitInterval

from data_prep.core.config import DataConfig
from data_prep.core.values.numbers import (
    Count,
    CountFrom0,
    NumberFrom0,
    PositiveNumber,
    Seed,
    ShareBelowOne,
    Steps,
    StepsFrom0,
)
from sdunet.cells import CellName, InitName
from sdunet.layers import Direction
from sdunet.nets.names import Encoder, NetworkName

LoggerName = Literal["csv", "tensorboard", "wandb", "mlflow"]
LossName = Literal["dice_ce", "dice_focal", "tversky"]


@dataclass(frozen=True)
class NetworkConfig:
    """Which network, and its arguments as in `SDUNet`.

    Args:
        name: `sdunet` or `nested_sdunet` (a U-Net++); `unet` or `unet_plus_plus`, the same
            networks without sweeps, the controls; `dilated` convolutions, a control that sees far;
            or a network of MONAI.
        features: channels of each level, full resolution first. Default: those of the plan, for
            the first four networks and `dynunet`; else 16, 32, 64, 128, 256.
        norm: normalisation of every convolution.
        act: activation after every convolution.
        dropout: probability of dropping a value after each convolution, 0 to below 1.
        sdn_decoder: decoder levels that sweep. Default: all below full resolution.
        sdn_encoder: encoder levels that sweep, the bottleneck being the last.
        num_features: channels that are swept, one number or one per level.
        directions: sweeps of each layer. Default: both ways along each axis.
        residual: mix each SDN layer with a convolution by a learned gate.
        upsample: `deconv`, or `nontrainable` for linear interpolation.
        deep_supervision: train the outputs of coarser stages too.
        match_parameters: widen a control until it has as many parameters as its sweeping twin.
        cell: that sweeps: `carry`, which takes the line above linearly, or the published `gru`.
        init: of the sweeps: `reach`, far from the start, or `published`, PyTorch's own.
        encoder: `plain`, or `residual` for more and more residual blocks a level, as nnU-Net's
            ResEnc.
        strides: of each level but the last, by how much the next is smaller along each axis.
            Default: as `features`; 2 at levels that the plan has not.
        kernel_sizes: of the convolutions of each level along each axis. Default: as `features`;
            3 at levels that the plan has not.
    """

    name: NetworkName = "sdunet"
    features: tuple[Count, ...] | None = None
    norm: Literal["instance", "batch"] = "instance"
    act: Literal["leakyrelu", "relu", "elu", "gelu"] = "leakyrelu"
    dropout: ShareBelowOne = 0.0
    sdn_decoder: tuple[int, ...] | None = None
    sdn_encoder: tuple[int, ...] = ()
    num_features: Count | tuple[Count, ...] = 16
    directions: tuple[Direction, ...] | None = None
    residual: bool = True
    upsample: Literal["deconv", "nontrainable"] = "deconv"
    deep_supervision: bool = False
    match_parameters: bool = False
    cell: CellName = "carry"
    init: InitName = "reach"
    encoder: Encoder = "plain"
    strides: tuple[tuple[Count, ...], ...] | None = None
    kernel_sizes: tuple[tuple[Count, ...], ...] | None = None


def network_config(record: Mapping[str, Any]) -> NetworkConfig:
    """Return the configuration of a network from its JSON; cells were all `gru` once.

    Raises:
        ValueError: if a name is unknown.
    """
    if unknown := sorted(set(record) - {known.name for known in fields(NetworkConfig)}):
        raise ValueError(f"network has no setting {unknown[0]!r}")
    return NetworkConfig(**{"cell": "gru", "init": "published"} | dict(record))


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Args:
        epochs: at most this many.
        patience: validations without a better Dice before stopping, one an epoch if not said
            otherwise by `validate_every`.
        validate_every: steps between validations; 0 validates after each epoch.
        keep: weights that predict: those of the `best` validation, or of the `last`.
        max_time: minutes; no epoch is begun that would likely end later.
        patches_per_case: patches drawn from each training case in an epoch.
        batch_size: patches a step. Default: that of the plan, else 4.
        foreground: share of patches centred on foreground, every class as often, 0 to 1.
        augmentation: `light` flips, turns and changes brightness; `full` also rotates by any
            angle, zooms, blurs, coarsens and changes contrast; `none` leaves patches as they are.
        flip_axes: spatial axes a patch may be flipped along. Default: all, but the one from left to
            right where classes name a side, such as `kidney_left`.
        rotate: turn patches by multiples of 90 degrees in the plane of the first two axes.
        loss: Dice with cross-entropy, Dice with focal loss, or Tversky (misses count 0.7, false
            alarms 0.3); of regions, each by itself, that of its sigmoid.
        class_weights: how much the loss counts classes, such as rare ones, by name:
            `{tumour: 3}`; others count 1. Of regions, their names; of objects that are told apart,
            `inside` and `boundary`. The background has none in Dice and Tversky.
        optimizer: `adamw`, `adam`, or `sgd` with Nesterov momentum 0.99.
        learning_rate: at the start.
        schedule: how it falls to zero, step by step: along a half cosine, as a power of 0.9 of
            what is left (`poly`), or not at all.
        weight_decay: of the optimizer.
        clip: largest norm of the gradient.
        ema: share of the old in a moving average of the weights at each step, such as 0.999, which
            then validates and predicts; 0 for none.
        overlap: share of a window that its neighbour covers too, in validation and prediction.
        workers: processes that load data; 0 loads in the main process.
        seed: of weights, patches and augmentation.
        device: `auto` takes a GPU if there is one.
        precision: `32-true`, or `bf16-mixed` on hardware that has it; sweeps stay in float32.
        deterministic: use only operations that give the same bits every time; refuse others.
        freeze_encoder: leave the encoder of the network that `--init` names as it is.
        save_steps: write the state to resume from after so many steps, besides after each epoch.
        logger: besides writing `metrics.csv`, log by one or several of these, in the folder of the
            run; all but `csv` must be installed, and `wandb` (Weights & Biases) is offline.
        tensorboard: short for the logger of this name.
    """

    epochs: Steps = 100
    patience: StepsFrom0 = 30
    validate_every: StepsFrom0 = 0
    keep: Literal["best", "last"] = "best"
    max_time: PositiveNumber | None = None
    patches_per_case: Count = 1
    batch_size: Count | None = None
    foreground: ClosedUnitInterval = 0.67
    augmentation: Literal["light", "full", "none"] = "light"
    flip_axes: tuple[int, ...] | None = None
    rotate: bool = False
    loss: LossName = "dice_ce"
    class_weights: dict[str, PositiveNumber] = field(default_factory=dict)
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: PositiveNumber = 1e-3
    schedule: Literal["cosine", "poly", "constant"] = "cosine"
    weight_decay: NumberFrom0 = 1e-2
    clip: PositiveNumber = 1.0
    ema: ShareBelowOne = 0.0
    overlap: ShareBelowOne = 0.5  # windows that overlap wholly would never move on
    workers: CountFrom0 = 0
    seed: Seed = 0
    device: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    deterministic: bool = False
    freeze_encoder: bool = False
    save_steps: StepsFrom0 = 0
    logger: LoggerName | tuple[LoggerName, ...] = ()
    tensorboard: bool = False


@dataclass(frozen=True)
class TrainerConfig:
    """On how many devices to train; each process takes `batch_size` patches a step.

    Args:
        devices: GPUs of each node, or processes where there is none.
        num_nodes: computers; started by torchrun or SLURM.
        strategy: how processes share a step: `ddp`; `auto` is that where there are several.
    """

    devices: Count = 1
    num_nodes: Count = 1
    strategy: Literal["auto", "ddp"] = "auto"


@dataclass(frozen=True)
class TaskConfig:
    """Everything about one task.

    Args:
        dataset: how the raw data is to be read and prepared.
        network: which network.
        training: how to train it.
        trainer: on how many devices.
    """

    dataset: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
