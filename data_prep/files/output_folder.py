"""Output folders: what in them is ours, so that nothing of anyone else is replaced or removed.

A folder of results has a hidden folder `.sdunet`: a list of what was written, see `Written`, locks,
and files that are not complete yet. Only a file that stands as it was written is ours. What is
written or removed below such a folder goes through here.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from data_prep.core.errors import DataError
from data_prep.files.folder_lock import held, is_lock
from data_prep.files.links import lies_in, real
from data_prep.files.written_files import LIST, MARK, FileHashes, Part, Written, list_of, new_list

_PARTIAL = "partial"
NOT_WHOLE = ".partial-"  # how names begin in there
_IGNORED = (MARK, ".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave
RECORD = "run.json"  # which any command may write when it ends
_NEW = "give a new folder, or move what is there"


@dataclass
class Output:
    """A folder that a command writes to, and what it has written there.

    Attributes:
        root: the folder.
        listed: what was ever written there.
        written: names of those files that this process wrote since it opened the folder.
        part: of a run, which is to be told of; `None` outside of one, and in trainings.
        files: the hashes of what is there.
    """

    root: Path
    listed: Written
    written: set[str] = field(default_factory=set)
    part: Part | None = None
    files: FileHashes = field(default_factory=FileHashes)
    _begun: bool = False

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
        if not lies_in(path, self.root):
            raise DataError("OUT_PATH", f"{path} leads out of {self.root}", "remove the link")
        if os.path.lexists(path) and not self.owns(path):
            name = self._name(path)
            found = "was changed since" if self._hashes(name) else "is not of sdunet"
            raise DataError("OUT_TAKEN", f"{name} in {self.root} {found}", _NEW)

    def owns(self, path: Path) -> bool:
        """Tell whether a file stands as it was written, and in this folder, not through a link."""
        if not lies_in(path, self.root):
            return False
        name = self._name(path)
        hashes = self._hashes(name)
        if not hashes or path.is_symlink() or not path.is_file():
            return False
        return self.files.of(path) in hashes

    def begin(self) -> None:
        """Tell, before the first change, that a run changes the folder: what is there is outdated.

        With it goes the record of the run before. What others have removed is missed no more.
        """
        if self.part is None or self._begun:
            return
        self._begun = True
        number, parts = self.part
        gone: list[dict[str, str | int | None]] = [
            {"file": name, "sha256": None} for name in self.listed.gone()
        ]
        self.listed.append({"began": number, "of": parts}, *gone)
        self.remove(self.root / RECORD)

    def end(self) -> None:
        """Tell that the run came to its end."""
        if self.part is not None and self._begun:
            number, parts = self.part
            self.listed.append({"ended": number, "of": parts})

    def record(self, path: Path, sha256: str) -> None:
        """Note that a file is about to be written; a run that is killed then still owns it."""
        self.begin()
        self.written.add(self._name(path))
        self.listed.append({"file": self._name(path), "sha256": sha256})

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there and ours."""
        self.begin()
        if self.owns(path):
            path.unlink()
            self.forget(path)

    def forget(self, path: Path) -> None:
        """Note that a file is not there any more."""
        self.listed.append({"file": self._name(path), "sha256": None})

    def remove_rest(self) -> None:
        """Remove what earlier runs wrote and this one did not; what is not ours stays."""
        for name in self.listed.update().versions.keys() - self.written:
            path = self.root / name
            if lies_in(path, self.root):
                self.remove(path)

    def _hashes(self, name: str) -> list[str]:
        return [sha256 for sha256 in self.listed.update().versions.get(name, []) if sha256]

    def _name(self, path: Path) -> str:
        return path.absolute().relative_to(self.root).as_posix()


def below(folder: Path, name: str) -> Path:
    """Return the place of a file in a folder; a link that is there is not followed.

    Raises:
        DataError: OUT_PATH if it would lie elsewhere.
    """
    path = folder / name
    if not lies_in(path, folder):
        raise DataError("OUT_PATH", f"{name!r} leads out of {folder}", "rename the case")
    return path


_OPENED: dict[Path, Output] = {}  # by folder, in this process


def output_of(path: Path) -> Output | None:
    """Return the output folder that a file lies in, the innermost; `None` outside of all."""
    if (listed := list_of(path)) is None:
        return None
    return _OPENED.setdefault(listed.folder, Output(listed.folder, listed))


def partial_of(folder: Path) -> Path:
    """Return where files of an output folder lie that are not complete yet."""
    output = output_of(folder / MARK)
    return output.partial if output else folder


def check_output(out: str | Path, *sources: str | Path) -> None:
    """Refuse an output that lies in what is read, is it, or holds it.

    Results would be taken for data later, or a model would be none any more.

    Args:
        out: folder or file to write.
        sources: all that the command reads: data, models, results. Beside a single file, such as
            an archive, there may be others.

    Raises:
        DataError: OUT_IN_DATA; OUT_PATH as `check_free`.
    """
    _check_straight(Path(out))
    target = real(Path(out))
    if MARK in target.parts:
        found = f"{out} lies in {MARK}, which tells what was written beside it"
        raise DataError("OUT_IN_DATA", found, "give another folder")
    for source in map(Path, sources):
        place = real(source)
        inside = target.is_relative_to(place) if source.is_dir() else target == place
        if inside or place.is_relative_to(target):
            how = "lies in the data" if inside else "holds the data"
            found = f"{out} {how}, {source}" if target != place else f"{out} is read, too"
            raise DataError("OUT_IN_DATA", found, "give a folder outside of what is read")


