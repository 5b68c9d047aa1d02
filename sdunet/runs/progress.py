"""Progress for people: a bar on a terminal, one line an epoch anywhere."""

import math
import sys
import time
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm


class EpochLines(pl.Callback):
    """A bar over the steps of an epoch, and a line with what was measured after each.

    Subclasses say what is measured, by `measured`.
    """

    def __init__(self) -> None:
        self.bar: tqdm | None = None
        self.best = -math.inf
        self.started = 0.0

    def measured(self, found: dict[str, float]) -> tuple[str, float]:
        """Return what the line says of the logged values, and a score; the highest is the best."""
        raise NotImplementedError

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the bar."""
        self._open(trainer)

    def _open(self, trainer: pl.Trainer) -> None:
        self.started = time.monotonic()
        title = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self.bar = tqdm(
            total=trainer.num_training_batches,
            desc=title,
            file=sys.stderr,
            disable=None if trainer.is_global_zero else True,
            leave=False,
        )

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Move the bar by a step."""
        if self.bar is None:  # resumed within an epoch, whose start Lightning does not tell again
            self._open(trainer)
        self.bar.update()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Close the bar and write the line; validation has run by now."""
        self.bar.close()
        self.bar = None
        text, score = self.measured({k: float(v) for k, v in trainer.callback_metrics.items()})
        mark = "  best" if score > self.best else ""
        self.best = max(self.best, score)
        seconds = time.monotonic() - self.started
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        if trainer.is_global_zero:
            tqdm.write(f"{epoch}  {text}  {seconds:.1f} s{mark}", file=sys.stderr)

    def on_exception(self, *_: Any) -> None:
        """Close the bar, so that the error stands on a line of its own."""
        if self.bar is not None:
            self.bar.close()
