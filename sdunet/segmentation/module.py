"""Loss, optimiser and validation of a segmentation network, as Lightning runs them."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from monai.losses import DiceCELoss
from torch import Tensor, nn

from data_prep.config import Plan
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.inference import class_probabilities
from sdunet.segmentation.metrics import Overlap, overlaps, summarise


class SegmentationModule(pl.LightningModule):
    """A network trained with Dice + cross-entropy, validated by the Dice of whole cases.

    Args:
        network: gives logits `(N, classes, ...)`.
        plan: classes and window size.
        config: optimiser settings.

    Raises:
        FloatingPointError: at the first loss that is not finite.
    """

    def __init__(self, network: nn.Module, plan: Plan, config: TrainingConfig) -> None:
        super().__init__()
        self.network = network
        self.plan = plan
        self.config = config
        self.loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
        self.counted: list[list[Overlap]] = []

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Return the loss of a batch of patches."""
        logits = self.network(batch["image"]).float()
        loss = self.loss(logits, batch["label"])
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"loss is {loss.item()} at epoch {self.current_epoch}, step {self.global_step}; "
                "lower training.learning_rate, or use training.precision 32-true"
            )
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(logits))
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Predict one whole case and count its overlap with the reference."""
        chances = class_probabilities(
            self.network, batch["image"], self.plan.patch_size, self.config.overlap
        )
        prediction = chances.argmax(1).cpu().numpy().astype(np.uint16)
        reference = batch["label"][:, 0].cpu().numpy()
        self.counted.append(overlaps(prediction, reference, self.plan.num_classes))

    def on_validation_epoch_end(self) -> None:
        """Log the mean Dice of each class, and of all, under the empty-mask policy."""
        names = [name for name, number in sorted(self.plan.labels.items(), key=lambda i: i[1])]
        by_class = zip(*self.counted, strict=True)
        scores = {}
        for name, counted in zip(names[1:], by_class, strict=True):
            dice = summarise(counted)["Dice"]
            if dice is not None:
                scores[name] = dice
        self.counted = []
        if len(scores) > 1:
            self.log_dict({f"val_dice_{name}": dice for name, dice in scores.items()})
        self.log("val_dice", float(np.mean(list(scores.values()))) if scores else 0.0)

    def configure_optimizers(self) -> dict[str, Any]:
        """Return AdamW, its learning rate falling to zero along a cosine."""
        optimizer = torch.optim.AdamW(
            self.network.parameters(),
            self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.config.epochs)
        return {"optimizer": optimizer, "lr_scheduler": schedule}
