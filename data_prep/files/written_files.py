"""What was written into an output folder: a list beside the files, to which readers hold them.

`.sdunet/written.jsonl` says which command writes there, then line by line what happened: a run
began to change the folder or came to its end, a file of some hash was written, or removed.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.core.errors import DataError
from data_prep.core.parse import parse_json, read_bounded

MARK = ".sdunet"
LIST = "written.jsonl"
_LINE = 1 << 16  # bytes; more are no record
_HEAD = 1 << 8  # bytes, of which the first record, with an id of its own, takes fewer
MAX_LIST = 1 << 28  # bytes: a line a file and version, of some 150, makes 1.8 million of them
Part = tuple[int, int]  # number of a part of a run, from 0, and number of parts
# Where lists of files and hashes are, which a copy of one's own has to do without.
AGAIN = "make it again; if that is meant, copy the folder without .sdunet and predictions.json"


@dataclass
class Written:
    """The list of a folder, read as far as it goes.

    Attributes:
        folder: whose list it is.
        command: what writes there.
        versions: SHA-256 of each version of a file that was written, by its name; `None` at last
            for one that was removed.
        parts: of the last run; 0 where runs are not told, as in trainings and in older folders.
        unfinished: numbers of those that have not come to their end.
        busy: whether this process writes there now.
    """

    folder: Path
    command: str | None = None
    versions: dict[str, list[str | None]] = field(default_factory=dict)
    parts: int = 0
    unfinished: set[int] = field(default_factory=set)
    busy: bool = False
    _head: bytes = b""  # of what is known; no two lists begin alike
    _read: int = 0  # bytes of the list that are known

    def append(self, *records: dict[str, str | int | None]) -> None:
        """Write lines, each on its own, even behind one that a killed run did not end."""
        text = "".join(f"\n{json.dumps(record)}\n" for record in records)
        with (self.folder / MARK / LIST).open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def update(self) -> "Written":
        """Read what was added, and return the list itself.

        Raises:
            DataError: OUT_LIST if it is larger than any list is, or a line of it is damaged.
        """
        path = self.folder / MARK / LIST
        size = path.stat().st_size
        if size > MAX_LIST:
            found = f"{MARK}/{LIST} in {self.folder} has {size} bytes, above {MAX_LIST}"
            raise DataError("OUT_LIST", found, AGAIN)
        with path.open("rb") as file:
            # A removed list may leave its inode to the next; its first lines it does not.
            if size < self._read or file.read(len(self._head)) != self._head:
                self.command, self.versions, self.parts, self.unfinished = None, {}, 0, set()
                self._head, self._read = b"", 0
            if len(self._head) < _HEAD:
                file.seek(0)
                self._head = file.read(min(_HEAD, size))
            file.seek(self._read)
            while line := file.readline(_LINE):
                if len(line) < _LINE and not line.endswith(b"\n"):
                    break  # it is being written
                self._read += len(line)
                self._take(self._record(line))
        return self

    def expected(self, name: str) -> list[str | None]:
        """Return the hashes of which a file must have one; none if it is not of sdunet.

        In a folder whose runs are told, the last is the only one. A training replaces its files as
        it goes on, and may be killed between a line of the list and the file.
        """
        versions = self.update().versions.get(name, [])
        if not versions or versions[-1] is None:
            return []
        return versions[-1:] if self.parts else versions

    def gone(self) -> list[str]:
        """Return the names of files that were not removed by sdunet, and are not there."""
        there = [name for name, versions in self.update().versions.items() if versions[-1]]
        return [name for name in there if not os.path.lexists(self.folder / name)]

    def check_whole(self) -> None:
        """Refuse to read what a run left that was cut short, or where the list itself was.

        Raises:
            DataError: OUT_UNFINISHED.
        """
        self.update()
        if self.command is None and not self.busy:
            found = f"{MARK}/{LIST} in {self.folder} names no command: it was cut short or changed"
            raise DataError("OUT_UNFINISHED", found, AGAIN)
        if self.unfinished and not self.busy:
            parts = ", ".join(f"{number}/{self.parts}" for number in sorted(self.unfinished))
            raise DataError(
                "OUT_UNFINISHED",
                f"sdunet {self.command} was cut short in {self.folder}, or is at work there"
                + f": part {parts}" * (self.parts > 1),
                "run it again, to its end",
            )

    def _record(self, line: bytes) -> dict:
        try:
            return parse_json(line) if line.strip() else {}
        except ValueError as error:
            if not line.rstrip().endswith(b"}"):
                return {}  # a run was killed while it wrote it
            found = f"{MARK}/{LIST} in {self.folder} has a line that is no record: {error}"
            raise DataError("OUT_LIST", found, AGAIN) from error

    def _take(self, record: dict) -> None:
        if "command" in record:
            self.command = str(record["command"])
        if isinstance(record.get("file"), str):
            sha256 = record.get("sha256")
            self.versions.setdefault(record["file"], []).append(sha256 and str(sha256))
        if isinstance(parts := record.get("of"), int):
            if "began" in record and parts != self.parts:
                # Of a job that is divided in another way than before, all parts have to end.
                self.parts, self.unfinished = parts, set(range(parts))
            elif "began" in record:
                self.unfinished.add(record["began"])
            elif parts == self.parts:
                self.unfinished.discard(record.get("ended"))


_LISTS: dict[Path, Written] = {}  # by folder, in this process


def list_of(path: Path) -> Written | None:
    """Return the list of the output folder that a file lies in, the innermost; `None` outside."""
    for folder in path.absolute().parents:
        if (folder / MARK / LIST).is_file():
            return _LISTS.setdefault(folder, Written(folder)).update()
    return None


def is_listed(path: Path) -> bool:
    """Tell whether a file is in the list of its folder, so that a change of it would be told."""
    listed = list_of(path)
    if listed is None:
        return False
    return bool(listed.expected(path.absolute().relative_to(listed.folder).as_posix()))


def new_list(folder: Path) -> Written:
    """Return the list of a folder, read from the start."""
    _LISTS[folder] = Written(folder)
    return _LISTS[folder]


def check_whole(folder: Path) -> None:
    """Refuse a folder, or what lies in one, that a run left which was cut short.

    Raises:
        DataError: OUT_UNFINISHED.
    """
    if listed := list_of(folder / MARK):
        listed.check_whole()


def is_written_by(folder: Path, command: str) -> bool:
    """Tell whether a folder is the output of a command, or lies in it."""
    listed = list_of(folder.absolute() / MARK)
    return listed is not None and listed.command == command


def missing(folder: Path) -> list[str]:
    """Return the names of what a conversion wrote into a folder and somebody else removed.

    Of other results every missing file is told where it is needed; a case of a conversion that is
    gone with its image and its label would be missed by nobody.
    """
    listed = list_of(folder / MARK)
    if listed and listed.folder == folder.absolute() and listed.command == "convert":
        return listed.gone()
    return []


def check_written(path: Path, data: bytes | None) -> None:
    """Refuse a file that sdunet wrote and that is not what it wrote.

    Args:
        path: of the file.
        data: its content; `None` if it is not there.

    Raises:
        DataError: OUT_CHANGED.
    """
    if (listed := list_of(path)) is None:
        return
    name = path.absolute().relative_to(listed.folder).as_posix()
    expected = listed.expected(name)
    if expected and (data is None or hashlib.sha256(data).hexdigest() not in expected):
        found = "gone since" if data is None else "not as"
        found += f" sdunet {listed.command} wrote it in {listed.folder}"
        raise DataError("OUT_CHANGED", found, AGAIN, file=name)


def is_there(path: Path) -> bool:
    """Tell whether a file is there that not every folder has.

    Raises:
        DataError: OUT_CHANGED if sdunet wrote it and it is gone: what it told would be missing
            without a word.
    """
    if path.exists():
        return True
    check_written(path, None)
    return False


class FileHashes:
    """SHA-256 of files; of each it is computed once, as long as the file stays as it is."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}

    def of(self, path: Path) -> str:
        """Return the hash of a file."""
        stands = _signature(path)
        if self._known.get(path, ((), ""))[0] != stands:
            with path.open("rb") as file:
                self._known[path] = stands, hashlib.file_digest(file, "sha256").hexdigest()
        return self._known[path][1]

    def note(self, path: Path, sha256: str) -> None:
        """Note the hash of a file that was just written."""
        self._known[path] = _signature(path), sha256


def _signature(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_written(path: str | Path, most: int | None = None) -> bytes:
    """Return the content of a file, see `check_written`.

    Raises:
        DataError: OUT_CHANGED.
        ValueError: if it has more bytes than `most`.
    """
    data = Path(path).read_bytes() if most is None else read_bounded(path, most)
    check_written(Path(path), data)
    return data
