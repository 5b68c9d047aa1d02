"""Predictions of different cases by different networks in one folder, as of all folds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.parse import usable
from data_prep.files.atomic import write_bytes
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.files.output_folder import below, check_output, own_folder
from data_prep.files.written_files import read_written
from sdunet.segmentation.inference.prediction_record import MANIFEST

_LISTS = ("models", "doubts")  # of a record: all folders' together
_CASES = ("cases", "failed")


def pool(folders: Sequence[str | Path], out: str | Path) -> list[str]:
    """Copy predictions of several folders into one, with one record of all of them.

    So validation cases of all folds, each predicted by the network that has not seen them, are
    scored as one set.

    Args:
        folders: that `predict` wrote, each of other cases.
        out: folder for all predictions; what an earlier pool left there and is no more goes.

    Returns:
        Ids of the cases, sorted.

    Raises:
        DataError: PRED_MANIFEST if a record is damaged; PRED_TWICE if a case is in two folders;
            OUT_CHANGED if a file is not as it was predicted.
    """
    check_output(out, *folders)
    out, pooled = Path(out), _pooled([Path(folder) for folder in folders])
    with own_folder(out, "predict") as output:
        for folder in map(Path, folders):
            for case in _record(folder)["cases"].values():
                for name in case["files"]:
                    write_bytes(below(out, name), read_written(folder / name))
        write_hashed(out / MANIFEST, pooled)
        output.remove_rest()
    return sorted(pooled["cases"])


def _pooled(folders: Sequence[Path]) -> dict[str, Any]:
    """Return one record of all folders; but for networks and cases, that of the first."""
    records = [_record(folder) for folder in folders]
    pooled = records[0] | {"pooled": True}
    for name in _LISTS:
        pooled[name] = list(dict.fromkeys(value for record in records for value in record[name]))
    for name in _CASES:
        pooled[name] = {}
        for folder, record in zip(folders, records, strict=True):
            if twice := sorted(pooled[name].keys() & record[name].keys()):
                found = f"case {twice[0]} is in {folder} and in another folder"
                raise DataError("PRED_TWICE", found, "name folders of different cases")
            pooled[name] |= record[name]
        pooled[name] = dict(sorted(pooled[name].items()))
    return pooled


def _record(folder: Path) -> dict[str, Any]:
    with usable("PRED_MANIFEST", folder / MANIFEST, "predict again"):
        return read_hashed(folder / MANIFEST)
