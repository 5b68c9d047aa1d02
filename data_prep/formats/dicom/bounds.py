"""Where DICOM data end: what they unpack to, before memory is taken for it, and their parts.

As all headers of elements are read for it, one that is there twice is found here, too.
"""

import struct
import zlib
from functools import cache
from typing import NoReturn

from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from data_prep.core.errors import DataError, named_errors
from data_prep.core.memory_limits import check_bytes, room
from data_prep.files.decompress import PackBits, unpacked_size
from data_prep.formats.header_fields import agreed

_AGAIN = "export the series again"
_HEAD = 4096  # bytes that hold what a file is
_META = 132  # where the meta information starts
_J2K = b"\xff\x4f\xff\x51"  # start of a JPEG 2000 codestream, with the segment of its size
_NO_FRAME = (0xC4, 0xC8, 0xCC)  # of the markers C0 to CF, those that are no start of a frame
_RLE_HEADER = 64
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # their tag, little and big endian
# Bytes that an item and a number written as text take in memory; those of contours are read
# without an object of pydicom's for each. A contour of three points took 3100 before it was filled.
_OBJECT, _NUMBER, _COORDINATE = 4000, 500, 60
# Tags of no element: they begin an item, and end items and sequences of undefined length.
_ITEM_GROUP = 0xFFFE
_ITEM_START, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG = {vr.encode() for vr in EXPLICIT_VR_LENGTH_32}  # value representations of 4-byte lengths
_BINARY = {b"OB", b"OW", b"OD", b"OF", b"OL", b"OV"}
_PIXELS = 0x7FE00010
_Told = dict[int, tuple[int, int]]  # where elements begin and end, by their tags
_COMMAND, _HEAD_GROUP = 0, 2  # groups before the others, little endian in any file


def check_unpacked(data: bytes) -> None:
    """Refuse a file of which memory has no room for its bytes, deflated or not, or its values.

    Raises:
        DataError: IO_MEMORY, IO_TOO_LARGE; IO_DAMAGED if a deflated file does not say where its
            data start.
    """
    if DeflatedExplicitVRLittleEndian.encode() in data[:_HEAD]:
        packed = data[_deflated_from(data) :]
        check_bytes(unpacked_size(packed, zlib.decompressobj(-zlib.MAX_WBITS), room()))
        data = _inflated(packed)
    number = _COORDINATE if b"RTSTRUCT" in data[:_HEAD] else _NUMBER
    items = sum(map(data.count, _ITEMS))
    check_bytes(data.count(b"\\") * number + items * _OBJECT, copies=1)


def _deflated_from(data: bytes) -> int:
    if data[_META - 4 : _META + 6] != b"DICM\2\0\0\0UL":
        raise DataError("IO_DAMAGED", "a deflated file without length of its head", _AGAIN)
    return _META + 12 + int.from_bytes(data[_META + 8 : _META + 12], "little")


def _inflated(packed: bytes) -> bytes:
    with named_errors(fix=_AGAIN):
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed)


def check_frames(one: Dataset, frames: int, samples: int) -> None:
    """Refuse compressed frames of another number or size than the header says.

    Raises:
        DataError: DCM_FRAMES, HDR_CONFLICT; IO_DAMAGED for a segment of run lengths that is longer.
    """
    syntax = one.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    packed = list(generate_frames(one.PixelData, number_of_frames=frames))
    if len(packed) != frames:
        raise DataError("DCM_FRAMES", f"{len(packed)} frames, {frames} declared", _AGAIN)
    for frame in packed:
        if syntax == RLELossless:
            _check_runs(frame, one.Rows * one.Columns)
        else:
            said = [one.Rows, one.Columns, samples]
            agreed({"Rows, Columns, SamplesPerPixel": said, "its frame": _frame_size(frame)})


