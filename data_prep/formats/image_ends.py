"""Where a PNG, JPEG or BMP ends, by its own word, and which of its parts are there twice.

Decoders read on to no end, and take the first or the last of two parts.

A TIFF says of no end, but its strips of JPEG or Group 4 do. Sources: PNG (ISO/IEC 15948) 5.3 and
8.2, JPEG (ITU T.81) B.1, BITMAPINFOHEADER, Group 4 (ITU T.6) 2.4.1.1.
"""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import check_bytes

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers of JPEG without a length
_END = 0xD9  # marker of JPEG
_INFO = 40  # bytes of the header of BMP that most have; older ones are shorter
_PLAIN = (0, 3)  # kinds of BMP whose pixels are not compressed
_FILLING = 3  # bytes after the pixels that some writers count into a BMP
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel of PNG, by its type of colour
# The images that an interlaced PNG is taken apart into: first column and row, steps (Adam7).
_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_PIECE = 1 << 20
# Chunks of PNG that all decoders know; others may be passed over if their first letter is small.
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
# Chunks of PNG that are there once, and tell of pixels or their size.
_ONCE = (b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"sRGB", b"pHYs", b"sBIT", b"eXIf")
_OF_TEXTS = 16  # times their size that Pillow holds of tiny ones: up to 13, measured
_ORIENTATION = 0x0112  # tag of Exif
_ADOBE = b"Adobe"  # what tells how a JPEG stores colours
_AGAIN = "fetch or export the file again"


def check_end(data: bytes, findings: Findings) -> None:
    """Refuse bytes after the end of an image that was decoded, unless they are accepted.

    Zeros after a JPEG are padding, as cameras and viewers leave it.

    Raises:
        DataError: IO_TRAILING, unless accepted; for a BMP, IO_TRUNCATED if its pixels go on behind
            its end, though it be filling, and HDR_CONFLICT if they begin in its palette; for a PNG,
            IO_TRUNCATED and IO_DAMAGED if its pixels are fewer or more than it declares, or its
            last checksum is wrong, and IO_DAMAGED if it holds a critical chunk that is unknown.
    """
    if data.startswith(_PNG):
        _check_pixels_of_png(data, findings)
        end = _end_of_png(data)
    elif data.startswith(_JPEG):
        end = _end_of_jpeg(data)
    else:
        end = _end_of_bmp(data)
    more = len(data) - end
    if more < 0:
        raise DataError("IO_TRUNCATED", f"{-more} bytes too few", _AGAIN)
    if more > 0 and not (data.startswith(_JPEG) and not any(data[end:])):
        findings.ask("IO_TRAILING", f"{more} bytes too many", _AGAIN)


def check_once(data: bytes) -> None:
    """Refuse two parts of a PNG or JPEG that tell different things of its pixels.

    Raises:
        DataError: HDR_CONFLICT.
    """
    told: dict[str, object] = {}
    for name, value in _parts(data):
        if told.setdefault(name, value) != value:
            raise DataError("HDR_CONFLICT", f"{name} is there twice, with two values", _AGAIN)


def _parts(data: bytes) -> Iterator[tuple[str, object]]:
    if data.startswith(_PNG):
        for kind, start, end in _chunks(data):
            if kind in _ONCE:
                yield kind.decode(), data[start:end]
    elif data.startswith(_JPEG):
        for marker, start, end in _segments(data):
            body = data[start:end]
            # Exif of more than 64 kB goes on in a second segment, which is none by itself.
            if marker == 0xE1 and body.startswith((b"Exif\0\0II*\0", b"Exif\0\0MM\0*")):
                exif = Image.Exif()
                exif.load(body)
                yield "the orientation of Exif", exif.get(_ORIENTATION, 1)
            elif marker == 0xEE and body.startswith(_ADOBE):
                yield "the Adobe segment", body


def check_texts(data: bytes) -> None:
    """Refuse a PNG whose texts, and other chunks beside the pixels, would take too much memory.

    Raises:
        DataError: IO_MEMORY, see `check_bytes`.
    """
    if data.startswith(_PNG):
        beside = sum(end - start + 12 for kind, start, end in _chunks(data) if kind != b"IDAT")
        check_bytes(min(beside, len(data)), _OF_TEXTS)


