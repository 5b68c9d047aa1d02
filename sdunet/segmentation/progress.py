"""Progress for people: bars on a terminal, one line an epoch anywhere, a picture of the curve."""

import csv
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from matplotlib.figure import Figure
from tqdm import tqdm

from data_prep.writer import write_bytes
from sdunet.segmentation.figures import to_png


class EpochLines(pl.Callback):
    """A bar over the steps of an epoch, and a line with loss and Dice after each."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None
        self.best = -1.0
        self.started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the bar."""
        self.started = time.monotonic()
        title = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self.bar = tqdm(
            total=trainer.num_training_batches,
            desc=title,
            file=sys.stderr,
            disable=None,
            leave=False,
        )

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Move the bar by a step."""
        self.bar.update()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Close the bar and write the line; validation has run by now."""
        self.bar.close()
        found = trainer.callback_metrics
        dice, loss = float(found["val_dice"]), float(found["train_loss"])
        mark = "  best" if dice > self.best else ""
        self.best = max(self.best, dice)
        seconds = time.monotonic() - self.started
        tqdm.write(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  loss {loss:.4f}  "
            f"validation Dice {dice:.4f}  {seconds:.1f} s{mark}",
            file=sys.stderr,
        )

    def on_exception(self, *_: Any) -> None:
        """Close the bar, so that the error stands on a line of its own."""
        if self.bar is not None:
            self.bar.close()


def draw_curve(metrics: Path, picture: Path) -> None:
    """Draw loss and validation Dice over the epochs, from Lightning's CSV log."""
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure((7, 4), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    loss = [(int(r["epoch"]) + 1, float(r["train_loss"])) for r in rows if r.get("train_loss")]
    left.plot(*zip(*loss, strict=True), color="#555555", label="training loss")
    names = [name for name in rows[0] if name.startswith("val_dice")] if rows else []
    for name in names:
        dice = [(int(r["epoch"]) + 1, float(r[name])) for r in rows if r.get(name)]
        title = name.removeprefix("val_dice").removeprefix("_") or "mean"
        right.plot(*zip(*dice, strict=True), label=f"Dice {title}", lw=2 if title == "mean" else 1)
    left.set(xlabel="epoch", ylabel="training loss")
    right.set(ylabel="validation Dice", ylim=(0, 1))
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    write_bytes(picture, to_png(figure))
