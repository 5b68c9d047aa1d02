"""Raw images as every reader gives them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.files.links import real
from data_prep.layouts.cases import sample

BLOCK = 1000
COPY_AGAIN = "fetch the file again"


@dataclass(frozen=True)
class Images:
    """Images read block by block, so that a set may be larger than memory.

    Args:
        shape: `(N, C, H, W)`.
        blocks: gives uint8 arrays `(n, C, H, W)` that together are the N images.
        turned: names of pictures that were turned upright, of blocks that were given already.
    """

    shape: tuple[int, int, int, int]
    blocks: Callable[[], Iterator[np.ndarray]]
    turned: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class RawImages:
    """A raw image set.

    Args:
        name: as in tables.
        levels: values are from 0 to `levels - 1`.
        splits: `train`, and `test` and `validation` if there are any.
        factors: of each split, the index of every image's factors, `(N, factors)`, if known.
        findings: warnings of what is doubtful about the split, or left out.
    """

    name: str
    levels: int
    splits: dict[str, Images]
    factors: dict[str, np.ndarray] | None = None
    findings: tuple[Finding, ...] = ()

    def turned(self) -> list[Finding]:
        """Return a note, IMG_ROTATED, of pictures turned upright while all blocks were read."""
        names = sorted(set[str]().union(*(images.turned for images in self.splits.values())))
        findings = Findings()
        if names:
            found = f"{len(names)} turned upright, as their tags say: {sample(names)}"
            findings.note("IMG_ROTATED", found)
        return findings.found


def in_memory(images: np.ndarray) -> Images:
    """Return images `(N, C, H, W)` by blocks."""

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(images), BLOCK):
            yield images[start : start + BLOCK]

    return Images(images.shape, blocks)


def damaged(file: Path | str, found: str) -> DataError:
    """Return the error of a file that is not whole."""
    return DataError("FILE_DAMAGED", found, COPY_AGAIN, file=str(file))


def check_link(path: Path, root: Path) -> Path:
    """Return a file or folder found in the folder of a set, if it lies there.

    Raises:
        DataError: IO_LINK for a link that leads out of it.
    """
    if not real(path).is_relative_to(real(root)):
        found = f"a link that leads out of {root}"
        raise DataError("IO_LINK", found, "copy the file itself", file=str(path))
    return path