def _check_straight(out: Path) -> None:
    """Refuse a path that leads back up through a link: where it ends, systems do not agree."""
    out = out.absolute()
    if ".." in out.parts and real(out) != real(Path(os.path.normpath(out))):
        found = f"{out} leads through a link and back to {real(out)}"
        raise DataError("OUT_PATH", found, "give the folder without ..")


def check_free(folder: str | Path, command: str, files: Iterable[str] = ()) -> None:
    """Refuse an output folder that holds what a run of this command did not write.

    Args:
        folder: to write to; it need not exist.
        command: what writes there; a folder of results belongs to one command.
        files: names in the folder that will be written, where they are known beforehand.

    Raises:
        DataError: OUT_TAKEN; OUT_PATH also for a path that leads through a link by `..`.
    """
    _check_straight(Path(folder))
    folder = Path(folder).absolute()
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise DataError("OUT_TAKEN", f"{folder} is a file", _NEW)
    _check_mark(folder)
    there = sorted(path.name for path in folder.iterdir() if path.name not in _IGNORED)
    if not (folder / MARK / LIST).is_file():  # looked for last: another part may just begin
        if there:
            raise DataError("OUT_TAKEN", f"{folder} holds {there[0]}, not of sdunet", _NEW)
        return
    if output := output_of(folder / MARK):
        if output.listed.command != command:
            raise DataError("OUT_TAKEN", f"{folder} is of sdunet {output.listed.command}", _NEW)
        if around := _run_around(folder):
            raise DataError("OUT_TAKEN", f"{folder} is of sdunet run, in {around}", _NEW)
        for name in (*files, RECORD):
            output.claim(folder / name)


def _run_around(folder: Path) -> Path | None:
    """Return the results of a whole run that a folder is a stage of, unless it is at work here."""
    for parent in folder.parents:
        if (parent / MARK / LIST).is_file():
            output = output_of(parent / MARK)
            if output and output.listed.command == "run" and not output.listed.busy:
                return parent
    return None


def _check_mark(folder: Path) -> None:
    """Refuse a folder `.sdunet` that is of someone else: what is in ours may be removed."""
    mark = folder / MARK
    if not os.path.lexists(mark):
        return
    real = mark.is_dir() and not any(path.is_symlink() for path in (mark, *mark.iterdir()))
    if not real or not ((mark / LIST).is_file() or all(map(is_lock, mark.iterdir()))):
        raise DataError("OUT_TAKEN", f"{mark} is not of sdunet", _NEW)


def _clear_partial(folder: Path) -> None:
    """Remove what killed runs left half written; what has another name is not ours, and stays."""
    partial = folder / MARK / _PARTIAL
    for path in partial.glob(f"{NOT_WHOLE}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if partial.is_dir() and not any(partial.iterdir()):
        partial.rmdir()


def _part_from_copies(path: Path) -> None:
    """Make a file one of its own, if copies of the folder by hard links share it.

    What is appended to it would be in them, too.
    """
    if path.is_file() and path.stat().st_nlink > 1:
        own = path.with_name(f"{path.name}.own")
        shutil.copyfile(path, own)
        own.replace(path)


@contextmanager
def own_folder(
    folder: str | Path,
    command: str,
    files: Iterable[str] = (),
    *,
    part: Part | None = (0, 1),
    adopt: Iterable[str] | None = None,
) -> Iterator[Output]:
    """Make a folder the output of a command, or go on in one; clear what killed runs left.

    Args:
        folder: see `check_free`, as are `command` and `files`.
        command: see `folder`.
        files: see `folder`.
        part: number of this part of the run and number of parts, which work there side by side;
            none clears what others are writing. `None` for a run that can be gone on with, and
            leaves nothing at any time that it would be wrong to read.
        adopt: files that are ours by their name, whatever they hold, such as the state of a run
            that goes on. With any, even none, the folder may hold other files, which stay.

    Raises:
        DataError: OUT_BUSY if another run works there; as `check_free`.
    """
    _check_straight(Path(folder))
    folder = Path(folder).absolute()
    made, new = not folder.exists(), not (folder / MARK / LIST).is_file()
    if new and adopt is not None:
        _check_mark(folder)
    else:
        check_free(folder, command, files)
    (folder / MARK).mkdir(parents=True, exist_ok=True)
    alone = part is None or part[1] == 1
    with held(folder / MARK, part or (0, 1)):
        if alone:  # parts side by side would lose each other's lines
            _part_from_copies(folder / MARK / LIST)
        listed = new_list(folder)
        if new:
            listed.append({"command": command, "id": token_hex(8)})
        output = _OPENED[folder] = Output(folder, listed, part=part)
        for path in (folder / name for name in adopt or ()):
            if path.is_file() and not output.owns(path):
                output.record(path, output.files.of(path))
        if alone:
            _clear_partial(folder)
        listed.busy = True
        try:
            yield output
            output.end()
        finally:
            listed.busy, output.part = False, None
            if new and alone and not listed.update().versions:  # nothing came of it
                _clear_partial(folder)
                if not (folder / MARK / _PARTIAL).exists():
                    shutil.rmtree(folder / MARK, ignore_errors=True)
                if adopt is None:  # nothing else was there: what is empty was made for files
                    for path in sorted(folder.rglob("*"), reverse=True):
                        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                            path.rmdir()
                if made and not any(folder.iterdir()):
                    folder.rmdir()
