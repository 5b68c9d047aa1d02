"""JSON of our own that carries its hash, so that no number in it changes without a word.

What decides a voxel, a split or a score is written so. A plan, which is there to be changed by
hand, is not. Records of earlier versions have no hash, and are read.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.core.parse import MAX_BYTES, parse_json
from data_prep.files.atomic import write_json
from data_prep.files.written_files import check_whole, check_written

_HASH = "sha256"


def hash_json(value: object) -> str:
    """Return the SHA-256 of a value as JSON, whatever the order of its keys; tuples are lists."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_hashed(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record with its hash, as `write_json`."""
    content = json.loads(json.dumps(record))  # names for numbers, as it will be read
    write_json(path, {**record, _HASH: hash_json(content)})


def parse_hashed(data: bytes) -> dict[str, Any]:
    """Parse a record, and return it without its hash.

    Raises:
        ValueError: if its hash, where it has one, is another; as `parse_json`.
    """
    record = parse_json(data)
    recorded = record.pop(_HASH, None)
    if recorded is not None and recorded != hash_json(record):
        raise ValueError("changed since it was written: its hash differs")
    return record


def read_hashed(path: str | Path) -> dict[str, Any]:
    """Read a record, as `parse_hashed`, from a folder in which no run was cut short.

    Raises:
        ValueError: as `parse_hashed`.
        OSError: if it cannot be read.
        DataError: OUT_UNFINISHED; OUT_CHANGED if it is not the one that was written there.
    """
    path = Path(path)
    check_whole(path.parent)
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    record = parse_hashed(data)
    check_written(path, data)
    return record
