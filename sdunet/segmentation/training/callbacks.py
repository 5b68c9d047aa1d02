"""What training says of itself: by line, by table and by picture; and the models it keeps."""

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pytorch_lightning.callbacks import Checkpoint

from sdunet.runtime.callbacks import EpochLines, Row
from sdunet.runtime.checkpoint import save_within_epoch
from sdunet.runtime.safetensors_io import run_text, write_weights
from sdunet.segmentation.training.lightning_module import SegmentationModule


class Course(EpochLines):
    """The course of a training of segmentation.

    `waiting` is the share of training spent between steps: for the next batch, and to save states.

    Args:
        out: folder of the run.
        unit: what has a row, an epoch or a `check`, of which `epoch` then says how far it came.
    """

    def __init__(self, out: Path, unit: str = "epoch") -> None:
        super().__init__(out, unit)
        self.waited = self.stepped = self.validated = 0.0
        self.since = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clocks."""
        super().on_train_epoch_start(trainer, module)
        self.waited = self.stepped = self.validated = 0.0
        self.since = time.monotonic()

    def on_train_batch_start(self, *_: Any) -> None:
        """Count the time up to here as waiting."""
        self.waited += self._lap()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Count the time up to here as a step."""
        super().on_train_batch_end(trainer)
        self.stepped += self._lap()

    def on_validation_start(self, *_: Any) -> None:
        """Leave out what lies between."""
        self._lap()

    def on_validation_end(self, *_: Any) -> None:
        """Count validation, which runs before the epoch ends."""
        self.validated += self._lap()

    def figures(self, trainer: pl.Trainer, module: pl.LightningModule, found: Row) -> Row:
        """Return loss, Dice of each class, learning rate, seconds and memory."""
        scores = {n: v for n, v in found.items() if n.startswith("val_dice")}
        order = cast(Any, trainer).datamodule.order()
        passed = {"epoch": round(trainer.global_step / order.epoch_steps, 4)}
        return {
            **(passed if self.unit != "epoch" else {}),
            "train_loss": found["train_loss"],
            **dict(sorted(scores.items())),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "training_seconds": round(self.waited + self.stepped, 2),
            "validation_seconds": round(self.validated, 2),
            "waiting": round(self.waited / max(1e-9, self.waited + self.stepped), 4),
            "memory_gb": round(_peak_memory(), 2),
            "gpu_memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        }

    def measured(self, row: Row) -> tuple[str, float]:
        """Return loss and Dice as text, and the Dice as the score, where there is one."""
        dice = row.get("val_dice")
        shown = "" if dice is None else f"validation Dice {dice:.4f}  "
        gpu = f"  GPU {row['gpu_memory_gb']:.1f} GB" if row["gpu_memory_gb"] else ""
        return (
            f"loss {row['train_loss']:.4f}  {shown}"
            f"waiting {row['waiting']:.0%}  {row['memory_gb']:.1f} GB{gpu}"
        ), -math.inf if dice is None else dice

    def curve(self) -> Figure:
        """Draw loss and validation Dice over the epochs; the loss alone where nothing validates."""
        figure = Figure((7, 4), layout="constrained")
        left = figure.subplots()
        rows = self.rows
        epochs = [row["epoch"] for row in rows]
        loss = [row["train_loss"] for row in rows]
        left.plot(epochs, loss, ".-", color="#555555", label="training loss")
        left.set(xlabel="epoch", ylabel="training loss")
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        scores = [name for name in rows[-1] if name.startswith("val_dice")]
        if scores:
            right = left.twinx()
            right.set(ylabel="validation Dice", ylim=(0, 1))
        for name in scores:
            title = name.removeprefix("val_dice").removeprefix("_") or "mean"
            dice = [row.get(name, float("nan")) for row in rows]
            right.plot(epochs, dice, ".-", label=f"Dice {title}", lw=2 if title == "mean" else 1)
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
        return figure

    def _lap(self) -> float:
        now = time.monotonic()
        lap, self.since = now - self.since, now
        return lap


class Keep(Checkpoint):
    """Keeps weights to predict with, and the whole state to resume from.

    What Lightning calls an epoch ends with a validation: an epoch, or `validate_every` steps. Where
    nothing validates, the last weights are kept, and patience has nothing to wait for.

    The state is saved before the last step of an epoch, so that a run that ends in validation
    loses one step; after each epoch; and after every so many steps.

    Args:
        weights: file for the weights.
        state: file for the state.
        save_steps: steps between states; 0 for none between.
        patience: validations without a better Dice after which training ends.
        which: weights that are kept, those of the best validation Dice or the last.
        run: what tells the run from every other, see `check_run`.

    Attributes:
        score: validation Dice of the weights that are kept, if there is one.
    """

    def __init__(
        self,
        weights: Path,
        state: Path,
        save_steps: int,
        patience: int,
        which: Literal["best", "last"] = "best",
        run: Mapping[str, Any] | None = None,
    ) -> None:
        self.weights = weights
        self.state = state
        self.save_steps = save_steps
        self.patience = patience
        self.which = which
        self.run = run_text(run)
        self.best = -1.0
        self.score: float | None = None
        self.waited = 0  # validations since the best

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """End at once a resumed training whose patience is over."""
        self._end_if_over(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save the state where it is due."""
        step = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        steps = trainer.num_training_batches
        due = bool(self.save_steps) and trainer.global_step % self.save_steps == 0
        # After the last step it would be saved without its validation.
        if step == steps - 1 or (due and step < steps):
            save_within_epoch(trainer, self.state)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Keep the weights if they are those wanted so far; save the state; end in time."""
        if self._is_wanted(trainer) and trainer.is_global_zero:
            deployed = cast(SegmentationModule, module).deployed
            write_weights(self.weights, deployed.state_dict(), run=self.run)
        trainer.save_checkpoint(self.state)
        self._end_if_over(trainer)

    def _is_wanted(self, trainer: pl.Trainer) -> bool:
        """Take the score of the weights as they are, and tell whether they are to be kept."""
        if not trainer.enable_validation:
            return True
        score = float(trainer.callback_metrics["val_dice"])
        self.waited += 1
        better = score > self.best
        if better:
            self.best, self.waited = score, 0
        wanted = better or self.which == "last"
        if wanted:
            self.score = score
        return wanted

    def state_dict(self) -> dict[str, float | None]:
        """Return the score of what is kept, the best, and how long ago that was."""
        return {"score": self.score, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them up."""
        self.score, self.waited = state["score"], int(state["waited"])
        self.best = state.get("best", self.score)  # not there where it was all that was kept

    def _end_if_over(self, trainer: pl.Trainer) -> None:
        if self.waited and self.waited >= self.patience:
            trainer.should_stop = True


def _peak_memory() -> float:
    """Return the most memory this process has held, in gigabytes; NaN where it is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
