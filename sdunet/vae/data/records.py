"""Readers of two formats of fixed records: MNIST's idx and CIFAR-10's binary version."""

import re
import struct
import tarfile
from collections.abc import Collection
from math import prod
from pathlib import Path

import numpy as np

from data_prep.core.errors import DataError, named_errors
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import check_bytes
from data_prep.files.decompress import gunzip
from data_prep.files.hidden import is_hidden
from sdunet.vae.data.named_files import check_labels, names_in, needed, rest_of, twice
from sdunet.vae.data.raw import COPY_AGAIN, RawImages, check_link, damaged, in_memory

_LABEL_FILE = r"labels[-.]idx1-ubyte(?:\.gz)?"
_IMAGES, _LABELS = 0x803, 0x801  # bytes along three axes, and along one


def read_idx(root: Path) -> RawImages:
    """Read MNIST's format; Fashion-MNIST's and others' files are named alike."""
    names, splits, taken = names_in(root), {}, list[str]()
    for split, prefix in (("train", "train"), ("test", "t10k")):
        plain = f"{prefix}-images-idx3-ubyte"
        files = [name for name in (plain, f"{plain}.gz") if name in names]
        if len(files) > 1:
            raise twice(files[0], files[1], root)
        file = root / (files[0] if files else needed(plain, names, root))
        size, data = _idx(check_link(file, root), _IMAGES)
        splits[split] = in_memory(data.reshape(size[0], 1, *size[1:]))
        taken.append(file.name)
        for labels in (n for n in names if re.fullmatch(f"{prefix}-{_LABEL_FILE}", n)):
            (count,), _ = _idx(check_link(root / labels, root), _LABELS)
            check_labels(count, size[0], root / labels)
    beside = f"(?:train|t10k)-{_LABEL_FILE}"  # no density needs them
    findings = rest_of(names, taken, root, own="idx", beside=beside)
    return RawImages("idx", 256, splits, findings=findings)


def _idx(file: Path, magic: int) -> tuple[list[int], np.ndarray]:
    """Return the size along each axis, and all values, `(values,)`."""
    data = file.read_bytes()
    if file.suffix == ".gz":
        try:
            data = gunzip(data, lambda start: _idx_bytes(start, magic, file), Findings())
        except DataError as error:
            if error.code not in ("IO_TRUNCATED", "IO_CRC", "IO_TRAILING"):
                raise error.at(file=str(file)) from None
            raise damaged(file, error.found) from error
    if len(data) != (declared := _idx_bytes(data, magic, file)):
        raise damaged(file, f"{declared} bytes are declared, there are {len(data)}")
    header = _header(magic)
    _, *size = struct.unpack(f">{header // 4}I", data[:header])
    return size, np.frombuffer(data, np.uint8, offset=header)


def _idx_bytes(start: bytes, magic: int, file: Path) -> int:
    """Return how many bytes there are to be, by the first of them."""
    header = _header(magic)
    if len(start) < header:
        raise damaged(file, f"{len(start)} bytes are too few for a header of {header}")
    found, *size = struct.unpack(f">{header // 4}I", start[:header])
    if found != magic:
        raise damaged(file, f"starts with {found:#x}, such files with {magic:#x}")
    return check_bytes(header + prod(size))


def _header(magic: int) -> int:
    return 4 + 4 * (magic & 0xFF)  # the last byte counts the axes


_CIFAR_RECORD = 1 + 3 * 32 * 32
_CIFAR = {
    "train": [f"data_batch_{i}.bin" for i in range(1, 6)],
    "test": ["test_batch.bin"],
}


def read_cifar10(path: Path) -> RawImages:
    """Read the binary version, as a folder or as the original archive."""
    wanted = [name for names in _CIFAR.values() for name in names]
    archived = _members(path, wanted) if path.is_file() else None
    names = names_in(path) if archived is None else sorted(archived)
    splits = {}
    for split, files in _CIFAR.items():
        parts = []
        for name in files:
            needed(name, names, path)
            if archived is None:
                data = check_link(path / name, path).read_bytes()
            else:
                data = archived[name]
            parts.append(_cifar_images(data, name))
        splits[split] = in_memory(np.concatenate(parts))
    findings = rest_of(names, wanted, path, own="_batch", beside=r"batches\.meta(?:\.txt)?")
    return RawImages("cifar10", 256, splits, findings=findings)


def _members(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Return what an archive holds by the names of the files; of what is not wanted, no bytes."""
    files: dict[str, bytes] = {}
    with named_errors(str(path), COPY_AGAIN, "FILE_DAMAGED"), tarfile.open(path) as archive:
        for member in archive:
            name = Path(member.name).name
            if name not in wanted:
                if not member.isdir() and not is_hidden(name):
                    files[name] = b""
                continue
            if not member.isreg() or member.issparse() or name in files:
                raise damaged(path, f"{member.name} is no plain file, or there twice")
            check_bytes(member.size + sum(map(len, files.values())))
            if content := archive.extractfile(member):
                files[name] = content.read()
    return files


def _cifar_images(data: bytes, name: str) -> np.ndarray:
    if not data or len(data) % _CIFAR_RECORD:
        raise damaged(name, f"{len(data)} bytes are not whole records of {_CIFAR_RECORD}")
    records = np.frombuffer(data, np.uint8).reshape(-1, _CIFAR_RECORD)
    if records[:, 0].max() > 9:
        raise damaged(name, f"a label is {records[:, 0].max()}, the highest is 9")
    return records[:, 1:].reshape(-1, 3, 32, 32)
