"""Stopping a training from outside: by a signal, by a file, by the clock. Nothing is lost."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from sdunet.runtime.checkpoint import STATE, save_within_epoch
from sdunet.runtime.interruption import Stopped
from sdunet.runtime.run_record import say

STOP_FILE = "stop"
# SIGUSR1 is what SLURM is often asked to send some minutes before a job's time is over.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)
)


class Halt(pl.Callback):
    """Saves the state and stops at the end of a step, when asked by a signal or by a file.

    A signal stops the validation of a single process at once: the state before the epoch's last
    step is there. A second signal does not wait for the step either.

    Args:
        out: folder of the run. A file `stop` in it stops the run, and is removed.
        max_time: minutes after which no epoch is begun, or which it would likely pass.

    Raises:
        Stopped: when it stops.
    """

    def __init__(self, out: Path, max_time: float | None = None) -> None:
        self.out = out
        self.max_time = max_time
        self.asked: int | None = None
        self.minutes = 0.0  # of all earlier parts of the run
        self.last = 0.0  # minutes of the last epoch
        self.started = self.epoch_started = time.monotonic()

    def on_sanity_check_start(self, *_: Any) -> None:
        """Listen until `fit` ends; only now, as Lightning sets handlers of its own before."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # What nohup or a shell told this process to ignore stays ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self._ask)

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Listen, where nothing was validated before; end at once where the time is over."""
        self.on_sanity_check_start()
        self.started = self.epoch_started = time.monotonic()
        self._end_if_late(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop if any process was asked, all of them after the same step."""
        found = (self.out / STOP_FILE).exists()
        asked = found or self.asked is not None
        if not trainer.strategy.reduce_boolean_decision(asked, all=False):
            return
        # Lightning would pass over the validation of a state saved after the last step.
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            save_within_epoch(trainer, self.out / STATE)
        trainer.strategy.barrier()
        (self.out / STOP_FILE).unlink(missing_ok=True)
        if found:
            raise Stopped(f"the file {STOP_FILE} was found", 0)
        self._stop()

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop if asked; several processes do not wait for each other here, and go on."""
        if self.asked is not None and trainer.world_size == 1:
            self._stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop after this epoch if the next would pass the time."""
        now = time.monotonic()
        self.last, self.epoch_started = (now - self.epoch_started) / 60, now
        self._end_if_late(trainer)

    def on_train_end(self, *_: Any) -> None:
        """Stop what comes after, if asked during the last epoch's end."""
        if self.asked is not None:
            self._stop()

    def teardown(self, *_: Any, **__: Any) -> None:
        """Stop it, too, if asked since."""
        self.on_train_end()

    def state_dict(self) -> dict[str, float]:
        """Return the time spent, and that of the last epoch."""
        return {"minutes": self._spent(), "last": self.last}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take them up."""
        self.minutes, self.last = state["minutes"], state["last"]

    def _spent(self) -> float:
        return self.minutes + (time.monotonic() - self.started) / 60

    def _end_if_late(self, trainer: pl.Trainer) -> None:
        late = self.max_time is not None and self._spent() + self.last > self.max_time
        if trainer.strategy.reduce_boolean_decision(late and self.last > 0, all=False):
            say(f"stopping after {self._spent():.1f} min: the next epoch would pass max_time")
            trainer.should_stop = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            self._stop()
        self.asked = number
        say(f"{signal.Signals(number).name}: saving at the end of this step")

    def _stop(self) -> None:
        # Where another process was asked, as by a scheduler.
        number = signal.Signals(self.asked or signal.SIGTERM)
        raise Stopped(number.name, 128 + number)
