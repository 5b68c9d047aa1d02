"""Processes that end with the one that started them, whatever ended that one."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading

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


def _follow() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