def is_whole_jpeg(strip: bytes) -> bool:
    """Tell whether JPEG goes on to its mark of the end; decoders fill up what is missing."""
    return strip.rstrip(b"\0").endswith(b"\xff\xd9")


def is_whole_group4(strip: bytes) -> bool:
    """Tell whether Group 4 goes on to its mark of the end, in either order of bits."""
    bits = bin(int.from_bytes(b"\1" + strip[-8:], "big"))[3:]
    turned = "".join(bits[at : at + 8][::-1] for at in range(0, len(bits), 8))
    return any(text.rstrip("0").endswith("000000000001" * 2) for text in (bits, turned))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk of a PNG, and where its content begins and ends."""
    at = len(_PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at + 8, at + 8 + length
        at += 12 + length


def _end_of_png(data: bytes) -> int:
    for kind, start, end in _chunks(data):
        if kind not in _CRITICAL and kind[:1].isupper():
            found = f"an unknown chunk {kind!r}, without which it must not be shown"
            raise DataError("IO_DAMAGED", found, _AGAIN)
        if kind == b"IEND":
            if zlib.crc32(data[start - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                raise DataError("IO_DAMAGED", "its last chunk has another checksum", _AGAIN)
            return end + 4
    return len(data)


def _check_pixels_of_png(data: bytes, findings: Findings) -> None:
    """Refuse compressed pixels that are not as many as declared: decoders fill up, or leave out."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    bits = depth * _SAMPLES[colour]
    # Each row begins with a byte for its filter.
    due = sum(rows * (1 + (n * bits + 7) // 8) for n, rows in sizes if n > 0 and rows > 0)
    stream, found, beyond = zlib.decompressobj(), 0, 0
    for kind, start, end in _chunks(data):
        rest = memoryview(data)[start:end] if kind == b"IDAT" else memoryview(b"")
        while rest and not stream.eof:
            piece = stream.decompress(rest, _PIECE)
            found, rest = found + len(piece), memoryview(stream.unconsumed_tail)
            if found > due:
                raise DataError("IO_DAMAGED", f"pixels of more than {due} bytes", _AGAIN)
        beyond += len(rest)
    found += len(stream.flush())
    if found < due or not stream.eof:
        raise DataError("IO_TRUNCATED", f"{found} of {due} bytes of pixels, or no end", _AGAIN)
    if found > due:
        raise DataError("IO_DAMAGED", f"pixels of more than {due} bytes", _AGAIN)
    if more := beyond + len(stream.unused_data):
        findings.ask("IO_TRAILING", f"{more} bytes too many in its pixels", _AGAIN)


def _end_of_jpeg(data: bytes) -> int:
    return next((end for marker, _, end in _segments(data) if marker == _END), len(data))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker of each segment of a JPEG, and where its content begins and ends."""
    at = 2
    while 0 <= at < len(data) - 1:
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0x00, *_ALONE, 0xFF):
            # Compressed values, or filling: on to what may be a marker.
            at = data.find(b"\xff", at + 1)
        elif marker == _END:
            yield marker, at + 2, at + 2
            return
        else:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            yield marker, at + 4, end
            at = end


def _end_of_bmp(data: bytes) -> int:
    declared, _, start, head = struct.unpack_from("<IIII", data, 2)
    whole = declared > start  # some writers leave the size of the file out
    if head < _INFO:
        return declared if whole else len(data)
    width, height, _, bits, packed, stored, *_, used = struct.unpack_from("<iiHHIIiiI", data, 18)
    if packed not in _PLAIN:
        return declared if whole else start + stored
    colours = used or (1 << bits if bits <= 8 else 0)
    if start < 14 + head + 4 * colours:
        found = f"pixels from byte {start} on, in its palette"
        raise DataError("HDR_CONFLICT", found, _AGAIN)
    end = start + (abs(width) * bits + 31) // 32 * 4 * abs(height)
    return declared if end <= declared <= end + _FILLING else end
