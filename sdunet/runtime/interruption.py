"""What a training raises that was stopped from outside, and signals, left as they were found."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """A training was stopped from outside, and can be resumed.

    Args:
        by: what stopped it.
        status: exit status of the command, 128 + the number of a signal.
    """

    def __init__(self, by: str, status: int) -> None:
        super().__init__(by)
        self.status = status


@contextmanager
def same_signals() -> Iterator[None]:
    """Put every signal's handler back in the end, whatever set another inside, and how it ended.

    Outside of the main thread no handler can be set, and nothing is done.
    """
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                # None is one that Python did not set, and cannot.
                if handler is not None and handler != signal.getsignal(number):
                    signal.signal(number, handler)
