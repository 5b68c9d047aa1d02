"""Output folders: what in them is ours, so that nothing of anyone else is replaced or removed.

A folder of results has a hidden folder `.sdunet`: which command writes there, a lock, files that
are not complete yet, and a line for each file that was written, with its hash. Only a file that
stands as it was written is ours. What is written or removed below such a folder goes through here.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from data_prep.errors import DataError
from data_prep.parse import parse_json

MARK = ".sdunet"
_WRITTEN, _LOCK, _PARTIAL = "written.jsonl", "lock", "partial"
_IGNORED = (MARK, ".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave
_RECORD = "run.json"  # which any command may write when it ends
_NEW = "give a new folder, or move what is there"


@dataclass
class Output:
    """A folder that a command writes to, and what it has written there.

    Attributes:
        root: the folder.
        hashes: SHA-256 of each version of a file that was written, by its name.
        written: names of those that this process wrote since it opened the folder.
    """

    root: Path
    hashes: dict[str, set[str]] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    _read: int = 0  # bytes of the list that are known
    _seen: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def partial(self) -> Path:
        """Folder of files that are not complete yet, on the same disk."""
        folder = self.root / MARK / _PARTIAL
        folder.mkdir(exist_ok=True)
        return folder

    def claim(self, path: Path) -> None:
        """Make sure that a file may be written: it is not there, or it is ours.

        Raises:
            DataError: OUT_TAKEN if it is not ours, OUT_PATH if it lies elsewhere, through a link.
        """
        if not path.parent.resolve().is_relative_to(self.root.resolve()):
            raise DataError("OUT_PATH", f"{path} leads out of {self.root}", "remove the link")
        if os.path.lexists(path) and not self.owns(path):
            name = self._name(path)
            found = "was changed since" if name in self._known() else "is not of sdunet"
            raise DataError("OUT_TAKEN", f"{name} in {self.root} {found}", _NEW)

    def owns(self, path: Path) -> bool:
        """Tell whether a file stands as it was written."""
        name = self._name(path)
        hashes = self._known().get(name)
        if not hashes or path.is_symlink() or not path.is_file():
            return False
        if self._seen.get(name) != _signature(path):
            if hash_of(path) not in hashes:
                return False
            self.seen(path)
        return True

    def record(self, path: Path, sha256: str) -> None:
        """Note that a file is about to be written; a run that is killed then still owns it."""
        self.written.add(self._name(path))
        self._append({"file": self._name(path), "sha256": sha256})

    def remove_rest(self) -> None:
        """Remove what earlier runs wrote and this one did not; what is not ours stays."""
        for name in self._known().keys() - self.written:
            path = self.root / name
            if path.resolve().is_relative_to(self.root.resolve()) and self.owns(path):
                path.unlink()

    def seen(self, path: Path) -> None:
        """Note how a file looks that was just written, or read, so as not to read it again."""
        self._seen[self._name(path)] = _signature(path)

    def _append(self, record: dict[str, str]) -> None:
        # On a line of its own, even behind one that a killed run did not end.
        line = f"\n{json.dumps(record)}\n".encode()
        handle = os.open(self.root / MARK / _WRITTEN, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)

    def _known(self) -> dict[str, set[str]]:
        path = self.root / MARK / _WRITTEN
        if path.stat().st_size > self._read:
            with path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
            self._read += len(data)
            for record in _records(data):
                if isinstance(record.get("file"), str):
                    self.hashes.setdefault(record["file"], set()).add(str(record.get("sha256")))
        return self.hashes

    def _name(self, path: Path) -> str:
        return path.absolute().relative_to(self.root).as_posix()


def _records(data: bytes) -> Iterator[dict]:
    for line in data.splitlines():
        try:
            yield parse_json(line)
        except ValueError:  # cut short
            continue


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _signature(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def below(folder: Path, name: str) -> Path:
    """Return the place of a file in a folder.

    Raises:
        DataError: OUT_PATH if it would lie elsewhere.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError("OUT_PATH", f"{name!r} leads out of {folder}", "rename the case")
    return path


