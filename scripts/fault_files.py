"""What a run left, read and compared: what it is but for times, and whether it is whole."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.parse import parse_json
from data_prep.files.output_folder import MARK
from sdunet.runtime.safetensors_io import read_tensors

# Keys of JSON and columns of CSV that tell of time, of memory, and how a run was called.
_OF_THE_RUN = ("started", "seconds", "arguments", "waiting", "memory_gb", "minutes", "last")


def files(folder: Path) -> list[Path]:
    """Return the files below a folder that have their final names."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(p == MARK or p.startswith(".partial-") for p in path.relative_to(folder).parts)
    ]


def contents(folder: Path) -> dict[str, bytes]:
    """Return what each file below a folder is, but for times."""
    return {
        p.relative_to(folder).as_posix(): content(p.name, p.read_bytes()) for p in files(folder)
    }


def differing(found: dict[str, bytes], want: dict[str, bytes]) -> set[str]:
    """Return the names of files that are in one alone, or other ones."""
    return {name for name in found | want if found.get(name) != want.get(name)}


def content(name: str, data: bytes) -> bytes:
    """Return the bytes of a file without what hangs on time and place; as they are, if damaged."""
    try:
        return _CONTENTS.get(Path(name).suffix, bytes)(data)
    except (DataError, ValueError, zipfile.BadZipFile):
        return data


def is_readable(path: Path) -> bool:
    """Tell whether a file of some kind can be read to its end; of other kinds none is."""
    try:
        _READERS[path.suffix](path)
    except Exception:  # whatever a reader says of damaged bytes
        return False
    return True


def _json(data: bytes) -> bytes:
    record = parse_json(data)
    kept = _without_times(record)
    if kept != record and isinstance(kept, dict):
        kept.pop("sha256", None)  # which is of all, times included
    return json.dumps(kept, sort_keys=True).encode()


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if not k.endswith(_OF_THE_RUN)}
    return [_without_times(v) for v in value] if isinstance(value, list) else value


def _tensors(data: bytes) -> bytes:
    """Return tensors and texts, which of a training are JSON."""
    tensors, texts = read_tensors("", data)
    texts = {name: _without_times(parse_json(text.encode())) for name, text in texts.items()}
    bytes_ = {name: tensor.numpy().tobytes().hex() for name, tensor in tensors.items()}
    return json.dumps([texts, bytes_], sort_keys=True).encode()


def _csv(data: bytes) -> bytes:
    return json.dumps(_without_times(list(csv.DictReader(io.StringIO(data.decode()))))).encode()


def _zip(data: bytes) -> bytes:
    """Return the members, which a zip notes the time of."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return b"".join(
            n.encode() + content(n, archive.read(n)) for n in sorted(archive.namelist())
        )


def _read_csv(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert len({len(row) for row in csv.reader(io.StringIO(text))}) == 1


def _read_picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


_CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    ".json": _json,
    ".csv": _csv,
    ".safetensors": _tensors,
    ".zip": _zip,
}
_READERS: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: parse_json(path.read_bytes()),
    ".csv": _read_csv,
    ".npy": np.load,
    ".png": _read_picture,
    ".safetensors": read_tensors,
}
