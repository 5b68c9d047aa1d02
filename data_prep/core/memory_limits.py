"""How large a file may be, and how much memory one case may take: refused before it is taken."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from data_prep.core.errors import DataError

MAX_BYTES = 8 << 30
TORCH_FULL = "DefaultCPUAllocator"  # in what torch says when main memory is full
_FIX = "allow more by --max-ram, use fewer workers, or crop it"
_GROUPS = Path("/sys/fs/cgroup")
# Set around the work on a case; handing it through every reader would be the alternative.
_MEMORY: ContextVar[float] = ContextVar("memory", default=math.inf)


@contextmanager
def memory_within(limit: float | None) -> Iterator[None]:
    """Refuse inside what would take more than `limit` bytes of memory; `None` for no limit.

    Raises:
        DataError: IO_MEMORY if memory ends all the same.
    """
    token = _MEMORY.set(math.inf if limit is None else limit)
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and TORCH_FULL not in str(error):
            raise
        raise DataError(
            "IO_MEMORY", f"memory is full: {str(error)[:200]}", "close other programs, or crop it"
        ) from error
    finally:
        _MEMORY.reset(token)


def bytes_of(max_ram: float | None) -> float | None:
    """Return the bytes of so many gigabytes that a user allows; `None` for no limit.

    Raises:
        DataError: OPTION for what is no number above 0: nothing is larger than NaN.
    """
    if max_ram is None:
        return None
    number = isinstance(max_ram, int | float) and not isinstance(max_ram, bool)
    if not (number and max_ram > 0):
        raise DataError("OPTION", f"max_ram is {max_ram!r:.80}", "give gigabytes above 0")
    return max_ram * 1e9


def check_size(values: int, itemsize: int) -> int:
    """Return the bytes that so many values take, as a header declares them.

    Args:
        values: voxels times channels.
        itemsize: bytes of each.

    Raises:
        DataError: IO_DAMAGED below 0; IO_TOO_LARGE above `MAX_BYTES`; IO_MEMORY if the work on them
            would take more than `memory_within` allows.
    """
    # Measured while preparing: the values as stored and in order, one copy in single precision,
    # the label with a mask of each class.
    return _within(values * itemsize, values * (2 * itemsize + 8))


def check_bytes(total: int, copies: float = 3, fix: str = _FIX) -> int:
    """Return how many bytes are to be read or unpacked, if so many can be held.

    Args:
        total: bytes, as a folder, an archive or a header declares them.
        copies: how many times their size the work on them takes, at the least; that on voxels
            takes three, see `check_size`.
        fix: what to do where memory does not hold them.

    Raises:
        DataError: IO_DAMAGED, IO_TOO_LARGE, IO_MEMORY, as `check_size`.
    """
    return _within(total, total * copies, fix)


def room(copies: float = 3) -> int:
    """Return how many bytes `check_bytes` lets pass."""
    return int(min(MAX_BYTES, _MEMORY.get() / copies))


def _within(total: int, needed: float, more: str = _FIX) -> int:
    if total < 0:
        fix = "fetch or export the file again"
        raise DataError("IO_DAMAGED", f"a header of {total} bytes of values", fix)
    allowed = _MEMORY.get()
    if total > MAX_BYTES:
        limit = int(min(MAX_BYTES, allowed * total / needed))
        raise DataError("IO_TOO_LARGE", f"{total} bytes, limit {limit}", "crop or split it")
    if needed > allowed:
        raise DataError(
            "IO_MEMORY",
            f"it needs about {needed / 1e9:.2g} GB of memory, {allowed / 1e9:.2g} GB are allowed",
            more,
        )
    return total


def memory_each(workers: int) -> float | None:
    """Return the gigabytes for each of so many workers; `None` if unknown.

    Those of this machine, or of the container or job that this process is in, where that has less.
    """
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None  # not a system that tells
    return min(total, _granted()) / 1e9 / max(1, workers)


def memory_of_one(max_ram: float | None = None) -> float:
    """Return the bytes that a scan may take: so many gigabytes, or what this machine has."""
    return bytes_of(memory_each(1) if max_ram is None else max_ram) or math.inf


def control_groups(
    controller: str = "", groups: Path | None = None, listed: Path = Path("/proc/self/cgroup")
) -> list[Path]:
    """Return the folders of the control groups that this process is in, the innermost first.

    What any of them grants is the most that there is. A container may see its own group as the
    outermost folder, and none of the others that Linux lists; so not all of them need to exist.

    Args:
        controller: of groups of version 1, such as `cpu`; default: groups of version 2.
        groups: where they lie; default: where Linux shows them.
        listed: the file that lists those of this process.
    """
    try:
        lines = listed.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []  # not Linux
    top = (groups or _GROUPS) / controller
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controller in controllers.split(","):
            here = Path(group.strip("/"))
            return [top / folder for folder in (here, *here.parents)]
    return []


def _granted() -> float:
    """Return the bytes that Linux grants to the control group of this process (version 2)."""
    files = [folder / "memory.max" for folder in control_groups()]
    texts = [file.read_text(encoding="utf-8").strip() for file in files if file.is_file()]
    return min((float(text) for text in texts if text.isdecimal()), default=math.inf)
