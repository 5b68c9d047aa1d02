"""What the tags of a page say twice: some decoders take the first of them, others the last.

They also guess where there are more or fewer lengths than strips.
Source: TIFF 6.0, section 2 (each tag once, in rising order).
"""

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from data_prep.core.errors import DataError
from data_prep.formats.header_fields import agreed

MOST_PAGES = 1 << 16
# Bytes of a number, by the types of TIFF 6.0 and BigTIFF.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE = (1, 3, 4, 13, 16, 18)  # types of whole numbers, of which each may tell the same
# Tags on which pixels, their values or their size depend; of others two may differ.
_NAMES = {
    **{256: "ImageWidth", 257: "ImageLength", 258: "BitsPerSample", 259: "Compression"},
    **{262: "PhotometricInterpretation", 273: "StripOffsets", 274: "Orientation"},
    **{277: "SamplesPerPixel", 278: "RowsPerStrip", 279: "StripByteCounts"},
    **{282: "XResolution", 283: "YResolution", 284: "PlanarConfiguration"},
    **{266: "FillOrder", 270: "ImageDescription", 291: "GrayResponseCurve"},
    **{296: "ResolutionUnit", 301: "TransferFunction", 317: "Predictor"},
    **{320: "ColorMap", 322: "TileWidth", 323: "TileLength", 347: "JPEGTables", 433: "Decode"},
    **{324: "TileOffsets", 325: "TileByteCounts", 338: "ExtraSamples", 339: "SampleFormat"},
    **{42112: "GDAL_METADATA", 42113: "GDAL_NODATA"},
}
# Writers put a text of their own beside that of the user; of a kind that is read there is one.
# Not of that of tifffile, which no other decoder reads: its first is held to the pages.
_DESCRIPTION = 270
_KINDS_OF_TEXT = (b"ImageJ=", b"<?xml", b"<OME")
_PAIRS = ((273, 279), (324, 325))
# Tags whose values tifffile holds of every page, or that are asked for here; others it leaves where
# they are. Beyond those named above: Software, SubIFDs, and what ImageJ and MetaMorph tell.
_HELD = frozenset(_NAMES) | {305, 330, 513, 514, 530, 33628, 50838, 50839}
_PARSED = (_DESCRIPTION, 33471, 42112, 51123)  # texts; also of Olympus, GDAL and Micro-Manager
_SUB_PAGES = 330
_BYTES = (1, 2, 7)  # types that become text of at most four bytes a letter
_IN_TEXT, _IN_NUMBERS = 4, 18  # bytes of memory a byte, such as of a tuple of short numbers
_AGAIN = "fetch or export the file again"


class _Tag(NamedTuple):
    code: int
    kind: int
    amount: int
    field: bytes  # the value, or where it is


class Held(NamedTuple):
    """What a decoder takes of a page's tags.

    Attributes:
        memory: bytes that their values take.
        parsed: bytes of texts that are parsed.
        pages: where its sub-pages are.
    """

    memory: int
    parsed: int
    pages: list[int]


def held_of(data: bytes, entries: bytes, order: Literal["little", "big"], *, big: bool) -> Held:
    """Tell what a decoder takes of a page, see `check_tags`; beyond the file, it takes nothing.

    Raises:
        DataError: IO_DAMAGED for more pages within it than a file may have.
    """
    memory, parsed, pages = 0, 0, []
    for tag in _tags(entries, order, big):
        size = _SIZES.get(tag.kind, 0) * tag.amount
        if tag.code in _PARSED and size <= len(data):
            parsed += size
        if tag.code in _HELD and size <= len(data):
            memory += size * (_IN_TEXT if tag.kind in _BYTES else _IN_NUMBERS)
        if tag.code == _SUB_PAGES and tag.kind in _WHOLE:
            if tag.amount > MOST_PAGES:
                found = f"a page of {tag.amount} pages within it"
                raise DataError("IO_DAMAGED", found, _AGAIN)
            pages += np.frombuffer(_value(data, tag, order), np.uint64).tolist()
    return Held(memory, parsed, pages)


def check_tags(
    data: bytes, entries: bytes, order: Literal["little", "big"], *, big: bool, room: int
) -> int:
    """Refuse a page that says one thing twice, and not the same; return what is left of `room`.

    Args:
        data: the file.
        entries: of the page, each of 12 bytes, of BigTIFF 20.
        order: of bytes.
        big: whether it is BigTIFF.
        room: bytes of values that may be compared, as tags of a few bytes can all name a large one.

    Raises:
        DataError: IO_DAMAGED beyond `room`; HDR_CONFLICT for a tag that is there twice with two
            values, and for strips or tiles of another number than their lengths.
    """
    tags = list(_tags(entries, order, big))
    counts = {tag.code: tag.amount for tag in tags}
    if len(counts) < len(tags):
        room = _check_doubled(data, tags, order, room)
    for pair in _PAIRS:
        agreed({f"the number of {_NAMES[code]}": counts.get(code) for code in pair})
    return room


def _tags(entries: bytes, order: str, big: bool) -> Iterator[_Tag]:
    form = ("<" if order == "little" else ">") + ("HHQ8s" if big else "HHI4s")
    whole = len(entries) // struct.calcsize(form) * struct.calcsize(form)
    return map(_Tag._make, struct.iter_unpack(form, entries[:whole]))


def _check_doubled(
    data: bytes, tags: list[_Tag], order: Literal["little", "big"], room: int
) -> int:
    times = Counter(tag.code for tag in tags)
    told: dict[tuple[int, bytes | None], bytes] = {}
    for tag in tags:
        if tag.code not in _NAMES or times[tag.code] < 2:
            continue
        room -= min(_SIZES.get(tag.kind, 0) * tag.amount, len(data))
        if room < 0:
            raise DataError("IO_DAMAGED", "tags there twice whose values overlap", _AGAIN)
        value = _value(data, tag, order)
        text = next((kind for kind in _KINDS_OF_TEXT if value.startswith(kind)), None)
        if tag.code == _DESCRIPTION and text is None:
            continue
        if told.setdefault((tag.code, text), value) != value:
            found = f"{_NAMES[tag.code]} is there twice, with two values"
            raise DataError("HDR_CONFLICT", found, _AGAIN)
    return room


def _value(data: bytes, tag: _Tag, order: Literal["little", "big"]) -> bytes:
    size = _SIZES.get(tag.kind, 0)
    raw = tag.field
    if size * tag.amount > len(raw):
        start = int.from_bytes(raw, order)
        raw = data[start : start + size * tag.amount]
    raw = raw[: size * tag.amount]
    if tag.kind not in _WHOLE:
        return raw
    mark = "<" if order == "little" else ">"
    numbers = np.frombuffer(raw[: len(raw) // size * size], f"{mark}u{size}")
    return numbers.astype(np.uint64).tobytes()
