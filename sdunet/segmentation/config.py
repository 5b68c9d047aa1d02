"""The configuration of one task: dataset, network, training. One YAML file, three sections."""

from dataclasses import dataclass, field
from typing import Literal

from jsonargparse.typing import (
    ClosedUnitInterval,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from data_prep.config import DataConfig
from sdunet.layers import Direction
from sdunet.nets.registry import NetworkName
from sdunet.runs.types import ShareBelowOne


@dataclass(frozen=True)
class NetworkConfig:
    """Which network, and its arguments as in `SDUNet`.

    Args:
        name: `sdunet`, or `unet` for the same network without sweeps, the control.
        features: channels of each level, full resolution first.
        norm: normalisation of every convolution.
        act: activation after every convolution.
        dropout: probability of dropping a value after each convolution, 0 to 1.
        sdn_decoder: decoder levels that sweep. Default: all below full resolution.
        sdn_encoder: encoder levels that sweep, the bottleneck being the last.
        num_features: channels that are swept, one number or one per level.
        directions: sweeps of each layer. Default: both ways along each axis.
        residual: mix each SDN layer with a convolution by a learned gate.
        upsample: `deconv`, or `nontrainable` for linear interpolation.
    """

    name: NetworkName = "sdunet"
    features: tuple[PositiveInt, ...] = (16, 32, 64, 128, 256)
    norm: Literal["instance", "batch"] = "instance"
    act: Literal["leakyrelu", "relu", "elu", "gelu"] = "leakyrelu"
    dropout: ClosedUnitInterval = 0.0
    sdn_decoder: tuple[int, ...] | None = None
    sdn_encoder: tuple[int, ...] = ()
    num_features: PositiveInt | tuple[PositiveInt, ...] = 16
    directions: tuple[Direction, ...] | None = None
    residual: bool = True
    upsample: Literal["deconv", "nontrainable"] = "deconv"


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Args:
        epochs: at most this many.
        patience: epochs without a better validation Dice before stopping.
        patches_per_case: patches drawn from each training case in an epoch.
        batch_size: patches a step.
        foreground: share of patches centred on foreground, 0 to 1.
        flip_axes: spatial axes a patch may be flipped along. Default: all.
        rotate: turn patches by multiples of 90 degrees in the plane of the first two axes.
        learning_rate: of AdamW at the start; falls to zero along a cosine.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        overlap: share of a window that its neighbour covers too, in validation and prediction.
        workers: processes that load data; 0 loads in the main process.
        seed: of weights, patches and augmentation.
        device: `auto` takes a GPU if there is one.
        precision: `32-true`, or `bf16-mixed` on hardware that has it; sweeps stay in float32.
    """

    epochs: PositiveInt = 100
    patience: NonNegativeInt = 30
    patches_per_case: PositiveInt = 1
    batch_size: PositiveInt = 4
    foreground: ClosedUnitInterval = 0.67
    flip_axes: tuple[int, ...] | None = None
    rotate: bool = False
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-2
    clip: PositiveFloat = 1.0
    overlap: ShareBelowOne = 0.5  # windows that overlap wholly would never move on
    workers: NonNegativeInt = 0
    seed: NonNegativeInt = 0
    device: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"


@dataclass(frozen=True)
class TaskConfig:
    """Everything about one task.

    Args:
        dataset: how the raw data is to be read and prepared.
        network: which network.
        training: how to train it.
    """

    dataset: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
