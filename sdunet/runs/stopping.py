"""Stopping a training from outside: by a signal, by a file, by the clock. Nothing is lost."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from sdunet.runs.checkpoint import STATE, states
from sdunet.runs.record import say
from sdunet.runs.stopped import Stopped

STOP_FILE = "stop"
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
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
        self.started = self.epoch_started = time.monotonic()
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Listen; here, since Lightning sets handlers of its own before."""
        self.started = self.epoch_started = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            self._before = {n: signal.signal(n, self._ask) for n in _SIGNALS}

    def teardown(self, *_: Any, **__: Any) -> None:
        """Listen no longer."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop if any process was asked, all of them after the same step."""
        asked = self.asked is not None or (self.out / STOP_FILE).exists()
        if not trainer.strategy.reduce_boolean_decision(asked, all=False):
            return
        # Lightning would pass over the validation of a state saved after the last step.
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            trainer.save_checkpoint(self.out / STATE)
        trainer.strategy.barrier()
        (self.out / STOP_FILE).unlink(missing_ok=True)
        self._stop()

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop if asked; several processes do not wait for each other here, and go on."""
        if self.asked is not None and trainer.world_size == 1:
            self._stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop after this epoch if the next would pass the time."""
        now = time.monotonic()
        last, self.epoch_started = now - self.epoch_started, now
        spent = self.minutes + (now - self.started) / 60
        late = self.max_time is not None and spent + last / 60 > self.max_time
        if trainer.strategy.reduce_boolean_decision(late, all=False):
            say(f"stopping after {spent:.1f} min, since the next epoch would pass max_time")
            trainer.should_stop = True

    def state_dict(self) -> dict[str, float]:
        """Return the time spent."""
        return {"minutes": self.minutes + (time.monotonic() - self.started) / 60}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take up the time spent."""
        self.minutes = state["minutes"]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            self._stop()
        self.asked = number
        say(f"{signal.Signals(number).name}: saving at the end of this step")

    def _stop(self) -> None:
        how = "; go on with --resume" if states(self.out) else ", before anything was saved"
        if self.asked is None:
            raise Stopped(f"the file {STOP_FILE} was found{how}", 0)
        raise Stopped(f"{signal.Signals(self.asked).name}{how}", 128 + self.asked)
