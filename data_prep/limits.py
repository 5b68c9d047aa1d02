"""How large a file may be, and how much memory one case may take: refused before it is taken."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from data_prep.errors import DataError

MAX_BYTES = 8 << 30
# Set around the work on a case; handing it through every reader would be the alternative.
_MEMORY: ContextVar[float] = ContextVar("memory", default=math.inf)


@contextmanager
def memory_within(limit: float | None) -> Iterator[None]:
    """Refuse inside what would take more than `limit` bytes of memory; `None` for no limit."""
    token = _MEMORY.set(math.inf if limit is None else limit)
    try:
        yield
    finally:
        _MEMORY.reset(token)


def check_size(values: int, itemsize: int) -> int:
    """Return the bytes that so many values take, as a header declares them.

    Args:
        values: cells times channels.
        itemsize: bytes of each.

    Raises:
        DataError: IO_TOO_LARGE above `MAX_BYTES`; IO_MEMORY if the work on them would take more
            than `memory_within` allows.
    """
    total = values * itemsize
    if not 0 <= total <= MAX_BYTES:
        raise DataError("IO_TOO_LARGE", f"{total} bytes, limit {MAX_BYTES}", "crop or split it")
    # Measured while preparing: the values as stored and in order, one copy in single precision,
    # the label with a mask of each class.
    needed, allowed = values * (2 * itemsize + 8), _MEMORY.get()
    if needed > allowed:
        raise DataError(
            "IO_MEMORY",
            f"it needs about {needed / 1e9:.2g} GB of memory, {allowed / 1e9:.2g} GB are allowed",
            "allow more by --max-ram, use fewer workers, or crop it",
        )
    return total


def memory_each(workers: int) -> float | None:
    """Return the gigabytes of this machine for each of so many workers; `None` if unknown."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None  # not a system that tells
    return total / 1e9 / max(1, workers)
