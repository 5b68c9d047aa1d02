"""Python processes that are started from here, and what they take for modules."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_NAME = "PYTHONSAFEPATH"
_lock = threading.Lock()
_inside = 0
_before: dict[str, str] = {}


@contextmanager
def safe_path() -> Iterator[None]:
    """Let no Python process that is started inside take files of the working directory for modules.

    Python looks there first where it is given its program by `-c` or `-m`, as multiprocessing and
    Lightning do. A data set may hold a `signal.py`, and would so be run. What workers of
    multiprocessing are told to import is found as ever: they are given the path of this process
    once they have begun. The environment is put back in the end.
    """
    global _inside, _before
    with _lock:
        if not _inside:
            _before = {name: os.environ[name] for name in (_NAME,) if name in os.environ}
            os.environ[_NAME] = "1"
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                del os.environ[_NAME]
                os.environ.update(_before)