def _check_runs(frame: bytes, most: int) -> None:
    """Most frames are too short to be any danger: a byte gives no more than 64."""
    if 64 * len(frame) <= room():
        return
    count, *starts = struct.unpack_from("<16I", frame)
    ends = [*starts[1:count], len(frame)]
    for start, end in zip(starts[:count], ends, strict=True):
        # A segment may be followed by one byte of padding.
        if unpacked_size(frame[max(start, _RLE_HEADER) : end], PackBits(), most + 1) > most + 1:
            raise DataError("IO_DAMAGED", "more pixels than declared in a frame", _AGAIN)


def _frame_size(frame: bytes) -> list[int] | None:
    """Return rows, columns and samples of a JPEG or JPEG 2000 frame, `None` if it says none."""
    at = frame.find(_J2K, 0, 4096)
    if at >= 0:
        right, bottom, left, top = struct.unpack_from(">4I", frame, at + 8)
        return [bottom - top, right - left, struct.unpack_from(">H", frame, at + 40)[0]]
    at = 2
    while at + 10 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME):
            rows, columns, samples = struct.unpack_from(">HHB", frame, at + 5)
            return [rows, columns, samples]
        # A byte FF before a marker is filling.
        at += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", frame, at + 2)[0]
    return None


def check_lengths(data: bytes, *, little: bool) -> None:
    """Refuse a file in which an element, an item or a sequence does not end in what holds it.

    Nor may one hold an element twice, with two values, of which readers take the first or the last;
    private ones, which are not read, may. A file that was cut ends before its last element does,
    and a damaged length puts items into each other: what is lost so would be missing from contours,
    segments or frames unsaid. Only headers are read, and no value is copied; zeros after the last
    element are padding.

    Args:
        data: the whole file.
        little: whether it is little endian, after its head.

    Raises:
        DataError: IO_TRUNCATED, IO_DAMAGED, HDR_CONFLICT.

    Source: DICOM PS3.5, 7.1 (elements, each once), 7.5 (items and sequences), A.4 (encapsulated
        pixels).
    """
    if DeflatedExplicitVRLittleEndian.encode() in data[:_HEAD]:
        data, at = _inflated(data[_deflated_from(data) :]), 0
        told: _Told = {}
    else:
        at, told = _META if data[_META - 4 : _META] == b"DICM" else 0, {}
        while int.from_bytes(data[at : at + 2], "little") in (_COMMAND, _HEAD_GROUP):
            if not _is_left(data, at, little=True):
                return
            implicit = data[at] == _COMMAND
            at = _after_new_element(data, at, len(data), "<", implicit, told)
    implicit = not _is_explicit(data, at)
    while _is_left(data, at, little):
        if _tag(data, at, len(data), "<" if little else ">") == _ITEM_END:
            _refuse_rest(data, at + 8, len(data))
            return
        at = _after_new_element(data, at, len(data), "<" if little else ">", implicit, told)


def _is_left(data: bytes, at: int, little: bool) -> bool:
    """Tell whether anything but padding follows; a tag of big endian may start with a zero."""
    if data[at : at + 8].strip(b"\0") or (not little and len(data) - at == 1):
        return True
    return bool(data[at:].strip(b"\0"))


def _after_new_element(
    data: bytes, at: int, end: int, order: str, implicit: bool, told: _Told
) -> int:
    """Return where the element at `at` ends, if what holds it has told nothing else of its tag."""
    tag, after = _tag(data, at, end, order), _after_element(data, at, end, order, implicit)
    start, stop = told.setdefault(tag, (at, after))
    if start != at and not tag >> 16 & 1 and data[start:stop] != data[at:after]:
        name = dictionary_keyword(tag) if dictionary_has_tag(tag) else "an element"
        found = f"{name} {_shown(tag)} is there twice, with two values"
        raise DataError("HDR_CONFLICT", found, _AGAIN)
    return after


