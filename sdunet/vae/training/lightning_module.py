"""Objective, optimiser and weight average of a VAE, as Lightning runs them."""

import math
from hashlib import sha256
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sdunet.runtime.torch_errors import not_finite
from sdunet.vae.config import VAEConfig
from sdunet.vae.models.terms import Terms


class VAEModule(pl.LightningModule):
    """A VAE trained on its bound by Adamax; `average` holds the moving average of its weights.

    Every step draws its noise from a seed of its own, so that a run resumed between epochs goes
    on exactly as one never interrupted.

    Args:
        network: gives `Terms` for uint8 images.
        config: all settings.

    Raises:
        DataError: RUN_NONFINITE after more than `max_skipped` non-finite steps in a row.
    """

    def __init__(self, network: nn.Module, config: VAEConfig) -> None:
        super().__init__()
        self.network = network
        self.config = config
        average = get_ema_multi_avg_fn(config.training.ema)
        self.average = AveragedModel(network, multi_avg_fn=average).requires_grad_(False)
        # Dimensions of an image times ln 2: what turns nats an image into bits a dimension.
        images = config.images
        self.nats_per_bit = images.channels * math.prod(images.size) * math.log(2)
        self.skipped = 0
        self.skipped_in_a_row = 0

    def on_train_epoch_start(self) -> None:
        """Set the epoch's learning rate."""
        training = self.config.training
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = training.learning_rate * training.decay**self.current_epoch

    def on_train_batch_start(self, images: Tensor, index: int) -> None:
        """Seed the step's noise."""
        self._seed(0, index)

    def training_step(self, images: Tensor, index: int) -> Tensor:
        """Return the objective of a batch of images, `(N, C, H, W)`."""
        training = self.config.training
        if self.config.images.flip:
            turned = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
            images = torch.where(turned, images.flip(-1), images)
        terms = self.network(images)
        ramp = min(1.0, self.global_step / training.beta_steps) if training.beta_steps else 1.0
        self._log(terms, "train", on_step=False, on_epoch=True)
        return terms.objective(training.free_bits, ramp * training.beta)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient; drop it, and count, if it is not finite."""
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.training.clip)
        if torch.isfinite(norm):
            self.skipped_in_a_row = 0
            return
        optimizer.zero_grad(set_to_none=True)  # without gradients, the step changes nothing
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row > self.config.training.max_skipped:
            raise not_finite(
                f"{self.skipped_in_a_row} steps in a row had a gradient that is not finite, at "
                f"epoch {self.current_epoch}; what the epoch before left is kept"
            )

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the average of the weights."""
        if not self.skipped_in_a_row:
            self.average.update_parameters(self.network)

    def on_train_epoch_end(self) -> None:
        """Log how many steps were skipped."""
        self.log("skipped_steps", float(self.skipped))

    def on_validation_batch_start(self, images: Tensor, index: int, *_: Any) -> None:
        """Seed the noise."""
        self._seed(1, index)

    def validation_step(self, images: Tensor, index: int) -> None:
        """Log the bound of held-out images under the averaged weights."""
        self._log(self.average(images), "val", sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adamax."""
        return torch.optim.Adamax(self.network.parameters(), self.config.training.learning_rate)

    def _seed(self, stage: int, index: int) -> None:
        key = (
            self.config.training.seed,
            self.trainer.global_rank,
            stage,
            self.current_epoch,
            index,
        )
        torch.manual_seed(int.from_bytes(sha256(repr(key).encode()).digest()[:8], "big") >> 1)

    def _log(self, terms: Terms, stage: str, **options: Any) -> None:
        bits = {
            f"{stage}_bpd": -terms.elbo.mean() / self.nats_per_bit,
            f"{stage}_rate_bpd": terms.rates.sum(0).mean() / self.nats_per_bit,
        }
        size = len(terms.log_likelihood)
        self.log_dict({k: v.detach() for k, v in bits.items()}, batch_size=size, **options)