_OPENED: dict[Path, Output] = {}  # by folder, in this process


def output_of(path: Path) -> Output | None:
    """Return the output folder that a file lies in, the innermost; `None` outside of all."""
    for folder in path.absolute().parents:
        if (folder / MARK / _WRITTEN).is_file():
            if folder not in _OPENED:
                _OPENED[folder] = Output(folder)
            return _OPENED[folder]
    return None


def partial_of(folder: Path) -> Path:
    """Return where files of an output folder lie that are not complete yet."""
    output = output_of(folder / MARK)
    return output.partial if output else folder


def check_free(folder: str | Path, command: str, files: Iterable[str] = ()) -> None:
    """Refuse an output folder that holds what a run of this command did not write.

    Args:
        folder: to write to; it need not exist.
        command: what writes there; a folder of results belongs to one command.
        files: names in the folder that will be written, where they are known beforehand.

    Raises:
        DataError: OUT_TAKEN, OUT_PATH.
    """
    folder = Path(folder).absolute()
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise DataError("OUT_TAKEN", f"{folder} is a file", _NEW)
    _check_mark(folder)
    if not (folder / MARK / _WRITTEN).is_file():
        there = sorted(path.name for path in folder.iterdir() if path.name not in _IGNORED)
        if there:
            raise DataError("OUT_TAKEN", f"{folder} holds {there[0]}, not of sdunet", _NEW)
        return
    first = next(_records((folder / MARK / _WRITTEN).read_bytes()), {})
    if first.get("command") != command:
        raise DataError("OUT_TAKEN", f"{folder} is of sdunet {first.get('command')}", _NEW)
    output = output_of(folder / MARK)
    for name in (*files, _RECORD):
        output.claim(folder / name)


def _check_mark(folder: Path) -> None:
    """Refuse a folder `.sdunet` that is of someone else: what is in ours may be removed."""
    mark = folder / MARK
    if not os.path.lexists(mark):
        return
    real = mark.is_dir() and not mark.is_symlink()
    if not real or not ((mark / _WRITTEN).is_file() or {p.name for p in mark.iterdir()} <= {_LOCK}):
        raise DataError("OUT_TAKEN", f"{mark} is not of sdunet", _NEW)


@contextmanager
def own_folder(
    folder: str | Path,
    command: str,
    files: Iterable[str] = (),
    *,
    shared: bool = False,
    adopt: Iterable[str] | None = None,
) -> Iterator[Output]:
    """Make a folder the output of a command, or go on in one; clear what killed runs left.

    Args:
        folder: see `check_free`, as are `command` and `files`.
        command: see `folder`.
        files: see `folder`.
        shared: several processes of one job work there, and none clears what others are writing.
        adopt: files that are ours by their name, whatever they hold, such as the state of a run
            that goes on. With any, even none, the folder may hold other files, which stay.

    Raises:
        DataError: OUT_BUSY if another run works there; as `check_free`.
    """
    folder = Path(folder).absolute()
    made, new = not folder.exists(), not (folder / MARK / _WRITTEN).is_file()
    if new and adopt is not None:
        _check_mark(folder)
    else:
        check_free(folder, command, files)
    (folder / MARK).mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / MARK / _LOCK, blocking=False)
    try:
        if not shared:
            lock.acquire()
    except Timeout as error:
        raise DataError("OUT_BUSY", f"another run works in {folder}", "wait for it") from error
    try:
        output = _OPENED[folder] = Output(folder)
        if new:
            output._append({"command": command})
        for path in (folder / name for name in adopt or ()):
            if path.is_file() and not output.owns(path):
                output.record(path, hash_of(path))
        if not shared:
            shutil.rmtree(folder / MARK / _PARTIAL, ignore_errors=True)
        yield output
    finally:
        lock.release()
        if new and not shared and not output._known():  # nothing came of it
            shutil.rmtree(folder / MARK, ignore_errors=True)
            if made and not any(folder.iterdir()):
                folder.rmdir()
