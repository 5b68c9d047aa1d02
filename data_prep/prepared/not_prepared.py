"""What is told of a folder that is taken for a prepared dataset and is none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.files.written_files import MARK, list_of
from data_prep.layouts import find_layout

# Of the lists called dataset.json that raw datasets have: Decathlon, nnU-Net, MONAI.
_OF_RAW = ("numTraining", "training", "channel_names", "modality", "file_ending")


def is_raw(described: Mapping[str, Any]) -> bool:
    """Tell whether a `dataset.json` is the list of a raw dataset rather than of a prepared one."""
    return "schema" not in described and any(name in described for name in _OF_RAW)


def not_prepared(root: Path) -> DataError:
    """Return the error of a place without a prepared dataset; a raw one is told as such."""
    listed = list_of(root / MARK)
    ours = listed is not None and listed.folder == root.absolute() and listed.command == "prepare"
    if not ours and (count := _raw_cases(root)):
        found = f"{root} is a raw dataset of {count} cases, not a prepared one"
        fix = "run sdunet run DATA -o OUT, which does it all, or sdunet prepare DATA -o OUT first"
        return DataError("SET_RAW", found, fix)
    found = f"no prepared dataset in {root}"
    return DataError("SET_MISSING", found, "run sdunet prepare DATA -o OUT first")


def _raw_cases(root: Path) -> int:
    try:
        return len(find_layout(open_tree(root)).cases)
    except (DataError, OSError):
        return 0
