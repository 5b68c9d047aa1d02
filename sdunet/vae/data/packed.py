"""Image sets packed for training: memory-mapped uint8 arrays with checksums."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.parse import read_bounded, usable, whole
from data_prep.files.atomic import complete_file
from data_prep.files.hashed_json import parse_hashed, write_hashed
from data_prep.files.output_folder import own_folder
from data_prep.files.written_files import FileHashes, check_whole
from sdunet.vae.data.raw import RawImages

SCHEMA = 1
DESCRIPTION = "dataset.json"
_COPY_AGAIN = "copy the packed set again, or prepare it again"


@dataclass(frozen=True)
class Packed:
    """An image set on disk.

    Args:
        root: its folder.
        name: as in tables.
        channels: 1 or 3.
        size: height and width.
        levels: grey levels.
        splits: by name, `count`, `file` and `sha256`; `factors` and `factors_sha256` if known;
            `copies`, how many of its images are among those for training, if any are.
        fingerprint: SHA-256 of its description, which holds the hashes of all else.
    """

    root: Path
    name: str
    channels: int
    size: tuple[int, int]
    levels: int
    splits: dict[str, dict]
    fingerprint: str
    _files: FileHashes = field(default_factory=FileHashes, repr=False, compare=False)

    def images(self, split: str) -> np.ndarray:
        """Return the images of a split, `(N, C, H, W)`, uint8, memory-mapped.

        Raises:
            DataError: SPLIT_MISSING, or PACK_DAMAGED if the file is not the one that was packed.
        """
        if split not in self.splits:
            raise DataError(
                "SPLIT_MISSING",
                f"{self.name} has no split {split!r}, only {', '.join(self.splits)}",
                "choose one of them, by --split where it is asked for",
            )
        shape = (self.splits[split]["count"], self.channels, *self.size)
        array = self._map(split, "file", "sha256")
        if array.shape != shape or array.dtype != np.uint8:
            raise _damaged(
                f"{array.dtype} {array.shape} instead of uint8 {shape}",
                self.splits[split]["file"],
            )
        return array

    def factors(self, split: str) -> np.ndarray:
        """Return the factors of a split's images, `(N, factors)`, int64.

        Raises:
            DataError: FACTORS_MISSING, or PACK_DAMAGED.
        """
        if "factors" not in self.splits.get(split, {}):
            raise DataError(
                "FACTORS_MISSING",
                f"the factors of {self.name} are not known",
                "make a set that has them by sdunet vae prepare --kind shapes3d or factors",
            )
        return np.array(self._map(split, "factors", "factors_sha256"))

    def findings(self) -> tuple[Finding, ...]:
        """Return a warning for each split whose images are among those for training, too."""
        return tuple(
            Finding(
                "warning",
                "SOURCE_COPIES",
                f"{split['copies']} of {split['count']} {name} images are also train images",
                "remove them from one of the splits, or read their score as one of training",
            )
            for name, split in self.splits.items()
            if split.get("copies")
        )

    def verify(self) -> None:
        """Check every file.

        Raises:
            DataError: PACK_DAMAGED, naming the file.
        """
        for split, record in self.splits.items():
            self.images(split)
            if "factors" in record:
                self.factors(split)

    def _map(self, split: str, name: str, digest: str) -> np.ndarray:
        """Return an array as it was packed."""
        file = self.splits[split][name]
        try:
            array = np.load(self.root / file, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise _damaged("missing", file) from error
        except (ValueError, EOFError) as error:
            raise _damaged(str(error), file) from error
        if self._files.of(self.root / file) != self.splits[split][digest]:
            raise _damaged("the hash differs", file)
        return array


def pack(
    raw: RawImages,
    out: str | Path,
    *,
    progress: Callable[[Iterable, str], Iterable] = lambda items, title: items,
) -> Packed:
    """Write an image set to `out`; its description comes last, so that half a set is none.

    Raises:
        DataError: PACK_EXISTS if `out` holds a set; IMG_LEVELS for values above the levels;
            SOURCE_COUNT for more or fewer images than announced.
    """
    out = Path(out)
    if (out / DESCRIPTION).exists():
        raise DataError("PACK_EXISTS", f"a packed set is already in {out}", "give another OUT")
    with own_folder(out, "vae prepare"):
        return _pack(raw, out, progress)


def _pack(raw: RawImages, out: Path, progress: Callable[[Iterable, str], Iterable]) -> Packed:
    splits: dict[str, dict] = {}
    trained = np.empty(0, np.uint64)
    hashes = FileHashes()
    for split, images in raw.splits.items():
        with complete_file(out / f"{split}.npy") as file:
            _write_header(file, images.shape, np.uint8)
            written = 0
            seen = []
            for block in progress(images.blocks(), split):
                written += len(block)
                if block.size and block.max() >= raw.levels:
                    raise DataError(
                        "IMG_LEVELS",
                        f"a value is {block.max()} in split {split}, the highest of "
                        f"{raw.levels} levels is {raw.levels - 1}",
                        "give the set's true number of levels",
                    )
                file.write(np.ascontiguousarray(block).tobytes())
                seen += [_digest(image) for image in block]
            if written != images.shape[0]:
                raise DataError(
                    "SOURCE_COUNT",
                    f"split {split} gave {written} images, {images.shape[0]} were announced",
                    "prepare again while nothing changes the source",
                )
        record: dict[str, Any] = {"count": images.shape[0], "file": f"{split}.npy"}
        record["sha256"] = hashes.of(out / record["file"])
        if raw.factors is not None:
            record["factors"] = f"factors_{split}.npy"
            factors = raw.factors[split].astype(np.int64)
            with complete_file(out / record["factors"]) as file:
                _write_header(file, factors.shape, np.int64)
                file.write(factors.tobytes())
            record["factors_sha256"] = hashes.of(out / record["factors"])
        if split == "train":
            trained = np.array(seen, np.uint64)
        elif copies := int(np.isin(np.array(seen, np.uint64), trained).sum()):
            record["copies"] = copies
        splits[split] = record
    _, channels, *size = next(iter(raw.splits.values())).shape
    description = {
        "schema": SCHEMA,
        "name": raw.name,
        "channels": channels,
        "size": size,
        "levels": raw.levels,
        "splits": splits,
    }
    write_hashed(out / DESCRIPTION, description)
    return load_packed(out)


def load_packed(root: str | Path) -> Packed:
    """Open a packed set, checking that its files fit its description.

    Raises:
        DataError: PACK_MISSING, PACK_JSON, PACK_DAMAGED; OUT_UNFINISHED if packing was cut short.
    """
    root = Path(root)
    path = root / DESCRIPTION
    check_whole(root)
    if not path.is_file():
        raise DataError("PACK_MISSING", f"no packed set in {root}", "run sdunet vae prepare first")
    with usable("PACK_JSON", path, _COPY_AGAIN):
        data = read_bounded(path)
        record = parse_hashed(data)
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']}, known is {SCHEMA}")
        height, width = (whole(side, low=1) for side in record["size"])
        splits = {str(name): dict(split) for name, split in record["splits"].items()}
        for split in splits.values():
            if Path(split["file"]).name != split["file"]:
                raise ValueError(f"file {split['file']!r} is not in the folder")
            (
                whole(split["count"]),
                whole(split.get("copies", 0)),
                split["sha256"],
                "factors" in split and split["factors_sha256"],
            )
        packed = Packed(
            root,
            str(record["name"]),
            whole(record["channels"]),
            (height, width),
            whole(record["levels"]),
            splits,
            hashlib.sha256(data).hexdigest(),
        )
    for split in splits:
        packed.images(split)
    return packed


class PackedImages(Dataset):
    """Images of a packed set as uint8 tensors `(C, H, W)`, their levels merged if asked.

    Args:
        images: `(N, C, H, W)`, uint8.
        stored: levels they hold.
        levels: levels wanted; `stored` must be a multiple. 32 of 256 is what 5 bits are.

    Raises:
        DataError: IMG_LEVELS if the levels do not divide.
    """

    def __init__(self, images: np.ndarray, stored: int, levels: int) -> None:
        if stored % levels:
            raise DataError(
                "IMG_LEVELS",
                f"{levels} levels are asked for, the set has {stored}",
                f"set images.levels to {stored}, or to what divides it",
            )
        self.array = images
        self.merge = stored // levels

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self.array[index] // np.uint8(self.merge))


def _digest(image: np.ndarray) -> int:
    return int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest())


def _write_header(file: IO[bytes], shape: tuple[int, ...], dtype: type) -> None:
    described = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": tuple(shape),
    }
    np.lib.format.write_array_header_1_0(file, described)


def _damaged(found: str, file: str) -> DataError:
    return DataError("PACK_DAMAGED", found, _COPY_AGAIN, file=file)
