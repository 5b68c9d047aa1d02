"""Where DICOM data end: what they unpack to, before memory is taken for it, and their items."""

import struct
import zlib
from collections.abc import Iterable

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

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
_ITEM = b"\xfe\xff\x00\xe0"
# Bytes that an item and a number written as text take in memory; those of contours are read
# without an object of pydicom's for each.
_OBJECT, _NUMBER, _COORDINATE = 2000, 500, 60
_ITEM_GROUP = 0xFFFE  # of the tags that begin and end items, and are no elements
_SEQUENCES = (
    "StructureSetROISequence",
    "ROIContourSequence",
    "SegmentSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


def check_unpacked(data: bytes) -> None:
    """Refuse a file of which memory has no room for its bytes, deflated or not, or its values.

    Raises:
        DataError: IO_MEMORY, IO_TOO_LARGE; IO_DAMAGED if a deflated file does not say where its
            data start.
    """
    if DeflatedExplicitVRLittleEndian.encode() in data[:_HEAD]:
        if data[_META - 4 : _META + 6] != b"DICM\2\0\0\0UL":
            raise DataError("IO_DAMAGED", "a deflated file without length of its head", _AGAIN)
        start = _META + 12 + struct.unpack_from("<I", data, _META + 8)[0]
        check_bytes(unpacked_size(data[start:], zlib.decompressobj(-zlib.MAX_WBITS), room()))
        with named_errors(fix=_AGAIN):
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:])
    number = _COORDINATE if b"RTSTRUCT" in data[:_HEAD] else _NUMBER
    check_bytes(data.count(b"\\") * number + data.count(_ITEM) * _OBJECT, copies=1)


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


def check_items(one: Dataset) -> None:
    """Refuse a file in whose contours, segments or frames an item lies where an element is due.

    A damaged length puts items into each other, and what the inner ones hold would be lost.

    Raises:
        DataError: IO_DAMAGED.
    """
    for name in _SEQUENCES:
        _check_each(one.get(name) or ())


def _check_each(items: Iterable[Dataset]) -> None:
    for item in items:
        tags = list(item.keys())  # an element that is asked for is decoded
        for tag in tags:
            if tag.group == _ITEM_GROUP:
                found = f"an item inside of another, as {tag}"
                raise DataError("IO_DAMAGED", found, _AGAIN)
            if item.get_item(tag).VR == "SQ":
                _check_each(item[tag].value or ())
