"""Signals mean behind a training, or a server, what they meant before it, however it ended."""

import os
import signal
import socket
import threading
import time
from contextlib import nullcontext

import pytest
from training_runs import arguments_of, run, started
from vae_runs import arguments, config, make_set

from sdunet.runtime.interruption import same_signals
from sdunet.segmentation.training.lightning_module import SegmentationModule
from sdunet.serve import listening
from sdunet.vae.training.lightning_module import VAEModule

ASKED = 128 + signal.SIGTERM


def handlers():
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


@pytest.fixture(autouse=True)
def same():
    """What each test asserts; a handler of a user's own is kept, too."""
    with same_signals():
        signal.signal(signal.SIGUSR1, lambda *_: None)
        before = handlers()
        yield
        assert handlers() == before


def asks(*_):
    os.kill(os.getpid(), signal.SIGTERM)


def fails(*_):
    raise ZeroDivisionError


def presses(*_, **__):
    raise KeyboardInterrupt


def ignore_all(error):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    if error:
        raise error


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_handlers_are_put_back_whatever_is_raised(error):
    with pytest.raises(error) if error else nullcontext(), same_signals():
        ignore_all(error)


def test_outside_of_the_main_thread_nothing_is_done():
    done = []

    def work():
        with same_signals():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


def ending(command, module, moment, how, monkeypatch):
    """Run a command in which something happens, and return its status or what it raised."""
    if how is not None:
        monkeypatch.setattr(module, moment, how)
    try:
        return run(*command)
    except ZeroDivisionError as error:
        return type(error)


@pytest.mark.parametrize(
    ("moment", "how", "status"),
    [
        ("setup", None, 0),
        ("on_train_batch_end", asks, ASKED),
        ("on_train_end", asks, ASKED),  # behind the last step, and behind what `Halt` hears of it
        ("on_train_batch_end", fails, ZeroDivisionError),
        ("on_train_batch_end", presses, 130),
        ("setup", presses, 130),  # before Lightning noted what to put back
    ],
)
def test_of_train(disc_run, tmp_path, monkeypatch, moment, how, status):
    command = arguments_of(disc_run, tmp_path / "run", "--epochs=1")
    assert ending(command, SegmentationModule, moment, how, monkeypatch) == status
    if status == ASKED:
        monkeypatch.undo()
        assert run(*command, "--resume") == 0


@pytest.mark.long
@pytest.mark.parametrize(("how", "status"), [(None, 0), (asks, ASKED)])
def test_of_several_folds(disc_run, tmp_path, monkeypatch, how, status):
    command = arguments_of(disc_run, tmp_path / "run", "--epochs=1", "--fold=all")
    moment = "on_train_batch_end"
    assert ending(command, SegmentationModule, moment, how, monkeypatch) == status


@pytest.mark.parametrize(
    ("moment", "how", "status"),
    [
        ("on_train_batch_end", None, 0),
        ("on_train_batch_end", asks, ASKED),
        ("on_train_end", asks, ASKED),
        ("on_train_batch_end", fails, ZeroDivisionError),
    ],
)
def test_of_vae_train(tmp_path, monkeypatch, moment, how, status):
    given = arguments(config(epochs=1), "images", "ladder", "training")
    data = make_set(tmp_path / "set")
    command = ["vae", "train", "--data", data, "--out", tmp_path / "run", *given]
    assert ending(command, VAEModule, moment, how, monkeypatch) == status


def test_of_a_server(monkeypatch):
    class Server:
        def run(self, _):
            asks()
            raise ZeroDivisionError

    class Queue:
        def close(self):
            self.closed = True

    monkeypatch.setattr(listening, "make_server", lambda *_: Server())
    queue = Queue()
    with socket.socket() as at, pytest.raises(ZeroDivisionError):
        listening.run_until_stopped(None, at, queue, None)
    assert queue.closed


@pytest.mark.long
def test_a_pipeline_ends_by_a_signal_also_behind_its_training(make_discs, tmp_path):
    raw = make_discs(tmp_path / "raw", count=8, size=16)
    small = ["--network.features=[4,8]", "--training.epochs=1", "--training.device=cpu"]
    process = started(["run", raw, "-o", tmp_path / "out", "--folds=1", "--minutes=20", *small])
    said = iter(process.stderr.readline, "")
    assert any(line.startswith("predict: begins") for line in said)
    process.terminate()
    began = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == -signal.SIGTERM  # 143 in a shell
