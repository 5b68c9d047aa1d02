"""Who may work in a folder: one run, or the parts of one, side by side.

Locks are of the system, which takes them back from a process that is killed.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from data_prep.core.errors import DataError
from data_prep.files.written_files import Part

_LOCK = "lock"
_LOOK = 0.5  # seconds in which others that only look whether a lock is free are done


def is_lock(path: Path) -> bool:
    """Tell whether a file may be one of these locks."""
    return path.name.startswith(_LOCK)


@contextmanager
def held(folder: Path, part: Part) -> Iterator[None]:
    """Keep other runs out of a folder while this one works there, but for other parts of its job.

    Each takes a lock of its own first and then looks at those of the others: of two that begin at
    once, one at least sees the other.

    Args:
        folder: for the locks.
        part: number of this part of the job and number of parts; (0, 1) is a whole run.

    Raises:
        DataError: OUT_BUSY if another run, or the same part, works there.
    """
    whole, own = folder / _LOCK, folder / f"{_LOCK}-{part[0]}-of-{part[1]}"
    with ExitStack() as stack:
        try:
            if part[1] == 1:
                stack.enter_context(FileLock(whole, timeout=_LOOK))
                others = sorted(folder.glob(f"{_LOCK}-*"))
            else:
                stack.enter_context(FileLock(own, timeout=_LOOK))
                others = [whole]
            for path in others:
                with FileLock(path, timeout=_LOOK):
                    continue
        except Timeout as error:
            found = f"another run works in {folder.parent}"
            raise DataError("OUT_BUSY", found, "wait for it") from error
        yield
