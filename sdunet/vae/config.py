"""The configuration of a density model: images, model, training. One YAML file."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from jsonargparse.typing import (
    ClosedUnitInterval,
    restricted_number_type,
)

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
from sdunet.vae.models.ladder import PosteriorName
from sdunet.vae.models.likelihoods import LikelihoodName

if TYPE_CHECKING:  # a type checker knows no ranges
    Levels: TypeAlias = int
else:
    Levels = restricted_number_type("Levels", int, [(">=", 2), ("<=", 256)])


@dataclass(frozen=True)
class ImagesConfig:
    """What the images are; the prepared data set must agree.

    Args:
        channels: 1 or 3.
        size: height and width.
        levels: grey levels; where the prepared set holds a multiple of them (256, and 32 here),
            they are merged as the images are read.
        flip: show each image left to right half of the times in training.
    """

    channels: Literal[1, 3] = 3
    size: tuple[Count, Count] = (32, 32)
    levels: Levels = 256
    flip: bool = False


@dataclass(frozen=True)
class LikelihoodConfig:
    """Distribution of an image, given the decoder's output.

    Args:
        name: `mixture` of discretised logistics, one `logistic` of a global scale, `bernoulli`.
        mixtures: components of the mixture.
    """

    name: LikelihoodName = "mixture"
    mixtures: Count = 10


@dataclass(frozen=True)
class LadderConfig:
    """The ladder VAE; arguments as in `LadderVAE`.

    Args:
        depth: number of layers.
        downsample_at: layers whose upper neighbour has half the resolution; 0 is at the image.
        z_channels: of each latent map.
        h_channels: of the hidden maps.
        posterior: `iaf` or `gaussian`.
        context_channels: of the flow of an `iaf`.
        sdn_max_scale: largest scale that sweeps, 0 for none.
        sdn_min_scale: smallest scale that sweeps.
        sdn_features: features at the largest sweeping scale.
        sdn_features_step: taken off at each halving.
        sdn_directions: sweeps of each block, 1 to 4.
        cell: that sweeps: the published `gru`, or `carry`, which takes the line above linearly.
        init: of the sweeps: `published`, PyTorch's own, or `reach`, far from the start.
    """

    depth: Count = 15
    downsample_at: tuple[CountFrom0, ...] = (5, 10)
    z_channels: Count = 4
    h_channels: Count = 200
    posterior: PosteriorName = "iaf"
    context_channels: Count = 100
    sdn_max_scale: CountFrom0 = 0
    sdn_min_scale: CountFrom0 = 0
    sdn_features: CountFrom0 = 0
    sdn_features_step: CountFrom0 = 0
    sdn_directions: Count = 2
    cell: CellName = "gru"
    init: InitName = "published"


@dataclass(frozen=True)
class VanillaConfig:
    """The VAE of one latent vector; arguments as in `VanillaVAE`.

    Args:
        z_size: length of the latent vector.
        decoder_channels: of the maps that the four enlarging layers take in.
        sdn_scales: sides of decoder maps that an SDN layer puts out; empty for none.
        sdn_features: features that are swept.
        sdn_directions: sweeps of each SDN layer, 1 to 4.
        cell: as of the ladder.
        init: as of the ladder.
    """

    z_size: Count = 10
    decoder_channels: tuple[Count, Count, Count, Count] = (64, 64, 32, 32)
    sdn_scales: tuple[Count, ...] = ()
    sdn_features: Count = 200
    sdn_directions: Count = 1
    cell: CellName = "gru"
    init: InitName = "published"


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Args:
        epochs: passes over the training images.
        steps_per_epoch: at most so many steps count as an epoch; default: all.
        batch_size: images a step and process.
        learning_rate: of Adamax.
        decay: factor on the learning rate after each epoch.
        free_bits: nats a layer and image that cost nothing, see `Terms.objective`.
        beta: final weight of the rates; 1 for the bound itself.
        beta_steps: steps over which the weight grows from 0 to `beta`; 0 for none.
        ema: decay of the moving average of the weights, by which models are judged; 0 for none.
        clip: largest norm of the gradient of the nats an image.
        max_skipped: steps of non-finite gradient that may be skipped in a row before training
            stops.
        validate_every: epochs from one validation to the next.
        seed: of weights, order and noise.
        workers: processes that load data; 0 loads in the main process.
        device: `auto` takes GPUs if there are any.
        devices: processes a node, each with a device of its own.
        nodes: machines; start the command on each, as Lightning's DDP asks.
        precision: `32-true`, or `bf16-mixed` on hardware that has it; sweeps stay in float32.
    """

    epochs: Steps = 100
    steps_per_epoch: Steps | None = None
    batch_size: Count = 32
    learning_rate: PositiveNumber = 2e-3
    decay: ClosedUnitInterval = 1.0
    free_bits: NumberFrom0 = 0.01
    beta: NumberFrom0 = 1.0
    beta_steps: StepsFrom0 = 0
    ema: ShareBelowOne = 0.999
    clip: PositiveNumber = 1e4
    max_skipped: StepsFrom0 = 20
    validate_every: Steps = 1
    seed: Seed = 0
    workers: CountFrom0 = 0
    device: Literal["auto", "cpu", "gpu"] = "auto"
    devices: Count = 1
    nodes: Count = 1
    precision: Literal["32-true", "bf16-mixed"] = "32-true"


@dataclass(frozen=True)
class VAEConfig:
    """Everything about one density model.

    Args:
        images: what the images are.
        likelihood: their distribution.
        model: `ladder` or `vanilla`; the section of the other is not read.
        ladder: the ladder VAE.
        vanilla: the VAE of one latent vector.
        training: how to train it.
    """

    images: ImagesConfig = field(default_factory=ImagesConfig)
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    model: Literal["ladder", "vanilla"] = "ladder"
    ladder: LadderConfig = field(default_factory=LadderConfig)
    vanilla: VanillaConfig = field(default_factory=VanillaConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
