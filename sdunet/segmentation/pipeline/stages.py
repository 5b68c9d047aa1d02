"""Stages of a run: each is done once, and skipped as long as nothing it depends on changes.

What a stage is made from stands in `stages/NAME.json` when it begins, the SHA-256 of each file it
wrote when it ends. A stage that was killed goes on or begins again, from the same; one that failed
leaves no record, so that what it named can be corrected.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.parse import usable
from data_prep.files.atomic import remove_file
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.files.written_files import MARK, FileHashes
from sdunet.runtime.run_record import flat, say

STAGES = "stages"
_MOST_NAMED = 4
Facts = dict[str, Any]


class Stages:
    """The stages of the run in a folder.

    Args:
        out: the folder, which has to be the output of the run by now, see `own_folder`.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.hashes = FileHashes()

    def do(
        self,
        name: str,
        inputs: Mapping[str, Any],
        places: Sequence[str],
        work: Callable[[], Facts | None],
    ) -> Facts:
        """Do a stage, unless it was done from the same inputs and its files are as they were.

        Args:
            name: of the stage, a word.
            inputs: all that its results depend on, by names that a user knows: settings, hashes.
            places: files and folders that it writes, below the folder of the run.
            work: does it; called again after a stop, it has to go on or begin again by itself.

        Returns:
            What `work` returned, now or then.

        Raises:
            DataError: PIPE_INPUTS if it was done from other inputs, PIPE_OUTPUTS if a file it wrote
                was changed or is gone, PIPE_RECORD if its record is damaged.
        """
        now = json.loads(json.dumps(flat(inputs, depth=2)))
        path = self.out / STAGES / f"{name}.json"
        if path.exists():
            with usable("PIPE_RECORD", path, "give another -o"):
                record = read_hashed(path)
                before, files, facts = record["inputs"], record["files"], record["facts"]
            if differing := _differing(before, now):
                raise _other_inputs(name, differing)
            if files is not None and any((self.out / place).exists() for place in places):
                self._check_files(name, files, places)
                say(f"{name}: done before")
                return facts
            say(f"{name}: goes on" if files is None else f"{name}: its files are gone, done again")
        else:
            say(f"{name}: begins")
        write_hashed(path, {"inputs": now, "files": None, "facts": {}})
        try:
            facts = json.loads(json.dumps(work() or {}))
        except Exception:
            remove_file(path)
            raise
        write_hashed(path, {"inputs": now, "files": self._files(places), "facts": facts})
        return facts

    def sha256(self, *names: str) -> dict[str, str]:
        """Return the SHA-256 of files that stages wrote, by their names."""
        return {name: self.hashes.of(self.out / name) for name in names}

    def _files(self, places: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for place in (self.out / place for place in places):
            paths = [place] if place.is_file() else sorted(place.rglob("*"))
            names = (p.relative_to(self.out) for p in paths if p.is_file())
            found |= self.sha256(*(n.as_posix() for n in names if MARK not in n.parts))
        return found

    def _check_files(self, name: str, files: Mapping[str, str], places: Sequence[str]) -> None:
        there = {file: self._sha256_of(file) for file in files}
        wrong = [file for file, sha256 in files.items() if there[file] != sha256]
        if not wrong:
            return
        what = "is gone" if there[wrong[0]] is None else "was changed"
        others = f", with {len(wrong) - 1} others" if len(wrong) > 1 else ""
        left = [place for place in places if (self.out / place).exists()]
        made = "which are then made" if len(left) > 1 else "which is then made"
        raise DataError(
            "PIPE_OUTPUTS",
            f"stage {name}: {wrong[0]} {what} since it was written{others}",
            f"put it back; or remove all of {' and '.join(left)}, {made} again; or give another -o",
        )

    def _sha256_of(self, name: str) -> str | None:
        path = self.out / name
        return self.hashes.of(path) if path.is_file() else None


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs, each in words; hashes are not spelt out."""
    found = []
    for name in sorted({*before, *now}):
        one, other = before.get(name), now.get(name)
        if one == other:
            continue
        if _is_hash(one) or _is_hash(other):
            how = "new" if one is None else "gone" if other is None else "changed"
            found.append(f"{name} is {how}" if how != "changed" else f"{name} changed")
        else:
            found.append(f"{name} was {one!r}, is {other!r}")
    return found


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64


def _other_inputs(name: str, differing: Sequence[str]) -> DataError:
    others = f", and {len(differing) - _MOST_NAMED} more" * (len(differing) > _MOST_NAMED)
    found = f"stage {name} was done from something else: "
    found += f"{'; '.join(differing[:_MOST_NAMED])}{others}"
    return DataError("PIPE_INPUTS", found, "give another -o, or what it was begun with")