def _after_element(data: bytes, at: int, end: int, order: str, implicit: bool) -> int:
    """Return where the element at `at` ends, which is `end` at most."""
    tag, vr, value = _tag(data, at, end, order), b"", at + 8
    if implicit or not _is_explicit(data, at):
        length = struct.unpack_from(order + "I", data, at + 4)[0]
    elif (vr := data[at + 4 : at + 6]) in _LONG:
        value = at + 12
        if value > end:
            _refuse(tag, value, data)
        length = struct.unpack_from(order + "I", data, at + 8)[0]
    else:
        length = struct.unpack_from(order + "H", data, at + 6)[0]
    if length == _UNDEFINED:
        opaque = vr in _BINARY or tag == _PIXELS
        return _after_items(data, value, end, order, implicit, delimited=True, opaque=opaque)
    if value + length > end:
        _refuse(tag, value + length, data)
    # A private sequence without its representation is not told from other values.
    if vr == b"SQ" or (vr in (b"", b"UN") and _is_sequence(tag)):
        _after_items(data, value, value + length, order, implicit)
    return value + length


def _after_items(
    data: bytes,
    at: int,
    end: int,
    order: str,
    implicit: bool,
    delimited: bool = False,
    opaque: bool = False,
) -> int:
    """Return where a sequence ends: `end`, or after its delimiter."""
    while delimited or at < end:
        tag = _tag(data, at, end, order)
        length, at = struct.unpack_from(order + "I", data, at + 4)[0], at + 8
        if tag == _SEQUENCE_END:
            if not delimited:
                _refuse_rest(data, at, end)
            return at
        if tag != _ITEM_START:
            raise DataError("IO_DAMAGED", f"{_shown(tag)} where an item is due", _AGAIN)
        if length == _UNDEFINED:
            at = _after_item(data, at, end, order, implicit, delimited=True)
            continue
        if at + length > end:
            _refuse(tag, at + length, data)
        if not opaque:
            _after_item(data, at, at + length, order, implicit)
        at += length
    return at


def _after_item(
    data: bytes, at: int, end: int, order: str, implicit: bool, delimited: bool = False
) -> int:
    """Return where the elements of an item end: at `end`, or after its delimiter."""
    # Items of an explicit file may be implicit, as those of unknown sequences are.
    implicit = implicit or not _is_explicit(data, at)
    told: _Told = {}
    while delimited or at < end:
        tag = _tag(data, at, end, order)
        if tag == _ITEM_END:
            if not delimited:
                _refuse_rest(data, at + 8, end)
            return at + 8
        if tag >> 16 == _ITEM_GROUP:
            raise DataError("IO_DAMAGED", f"an item inside of another, as {_shown(tag)}", _AGAIN)
        at = _after_new_element(data, at, end, order, implicit, told)
    return at


def _tag(data: bytes, at: int, end: int, order: str) -> int:
    if at + 8 > end:
        _refuse(None, at + 8, data)
    group, element = struct.unpack_from(order + "2H", data, at)
    return int(group << 16 | element)


def _is_explicit(data: bytes, at: int) -> bool:
    """Tell whether an element names its representation, in two capitals."""
    vr = data[at + 4 : at + 6]
    return len(vr) == 2 and vr.isalpha() and vr.isupper()


@cache
def _is_sequence(tag: int) -> bool:
    return dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"


def _shown(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _refuse(tag: int | None, end: int, data: bytes) -> NoReturn:
    what = "an element" if tag is None else _shown(tag)
    if end > len(data):
        found = f"the file ends early: {what} ends at byte {end} of {len(data)}"
        raise DataError("IO_TRUNCATED", found, _AGAIN)
    raise DataError("IO_DAMAGED", f"{what} ends after what holds it, at byte {end}", _AGAIN)


def _refuse_rest(data: bytes, at: int, end: int) -> None:
    if data[at:end].strip(b"\0"):
        raise DataError("IO_DAMAGED", f"data after an end of items, at byte {at}", _AGAIN)
