"""A raw dataset as a set of named files, whether it is a folder, a zip or a tar archive."""

import hashlib
import os
import stat
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import check_bytes
from data_prep.files.archives import open_archive
from data_prep.files.hidden import is_hidden, parted
from data_prep.files.links import real
from data_prep.files.written_files import AGAIN, MARK, check_whole, check_written, missing

# Lists, and how many times their size they take once parsed: lists of empty lists, short rows.
_LISTS = {".json": 24, ".csv": 100, ".tsv": 100}


@dataclass(frozen=True)
class Tree:
    """Names of all files, relative, with `/`, sorted; and how to read one of them whole.

    Archives are never unpacked, so no name in them can reach outside.
    """

    root: Path
    names: tuple[str, ...]
    _read: Callable[[str, int | None], bytes]
    outside: frozenset[str] = frozenset()  # names of links that lead out of the folder
    lost: Mapping[str, str] = field(default_factory=dict)  # members not read: what they are
    unnamed: tuple[str, ...] = ()  # names that are not UTF-8, which are left out
    hidden: tuple[str, ...] = ()  # files and folders left out, see `data_prep.files.hidden`
    list: str = ""  # the list that was given in place of its folder

    def holds(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        place = bisect_left(self.names, name)
        return self.names[place : place + 1] == (name,)

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return the content of a file, whole or at most its first `limit` bytes.

        Raises:
            DataError: IO_EMPTY, IO_NOT_FILE, IO_MEMBER, IO_TOO_LARGE, IO_MEMORY, IO_CRC,
                IO_CHANGED or IO_UNREADABLE.
        """
        if name in self.lost:
            raise self.loss(name)
        try:
            data = self._read(name, limit)
            check_bytes(len(data), _LISTS.get(PurePosixPath(name).suffix.lower(), 1))
        except DataError as error:
            raise error.at(file=name) from None
        except MemoryError as error:
            raise DataError("IO_MEMORY", "memory is full", "crop or split it", file=name) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(
                "IO_UNREADABLE", reason, "check that the file can be read", file=name
            ) from error
        if not data:
            raise DataError("IO_EMPTY", "file of 0 bytes", "fetch the file again", file=name)
        return data

    def loss(self, name: str) -> DataError:
        """Return the error of a member of an archive that is not read."""
        return DataError(
            "IO_MEMBER",
            f"{self.lost[name]} in an archive",
            "unpack it, and give the folder instead",
            file=name,
        )


def token_of(tree: Tree) -> str:
    """Return what changes when the names in a tree do, where links lead, or the archive it is."""
    status = tree.root.stat()
    archive = "" if tree.root.is_dir() else f"{status.st_size} {status.st_mtime_ns}"
    told = "\0".join((archive, *tree.names, "", *sorted(tree.outside)))
    return hashlib.sha256(told.encode()).hexdigest()


@lru_cache(maxsize=2)
def open_again(path: str, token: str) -> Tree:
    """Open a tree that was opened before, once for all cases a process works on.

    Args:
        path: as given to `open_tree`.
        token: `token_of` the tree; another one opens it anew.
    """
    del token
    return open_tree(path)


def recorded(tree: Tree) -> tuple[Tree, dict[str, str]]:
    """Return the tree, and where it adds the SHA-256 of each file that is read whole."""
    hashes: dict[str, str] = {}

    def read(name: str, limit: int | None) -> bytes:
        data = tree.read(name, limit)
        if limit is None:
            hashes[name] = hashlib.sha256(data).hexdigest()
        return data

    return replace(tree, _read=read), hashes


def held_to(tree: Tree, hashes: Mapping[str, str], only: Collection[str] = ()) -> Tree:
    """Return the tree, which refuses a file that does not have its recorded SHA-256.

    What it refuses is OUT_CHANGED; PRED_UNLISTED for what must be recorded and is not.

    Args:
        tree: holds the files.
        hashes: SHA-256 of files by name.
        only: names of files that must be recorded.
    """
    unlisted = {*only} - hashes.keys()

    def read(name: str, limit: int | None) -> bytes:
        if name in unlisted:
            found, fix = "not among what was predicted here", "evaluate it in a folder of its own"
            raise DataError("PRED_UNLISTED", found, fix, file=name)
        data = tree.read(name, limit)
        recorded = hashes.get(name) if limit is None else None
        if recorded is not None and hashlib.sha256(data).hexdigest() != recorded:
            raise DataError("OUT_CHANGED", "not as it was recorded", AGAIN, file=name)
        return data

    return replace(tree, _read=read)


def open_tree(path: str | Path) -> Tree:
    """Open a folder, a single file, a `.zip` or an uncompressed `.tar` as a tree.

    A list, `.csv`, `.tsv` or `.json`, is the folder it lies in without any other list. What sdunet
    wrote is held to what it wrote; of a conversion that is at an end, so are the names.

    Raises:
        DataError: IO_MISSING if there is nothing at `path`, IO_NO_FILES if it holds no file,
            IO_ARCHIVE if an archive cannot be opened, OUT_UNFINISHED if a run of sdunet that wrote
            there was cut short.
    """
    path = Path(path)
    if not path.exists():
        raise DataError("IO_MISSING", f"nothing at {path}", "check the path")
    if not path.is_dir() and not path.is_file():
        raise DataError("IO_NOT_FILE", f"{path} is no file or folder", "check the path")
    check_whole(path if path.is_dir() else path.parent)
    if path.is_dir():
        names, hidden = parted({*_files_below(path), *missing(path)})
        tree = Tree(
            path,
            names,
            lambda n, limit: _read_file(path / n, limit),
            _leaving(path, names),
            hidden=tuple(name for name in hidden if PurePosixPath(name).name != MARK),
        )
    elif path.suffix.lower() in _LISTS:
        tree = _listed_by(path)
    elif archive := open_archive(path):
        names, hidden = parted(archive.names)
        lost = {name: archive.lost[name] for name in {*names} & archive.lost.keys()}
        tree = Tree(path, names, archive.read, lost=lost, hidden=hidden)
    else:
        tree = Tree(path.parent, (path.name,), lambda n, limit: _read_file(path.parent / n, limit))
    wrong = tuple(name for name in tree.names if not _is_utf8(name))
    if wrong:
        names = tuple(name for name in tree.names if _is_utf8(name))
        tree = replace(tree, names=names, outside=tree.outside & {*names}, unnamed=wrong)
    if not tree.names and not wrong:
        raise DataError("IO_NO_FILES", f"no files in {path}", "check the path")
    return tree


def with_files_beside(tree: Tree, wanted: Callable[[Tree], Iterable[str]]) -> Tree:
    """Return the tree of one file with others of its folder.

    Args:
        tree: of a file, as `open_tree` gives it.
        wanted: chooses names from the tree of all files that lie in the same folder.
    """
    near = tuple(sorted(path.name for path in tree.root.iterdir() if path.is_file()))
    names = tuple(sorted({*tree.names, *wanted(replace(tree, names=near))}))
    return replace(tree, names=names, outside=_leaving(tree.root, names))


def open_trees(*paths: str | Path) -> tuple[Tree, ...]:
    """Open several trees; one that is named more than once is listed once.

    Raises:
        DataError: as `open_tree`.
    """
    opened = {path: open_tree(path) for path in dict.fromkeys(map(Path, paths))}
    return tuple(opened[Path(path)] for path in paths)


def _listed_by(path: Path) -> Tree:
    tree = open_tree(path.parent)
    names = (n for n in tree.names if n == path.name or not n.lower().endswith(tuple(_LISTS)))
    return replace(tree, names=tuple(names), list=path.name)


def _files_below(folder: Path) -> list[str]:
    """Return the names of all files but those in hidden folders, of which the folder alone."""
    found, seen = [], {real(folder)}
    for parent, folders, files in os.walk(folder, onerror=_refuse_folder, followlinks=True):
        places = {name: real(Path(parent) / name) for name in folders}
        # A link back to a folder already walked would go round for ever.
        hidden = [name for name in folders if is_hidden(name)]
        folders[:] = [n for n in folders if n not in hidden and places[n] not in seen]
        seen.update(places.values())
        found += [
            (Path(parent) / name).relative_to(folder).as_posix() for name in (*files, *hidden)
        ]
    return found


def _leaving(folder: Path, names: tuple[str, ...]) -> frozenset[str]:
    root = real(folder)
    return frozenset(n for n in names if not real(folder / n).is_relative_to(root))


def _refuse_folder(error: OSError) -> None:
    raise DataError("IO_UNREADABLE", f"{error.filename}: {error.strerror}", "check its rights")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_file(path: Path, limit: int | None) -> bytes:
    if not os.path.lexists(path):
        check_written(path, None)
    before = path.stat()
    if not stat.S_ISREG(before.st_mode):
        raise DataError("IO_NOT_FILE", "not a regular file", "replace it by the file itself")
    check_bytes(before.st_size if limit is None else min(limit, before.st_size))
    with path.open("rb") as file:
        data = file.read(-1 if limit is None else limit)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ino,
    ):
        raise DataError("IO_CHANGED", "it changed while it was read", "wait until it is complete")
    if limit is None or len(data) < limit:
        check_written(path, data)
    return data
