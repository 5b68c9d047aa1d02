"""Work for other processes, which import it by name."""

import os
import time
from pathlib import Path

from data_prep.core.errors import DataError


def square(number, _where):
    """Return the square; 13 is refused."""
    if number == 13:
        raise DataError("UNLUCKY", f"{number}", "take another")
    return number * number


def stumble(number, _where):
    """Return the square, but raise what nobody expects over 13."""
    if number == 13:
        raise ZeroDivisionError("by 0")
    return number * number


def die_at_seven(number, _where):
    """Return the square, but kill the process over 7."""
    if number == 7:
        os._exit(1)
    return number * number


def die_once(number, where):
    """Return the square, but kill the process the first time over 7."""
    mark = Path(where) / "died"
    if number == 7 and not mark.exists():
        mark.touch()
        os._exit(1)
    time.sleep(0.02)
    return number * number
