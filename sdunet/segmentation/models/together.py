"""Which runs below one folder belong together: only they predict together without being named.

They are of one prepared set, network and training, each of another fold or seed; where a list of
the runs that were trained together is there, they are those in it.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.parse import usable
from data_prep.files.hashed_json import read_hashed
from data_prep.files.written_files import FileHashes, is_there
from sdunet.runtime.run_record import flat
from sdunet.segmentation.config import network_config
from sdunet.segmentation.models.integrity import is_sealed, zipped_files
from sdunet.segmentation.models.run_settings import FREE, SETTINGS, is_of_all
from sdunet.segmentation.models.trained_model import RUNS, WEIGHTS

_SHARE = "share of the cases"
# In which a training on all cases differs from one of a fold, see `without_validation`.
WITHOUT_VALIDATION = (_SHARE, "training.keep", "training.validate_every")
_CALLED = re.compile(r"(fold|seed)_\d+")
_NAMED = "name the folders to use one by one, or move the others away"


def settings_of(run: Path) -> dict[str, Any]:
    """Return what a run was begun with, by dotted names; nothing of a package.

    Raises:
        DataError: RUN_SETTINGS if it cannot be read.
    """
    if not is_there(run / SETTINGS):
        return {}
    with usable("RUN_SETTINGS", run / SETTINGS, "train anew"):
        settings = read_hashed(run / SETTINGS)
        network = json.loads(json.dumps(asdict(network_config(settings["network"]))))
        return flat({**settings, "network": network})


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names of settings in which two runs differ that are not of one kind.

    What only one of them tells, another version has added.
    """
    alike = {*(f"training.{name}" for name in (*FREE, "seed"))}
    kind = [n for n in one if n.startswith(("network.", "training.")) or n == "set_sha256"]
    found = [n for n in kind if n not in alike and n in other and one[n] != other[n]]
    found = ["prepared set" if name == "set_sha256" else name for name in found]
    of_all = "fold" in one and "fold" in other and is_of_all(one) != is_of_all(other)
    if of_all:
        found = [_SHARE, *(name for name in found if name not in WITHOUT_VALIDATION)]
    return found


def place_of(settings: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return fold and seed of a run, of which each pair may be there once."""
    return settings.get("fold"), settings.get("training.seed")


def check_together(runs: Sequence[Path], listed: Collection[Path]) -> None:
    """Refuse runs below one folder that do not belong together.

    Args:
        runs: folders of all networks that were found.
        listed: those that were trained together, see `listed_below`; none where no list is there.

    Raises:
        DataError: PRED_TEAM for one of other settings, PRED_TWICE for two of one fold and seed,
            PRED_LISTED for one that the list lacks.
    """
    known = {run: settings for run in runs if (settings := settings_of(run))}
    for (one, mine), (other, theirs) in combinations(known.items(), 2):
        if names := differing(mine, theirs):
            found = f"{one} and {other} were trained with another {', '.join(names)}"
            raise DataError("PRED_TEAM", found, _NAMED)
        if place_of(mine) == place_of(theirs):
            fold, seed = place_of(mine)
            found = f"{one} and {other} are both of fold {fold} and seed {seed}"
            raise DataError("PRED_TWICE", found, _NAMED)
    if stray := sorted({*runs} - {*listed}) if listed else []:
        raise DataError("PRED_LISTED", f"{stray[0]} is not in {RUNS} beside it", _NAMED)


def check_left_out(used: Sequence[Path], others: Iterable[Path], top: Path) -> None:
    """Refuse a folder that holds networks besides those that predict, which nobody would miss.

    Another form of one that predicts, such as a package of it, is none.

    Args:
        used: folders of the networks that predict.
        others: of those that were found, and do not.
        top: folder that all were looked for in; packages that are zips are looked for there, too.

    Raises:
        DataError: PRED_TEAM.
    """
    files = FileHashes()
    found = {one: files.of(one / WEIGHTS) for one in others if (one / WEIGHTS).is_file()}
    found |= {path: sha256 for path in sorted(top.rglob("*.zip")) if (sha256 := _hash_in(path))}
    known = {files.of(folder / WEIGHTS) for folder in used} if found else set()
    for path, sha256 in found.items():
        if sha256 not in known:
            told = f"{path} is another network than {used[0]}, and would be left out"
            raise DataError("PRED_TEAM", told, _NAMED)


def _hash_in(path: Path) -> str | None:
    """Return the hash of the weights in a zipped package; `None` for any other zip."""
    try:
        return zipped_files(path)[WEIGHTS]
    except DataError:
        return None  # which is told of where it is named


def left_beside(runs: Collection[Path], top: Path) -> set[Path]:
    """Return folders beside runs that were to hold one, and have no model in them or below.

    They are called as sdunet train calls them, or hold the settings of a run: what an interrupted
    copy left, whose network would be missing without a word.

    Args:
        runs: folders of the networks that were found.
        top: folder that they were looked for in.
    """
    above = {folder for run in runs for folder in run.parents if folder.is_relative_to(top)}
    beside = {folder for parent in above for folder in parent.iterdir() if folder.is_dir()}
    return {
        folder
        for folder in beside - above - {*runs}
        if (_CALLED.fullmatch(folder.name) or (folder / SETTINGS).is_file())
        and not is_sealed(folder)
    }


def listed_below(folder: Path) -> list[Path]:
    """Return the folders of the runs that lists in a folder, and below, tell of.

    Raises:
        DataError: MODEL_JSON if a list is damaged.
    """
    is_there(folder / RUNS)  # or what it lists would not be missed
    return [run for record in sorted(folder.rglob(RUNS)) for run in listed_in(record.parent)]


def listed_in(folder: Path) -> list[Path]:
    """Return the folders of the runs that the list in a folder tells to be trained together.

    Raises:
        DataError: MODEL_JSON if it is damaged.
    """
    record = folder / RUNS
    if not is_there(record):
        return []
    with usable("MODEL_JSON", record, "copy the folder again"):
        return [folder / str(name) for name in read_hashed(record)["runs"]]
