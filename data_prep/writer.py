"""Files that appear complete under their name, or not at all."""

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from data_prep.errors import DataError
from data_prep.inert import inert_json

_PARTIAL = ".partial-"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, made if missing, and clear what killed runs left.

    Raises:
        DataError: OUT_BUSY if another run works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", blocking=False):
            for left in list(folder.rglob(f"{_PARTIAL}*")):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
            yield
    except Timeout as error:
        raise DataError("OUT_BUSY", f"another run works in {folder}", "wait for it") from error


def write_bytes(path: str | Path, data: bytes, previous: str | Path | None = None) -> None:
    """Write a file atomically: a temporary in the same folder, flushed to disk, then renamed.

    Args:
        path: of the file.
        data: its content.
        previous: where what was at `path` is kept, in the same folder. Default: nowhere.

    Raises:
        OSError: if the disk refuses; what was at `path` stays, nothing half-written remains.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp hides its file from others; give it the rights a plain open would.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        if previous is not None and path.exists():
            path.replace(previous)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        found = f"{error.strerror}, {len(data)} bytes to write"
        raise OSError(error.errno, found, str(path)) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: str | Path, record: object) -> None:
    """Write indented JSON atomically, see `inert_json`; NaN and infinity are refused.

    Raises:
        ValueError: for a number JSON has no word for.
        OSError: as `write_bytes`.
    """
    write_bytes(path, (inert_json(record) + "\n").encode())


def write_array(path: str | Path, array: np.ndarray) -> str:
    """Write a `.npy` file atomically, and return the SHA-256 of its bytes."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    data = buffer.getvalue()
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()
