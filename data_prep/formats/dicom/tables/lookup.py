"""Tables that stored values are looked up in, as DICOM files hold them.

Read here and not by pydicom, which takes entries past the 256th of a table of bytes for others,
knows no tables of 10 or 12 bits, and does not turn those of big-endian files.
Source: DICOM PS3.3, C.7.6.3.1.5 (palettes), C.11.1.1 (modality LUT).
"""

from typing import Any, NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import check_size

_AGAIN = "export the series again"


class Table(NamedTuple):
    """One table: values below its first and above its last are those of its ends."""

    first: int  # stored value of the first entry
    entries: np.ndarray  # (entries, samples), of `bits` bits
    bits: int

    def of(self, stored: np.ndarray) -> np.ndarray:
        """Return what stored values, `(..., 1)`, stand for, `(..., samples)`."""
        check_size(stored.size * self.entries.shape[1], 8)
        at = stored[..., 0].astype(np.int64) - self.first
        return self.entries[np.clip(at, 0, len(self.entries) - 1)]


def tables_of(one: Dataset) -> dict[str, str]:
    """Return what slices of one image say alike of their tables, whose entries may differ."""
    items = one.get("ModalityLUTSequence") or []
    told = one.get("RedPaletteColorLookupTableDescriptor") or []
    return {
        "ModalityLUTType": " and ".join(f"{item.get('ModalityLUTType')}" for item in items),
        "bits of a palette": " ".join(f"{bits}" for bits in np.ravel(told)[2:]),
    }


def descriptor_of(one: Dataset, told: Any, code: str) -> tuple[int, int, int]:
    """Return how many entries a table has, the stored value of the first, and bits of an entry.

    Raises:
        DataError: of `code` if that is not told by three numbers.
    """
    try:
        count, first, bits = (int(number) for number in told)
    except (TypeError, ValueError) as error:
        raise DataError(code, f"a lookup table described as {told!r:.60}", _AGAIN) from error
    count = count % 2**16 or 2**16  # written as 0; read as a signed number by some
    lowest = -(2**15) if one.get("PixelRepresentation") == 1 else 0
    return count, (first - lowest) % 2**16 + lowest, bits


def entries_of(one: Dataset, data: Any, count: int, bits: int, code: str) -> np.ndarray:
    """Return the entries of a table that is there in whole, of 1 or 2 bytes each.

    Raises:
        DataError: of `code` if there are more or less than `count`, or larger ones than of `bits`.
    """
    if isinstance(data, bytes):
        wide = len(data) == 2 * count
        if not wide and not (bits == 8 and len(data) == count + count % 2):
            raise DataError(code, f"a lookup table of {len(data)} bytes for {count} values", _AGAIN)
        entries = numbers_in(one, data, 2 if wide else 1)[:count]
    else:
        numbers = [data] if isinstance(data, int) else [*(data or [])]
        if len(numbers) != count:
            found = f"a lookup table of {len(numbers)} values, {count} are due"
            raise DataError(code, found, _AGAIN)
        entries = np.array(numbers, np.int64) % 2**16
    if entries.max() >= 2**bits:
        raise DataError(code, f"{entries.max()} in a lookup table of {bits} bits", _AGAIN)
    return entries.astype(np.uint8 if bits == 8 else np.uint16)


def numbers_in(one: Dataset, data: bytes, wide: int) -> np.ndarray:
    """Return numbers of 1 or 2 bytes, which are both kept in words of 2."""
    if len(data) % 2:
        raise DataError("DCM_COLOR", f"{len(data)} bytes of a lookup table of words", _AGAIN)
    little = one.original_encoding[1] is not False
    words = np.frombuffer(data, "<u2" if little else ">u2").astype("<u2")
    return words if wide == 2 else words.view(np.uint8)
