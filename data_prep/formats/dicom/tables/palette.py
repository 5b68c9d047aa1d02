"""Pictures whose stored values are indices of colours.

Source: DICOM PS3.3, C.7.6.3.1.5 and .6 (palettes), C.7.9.2 (segmented), C.8.16.2.1 (supplement).
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from pydicom.dataset import Dataset

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.dicom.tables.lookup import Table, descriptor_of, entries_of, numbers_in

_AGAIN = "export the series again"
_DISCRETE, _LINEAR = 0, 1  # kinds of segments


def palette_of(one: Dataset) -> Table:
    """Return the palette of a file, of one sample where all of its colours are greys.

    Raises:
        DataError: DCM_COLOR if it lacks, is not one palette, has transparency, or is not as long
            as it says.
    """
    told = [descriptor_of(one, one.get(f"{name}PaletteColorLookupTableDescriptor"), "DCM_COLOR")
            for name in ("Red", "Green", "Blue")]  # fmt: skip
    if len(set(told)) > 1:
        raise DataError("DCM_COLOR", f"palettes of red, green and blue as {told}", _AGAIN)
    if any("AlphaPalette" in element.keyword for element in one):
        raise DataError("DCM_COLOR", "a palette with transparency", "export it without")
    count, first, bits = told[0]
    if bits not in (8, 16):
        raise DataError("DCM_COLOR", f"a palette of {bits} bits", _AGAIN)
    samples = []
    for name in ("Red", "Green", "Blue"):
        plain = one.get(f"{name}PaletteColorLookupTableData")
        parts = one.get(f"Segmented{name}PaletteColorLookupTableData")
        if (plain is None) == (parts is None):
            found = "nothing" if plain is None else "both a table and segments of it"
            raise DataError("DCM_COLOR", f"a palette of which {found} is there", _AGAIN)
        if plain is None:
            samples.append(_expanded(numbers_in(one, parts, bits // 8), count, bits))
        else:
            samples.append(entries_of(one, plain, count, bits, "DCM_COLOR"))
    entries = np.stack(samples, -1)
    grey = (entries == entries[:, :1]).all()
    return Table(first, entries[:, :1] if grey else entries, bits)


def tell_of_supplement(one: Dataset, pixels: np.ndarray, findings: Findings) -> None:
    """Warn of grey values among which others are indices of colours, as of a supplement."""
    told = one.get("RedPaletteColorLookupTableDescriptor")
    if told is None:
        return
    first = descriptor_of(one, told, "DCM_COLOR")[1]
    coloured = int((pixels >= first).sum())
    if 0 < coloured < pixels.size:
        found = f"{coloured} of {pixels.size} values from {first} on are shown in colours"
        findings.warn("DCM_COLOR", found, "look whether they are measured, or drawn on the image")


def _expanded(data: Sequence[int] | np.ndarray, count: int, bits: int) -> np.ndarray:
    """Return the entries of a table that is told by runs of numbers and by straight lines."""
    rest, entries = iter([int(number) for number in data]), list[int]()
    while len(entries) < count:
        kind, length = next(rest, -1), next(rest, 0)
        if kind == _DISCRETE:
            entries += islice(rest, length)
        elif kind == _LINEAR and entries and length:
            start, end = entries[-1], next(rest, -1)
            line = np.linspace(start + (end - start) / length, end, length)
            entries += [int(value) for value in np.around(line)] if end >= 0 else []
        else:
            break
    if len(entries) != count or max(entries) >= 2**bits or any(rest):
        found = f"segments of a palette that give {len(entries)} of {count} colours"
        raise DataError("DCM_COLOR", found, "export it with whole palettes")
    return np.array(entries, np.uint8 if bits == 8 else np.uint16)
