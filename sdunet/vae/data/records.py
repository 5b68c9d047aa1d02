"""Readers of two formats of fixed records: MNIST's idx and CIFAR-10's binary version."""

import re
import struct
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from data_prep.core.errors import DataError, named_errors
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import check_bytes
from data_prep.files.decompress import gunzip
from sdunet.vae.data.picture_folder import left_out
from sdunet.vae.data.raw import COPY_AGAIN, RawImages, check_link, damaged, in_memory

_LABELS = re.compile(r"(train|t10k)-labels[-.]idx1-ubyte(\.gz)?")  # which no density needs


def read_idx(root: Path) -> RawImages:
    """Read MNIST's format; Fashion-MNIST's and others' files are named alike."""
    splits, taken = {}, list[str]()
    for split, prefix in (("train", "train"), ("test", "t10k")):
        names = [root / f"{prefix}-images-idx3-ubyte{end}" for end in ("", ".gz")]
        files = [path for path in names if path.is_file()]
        if not files:
            raise DataError(
                "SOURCE_EMPTY", f"there is no {names[0].name}[.gz] in {root}", "add the file"
            )
        if len(files) > 1:
            found = f"both {files[0].name} and {files[1].name} are in {root}"
            raise DataError("SOURCE_TWICE", found, "remove the one that is not meant")
        splits[split] = in_memory(_idx_images(check_link(files[0], root)))
        taken.append(files[0].name)
    names = sorted(path.name for path in root.iterdir())
    others = [name for name in names if "idx" in name and name not in taken]
    others = [name for name in others if not _LABELS.fullmatch(name)]
    findings = left_out(others, "are of no split that is known")
    return RawImages("idx", 256, splits, findings=findings)


def _idx_images(file: Path) -> np.ndarray:
    data = file.read_bytes()
    if file.suffix == ".gz":
        try:
            data = gunzip(data, lambda start: _idx_bytes(start, file), Findings())
        except DataError as error:
            if error.code not in ("IO_TRUNCATED", "IO_CRC", "IO_TRAILING"):
                raise error.at(file=str(file)) from None
            raise damaged(file, error.found) from error
    if len(data) != _idx_bytes(data, file):
        raise damaged(file, f"{_idx_bytes(data, file)} bytes are declared, there are {len(data)}")
    _, count, height, width = struct.unpack(">4I", data[:16])
    return np.frombuffer(data, np.uint8, offset=16).reshape(count, 1, height, width)


def _idx_bytes(start: bytes, file: Path) -> int:
    """Return how many bytes there are to be, by the first 16."""
    if len(start) < 16:
        raise damaged(file, f"{len(start)} bytes are too few for a header of 16")
    magic, count, height, width = struct.unpack(">4I", start[:16])
    if magic != 0x803:
        raise damaged(file, f"starts with {magic:#x}, images of bytes with 0x803")
    return check_bytes(16 + count * height * width)


_CIFAR_RECORD = 1 + 3 * 32 * 32


def read_cifar10(path: Path) -> RawImages:
    """Read the binary version, as a folder or as the original archive."""
    names = {
        "train": [f"data_batch_{i}.bin" for i in range(1, 6)],
        "test": ["test_batch.bin"],
    }
    read = _tar_reader(path) if path.is_file() else partial(_read_beside, path)
    splits = {}
    for split, files in names.items():
        parts = []
        for name in files:
            try:
                parts.append(_cifar_images(read(name), name))
            except FileNotFoundError as error:
                raise DataError(
                    "SOURCE_EMPTY", f"there is no {name} in {path}", "add the file"
                ) from error
        splits[split] = in_memory(np.concatenate(parts))
    return RawImages("cifar10", 256, splits)


def _read_beside(root: Path, name: str) -> bytes:
    return check_link(root / name, root).read_bytes()


def _tar_reader(path: Path) -> Callable[[str], bytes]:
    files: dict[str, bytes] = {}
    with named_errors(str(path), COPY_AGAIN, "FILE_DAMAGED"), tarfile.open(path) as archive:
        for member in archive:
            name = Path(member.name).name
            if not name.endswith(".bin"):
                continue
            if not member.isreg() or member.issparse() or name in files:
                raise damaged(path, f"{member.name} is no plain file, or there twice")
            check_bytes(member.size + sum(map(len, files.values())))
            if content := archive.extractfile(member):
                files[name] = content.read()

    def read(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(name)
        return files[name]

    return read


def _cifar_images(data: bytes, name: str) -> np.ndarray:
    if not data or len(data) % _CIFAR_RECORD:
        raise damaged(name, f"{len(data)} bytes are not whole records of {_CIFAR_RECORD}")
    records = np.frombuffer(data, np.uint8).reshape(-1, _CIFAR_RECORD)
    if records[:, 0].max() > 9:
        raise damaged(name, f"a label is {records[:, 0].max()}, the highest is 9")
    return records[:, 1:].reshape(-1, 3, 32, 32)
