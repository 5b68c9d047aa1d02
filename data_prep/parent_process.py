"""Processes that end with the one that started them, whatever ended that one."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading

LEADER = "SDUNET_LEADER"  # the process that Lightning starts the others of a training from
_PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal a process gets when its parent ends


def end_with_parent(*_: object) -> None:
    """Let this process end within a moment of its parent; call it first in every process started.

    A killed parent closes nothing and tells nobody; its workers would wait for work for ever.

    Args:
        _: what pools and loaders tell a new worker.
    """
    if sys.platform == "linux":  # ends also what computes in C and lets no thread run
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if multiprocessing.parent_process() is not None:  # else it was started as a command
        threading.Thread(target=_follow, daemon=True).start()


def end_with_leader() -> None:
    """Let this process end with its parent if it is one of a training that Lightning started.

    Called before anything large is imported: where its parent is killed in the seconds that takes,
    it would go on, and wait for the others. `sdunet.runtime.lightning_setup.end_together` looks
    again once it trains.
    """
    started = os.environ.get("LOCAL_RANK", "0") != "0" and "TORCHELASTIC_RUN_ID" not in os.environ
    if started and os.environ.get(LEADER) == str(os.getppid()):
        end_with_parent()


def _follow() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)
