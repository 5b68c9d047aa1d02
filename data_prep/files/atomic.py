"""Files that appear complete under their name, or not at all."""

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from data_prep.core.safe_text import inert_json
from data_prep.files.output_folder import NOT_WHOLE, output_of


@contextmanager
def complete_file(path: str | Path, previous: str | Path | None = None) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only once it is whole and on disk.

    Args:
        path: of the file.
        previous: where what was at `path` is kept, in the same folder. Default: nowhere.

    Raises:
        DataError: OUT_TAKEN if what is at `path` in an output folder is not ours, see `Output`.
        OSError: if the disk refuses; what was at `path` stays, nothing half-written remains.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    output = output_of(path)
    if output:
        output.claim(path)
    place = output.partial if output else path.parent
    handle, name = tempfile.mkstemp(dir=place, prefix=NOT_WHOLE)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest() if output else ""
        # mkstemp hides its file from others; give it the rights a plain open would.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        if previous is not None and path.exists():
            move_file(path, previous)
        if output:
            output.record(path, sha256)
        temporary.replace(path)
        if output:
            output.files.note(path, sha256)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: str | Path, data: bytes, previous: str | Path | None = None) -> None:
    """Write a file whole, as `complete_file`."""
    try:
        with complete_file(path, previous) as file:
            file.write(data)
    except OSError as error:
        found = f"{error.strerror}, {len(data)} bytes to write"
        raise OSError(error.errno, found, str(path)) from error


def move_file(path: str | Path, to: str | Path) -> None:
    """Give a file another name in its folder, replacing what has that name.

    Raises:
        DataError: OUT_TAKEN as `complete_file`.
    """
    path, to = Path(path), Path(to)
    if output := output_of(path):
        output.claim(path)
        output.claim(to)
        output.record(to, output.files.of(path))
    path.replace(to)
    if output:
        output.forget(path)


def remove_file(path: str | Path) -> bool:
    """Remove a file of an output folder, if it is there and ours; tell whether it is gone."""
    path = Path(path)
    output = output_of(path)
    if output:
        output.remove(path)
    return not os.path.lexists(path)


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
