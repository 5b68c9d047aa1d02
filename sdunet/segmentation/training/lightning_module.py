"""Optimiser and validation of a segmentation network, as Lightning runs them."""

import math
from hashlib import sha256
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from sdunet.runtime.torch_errors import not_finite
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.inference.decision import label_of
from sdunet.segmentation.inference.sliding_window import WindowPredictor, slabs
from sdunet.segmentation.metrics.overlap import Overlap, overlaps, summarise
from sdunet.segmentation.training.losses import build_loss, weights_of

_MOMENTUM, _POWER = 0.99, 0.9


def learning_rate_at(share: float, config: TrainingConfig) -> float:
    """Return the learning rate when `share` of all steps are done, 0 to 1."""
    falls = {
        "cosine": (1 + math.cos(math.pi * share)) / 2,
        "poly": (1 - share) ** _POWER,
        "constant": 1.0,
    }
    return config.learning_rate * falls[config.schedule]


class SegmentationModule(pl.LightningModule):
    """A network trained on patches, validated by the Dice of whole cases.

    Learning rate and noise of a step depend on its number alone, so that a resumed run goes on
    exactly as one that was never interrupted.

    Args:
        network: gives logits `(N, classes, ...)`, or of regions; while training perhaps a list of
            them.
        plan: classes, regions and window size.
        config: optimiser settings.

    Raises:
        DataError: CONFIG_CLASSES if `class_weights` name what is not learned.
        DataError: RUN_NONFINITE at the first loss or gradient that is not finite.
    """

    def __init__(self, network: nn.Module, plan: Plan, config: TrainingConfig) -> None:
        super().__init__()
        self.network = network
        self.plan = plan
        self.config = config
        self.loss = build_loss(
            config.loss,
            deterministic=config.deterministic,
            void=plan.rules.void,
            regions=plan.regions,
            weights=weights_of(plan, config),
        )
        self.average = None
        if config.ema:
            average = get_ema_multi_avg_fn(config.ema)
            self.average = AveragedModel(network, multi_avg_fn=average).requires_grad_(False)
        self.trained = False  # whether a step was made since it was built
        self.losses: list[float] = []  # of this epoch
        self.counted: list[list[Overlap]] = []

    @property
    def deployed(self) -> nn.Module:
        """The network that validates and predicts: the average where there is one."""
        return self.network if self.average is None else self.average.module

    def on_train_batch_start(self, batch: Any, index: int) -> None:
        """Set the learning rate, and seed what the network draws."""
        epochs = self.trainer.max_epochs or 1  # of the trainer, one from validation to validation
        step, steps = self.global_step, epochs * self.trainer.num_training_batches
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = learning_rate_at(min(1.0, step / steps), self.config)
        key = repr((self.config.seed, self.global_rank, step)).encode()
        torch.manual_seed(int.from_bytes(sha256(key).digest()[:8], "big") >> 1)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Return the loss of a batch of patches."""
        loss = self.loss(self.network(batch["image"]), batch["label"])
        value = loss.item()
        if not math.isfinite(value):
            raise self._not_finite("loss", value)
        self.losses.append(value)
        return loss

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        """Bound the norm of the gradient, before a step that would make all weights NaN."""
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        if not math.isfinite(norm.item()):
            raise self._not_finite("gradient", norm.item())

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Move the weights, and their average with them."""
        super().optimizer_step(*args, **kwargs)
        self.trained = True
        if self.average is not None:
            self.average.update_parameters(self.network)

    def on_train_batch_end(self, *_: Any) -> None:
        """Log the loss of an epoch that no validation follows."""
        last = self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if last and not self.trainer.enable_validation:
            self._log_loss()

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Predict one whole case and count its overlap with the reference."""
        parts = slabs(
            batch["image"][0].cpu().numpy(),
            WindowPredictor(
                [self.deployed], device=self.device, of_regions=bool(self.plan.regions)
            ),
            self.plan.patch_size,
            self.config.overlap,
        )
        # Class numbers slab by slab: the probabilities of a whole scan are never held.
        prediction = np.concatenate([label_of(part, self.plan.regions) for part in parts])
        reference = batch["label"][:, 0].cpu().numpy()
        ignored = (
            reference == self.plan.num_classes
        )  # `Rules.void`, and no class where there is none
        sets = [target.classes for target in self.plan.targets]
        counted = overlaps(prediction[None], reference, self.plan.num_classes, ignored, sets)
        self.counted.append(counted)

    def on_validation_epoch_end(self) -> None:
        """Log the loss, and the mean Dice of each class or region and of all, as `POLICY` says."""
        by_class = zip(*self._everyones(self.counted), strict=True)
        scores = {}
        for target, counted in zip(self.plan.targets, by_class, strict=True):
            dice = summarise(counted)["Dice"]
            if dice is not None:
                scores[target.name] = dice
        self.counted = []
        if len(scores) > 1:
            self.log_dict({f"val_dice_{name}": dice for name, dice in scores.items()})
        self.log("val_dice", float(np.mean(list(scores.values()))) if scores else 0.0)
        if self.losses:  # none before the first epoch
            self._log_loss()

    def _log_loss(self) -> None:
        mean = float(np.mean(self.losses))
        self.log("train_loss", mean, on_step=False, on_epoch=True, sync_dist=True)
        self.losses = []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses of an epoch that is not over."""
        checkpoint["losses"] = self.losses

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back."""
        self.losses = list(checkpoint["losses"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer; `on_train_batch_start` sets its learning rate."""
        config = self.config
        if config.optimizer == "sgd":
            return torch.optim.SGD(
                self.network.parameters(),
                config.learning_rate,
                _MOMENTUM,
                weight_decay=config.weight_decay,
                nesterov=True,
            )
        kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
        return kind(
            self.network.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def _not_finite(self, what: str, value: float) -> DataError:
        return not_finite(
            f"{what} is {value} at epoch {self.current_epoch}, step {self.global_step}"
        )

    def _gathered(self, mine: Tensor) -> Tensor:
        """Return the tensors of all processes, `(processes, ...)`."""
        return cast(Tensor, self.all_gather(mine))

    def _everyones(self, counted: list[list[Overlap]]) -> list[list[Overlap]]:
        """Return the counts of the cases of all processes."""
        if self.trainer.world_size == 1:
            return counted
        mine = torch.tensor(
            [[(o.tp, o.fp, o.fn, o.tn) for o in case] for case in counted], device=self.device
        ).reshape(-1, len(self.plan.targets), 4)
        most = self._gathered(torch.tensor(len(mine), device=self.device))
        padded = mine.new_full((int(most.max()), *mine.shape[1:]), -1)
        padded[: len(mine)] = mine
        rows = self._gathered(padded).flatten(0, 1).tolist()
        return [[Overlap(*counts) for counts in case] for case in rows if case[0][0] >= 0]
