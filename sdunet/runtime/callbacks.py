"""The course of a training: a bar on a terminal, a line an epoch, and the same as table and curve.

What was measured is part of the state of a training, so a resumed one tells its whole course.
"""

import csv
import io
import math
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from statistics import mean
from typing import Any

import pytorch_lightning as pl
from matplotlib.figure import Figure
from tqdm import tqdm

from data_prep.core.safe_text import inert
from data_prep.files.atomic import remove_file, write_bytes
from data_prep.files.output_folder import RECORD
from data_prep.files.png import figure_to_png
from sdunet.runtime.run_record import Pulse

METRICS, CURVE = "metrics.csv", "curve.png"
Row = dict[str, float]


class EpochLines(pl.Callback, ABC):
    """A bar over the steps of an epoch; after it a line, a row of `metrics.csv`, and `curve.png`.

    Subclasses say what is measured, by `figures` and `measured`, and draw it, by `curve`.

    Args:
        out: folder of the run.
        unit: what lies between two validations, one row each.
    """

    def __init__(self, out: Path, unit: str = "epoch") -> None:
        self.out = out
        self.unit = unit
        self.rows: list[Row] = []
        self.bar: tqdm | None = None
        self.best = -math.inf
        self.started = 0.0
        self.pulse = Pulse()
        self.seconds: list[float] = []  # of the epochs that this process trained

    @abstractmethod
    def figures(self, trainer: pl.Trainer, module: pl.LightningModule, found: Row) -> Row:
        """Return what the row tells besides the epoch, given the logged values."""

    @abstractmethod
    def measured(self, row: Row) -> tuple[str, float]:
        """Return what the line says of a row, and a score; the highest is the best."""

    @abstractmethod
    def curve(self) -> Figure:
        """Return a figure of all rows."""

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the bar; the record of an earlier end is outdated."""
        self._open(trainer)
        if trainer.is_global_zero:
            remove_file(self.out / RECORD)

    def _open(self, trainer: pl.Trainer) -> tqdm:
        self.started = time.monotonic()
        self.bar = tqdm(
            total=trainer.num_training_batches,
            desc=self._number(trainer),
            file=sys.stderr,
            disable=None if trainer.is_global_zero else True,
            leave=False,
        )
        return self.bar

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Move the bar by a step."""
        # Resumed within an epoch, whose start Lightning does not tell again, there is none.
        bar = self._open(trainer) if self.bar is None else self.bar
        bar.update()
        step = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        self._beat(trainer, f"step {step} of {trainer.num_training_batches}")

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        index: int,
        loader: int = 0,
    ) -> None:
        """Tell a log that validation goes on."""
        self._beat(trainer, f"validating, {index + 1} of {sum(trainer.num_val_batches)}")

    def _beat(self, trainer: pl.Trainer, text: str) -> None:
        if trainer.is_global_zero and (self.bar is None or self.bar.disable):
            self.pulse.beat(f"{self._number(trainer)}  {text}")

    def _number(self, trainer: pl.Trainer) -> str:
        return f"{self.unit} {trainer.current_epoch + 1}/{trainer.max_epochs}"

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Close the bar; write row, curve and line; validation has run by now."""
        bar = self._open(trainer) if self.bar is None else self.bar
        bar.close()
        self.bar = None
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        number = {self.unit: trainer.current_epoch + 1}
        self.rows.append(number | self.figures(trainer, module, found))
        if trainer.is_global_zero:
            write_bytes(self.out / METRICS, _table(self.rows))
            write_bytes(self.out / CURVE, figure_to_png(self.curve()))
        text, score = self.measured(self.rows[-1])
        mark = "  best" if score > self.best else ""
        self.best = max(self.best, score)
        seconds = time.monotonic() - self.started
        self.seconds.append(seconds)
        left = (trainer.max_epochs or 0) - trainer.current_epoch - 1
        rest = f"  at most {_spell(left * mean(self.seconds))} left" if left else ""
        if trainer.is_global_zero:
            tqdm.write(
                inert(f"{self._number(trainer)}  {text}  {seconds:.1f} s{rest}{mark}"),
                file=sys.stderr,
            )

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on from."""
        return {"rows": self.rows, "best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up."""
        self.rows, self.best = state["rows"], state["best"]

    def on_exception(self, *_: Any) -> None:
        """Close the bar, so that the error stands on a line of its own."""
        if self.bar is not None:
            self.bar.close()


def _spell(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 \
        else f"{minutes / 60:.1f} h"  # fmt: skip


def _table(rows: list[Row]) -> bytes:
    text = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names)
    writer.writerow({name: inert(name) for name in names})  # they may name classes
    writer.writerows(rows)
    return text.getvalue().encode()
