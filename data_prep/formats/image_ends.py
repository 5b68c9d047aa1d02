"""Where a PNG, JPEG or BMP ends, by its own word: decoders read on to no end.

A TIFF says of no end, but its strips of JPEG or Group 4 do. Sources: PNG (ISO/IEC 15948) 5.3, JPEG
(ITU T.81) B.1, BITMAPINFOHEADER, Group 4 (ITU T.6) 2.4.1.1.
"""

import struct

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers of JPEG without a length
_INFO = 40  # bytes of the header of BMP that most have; older ones are shorter
_PLAIN = (0, 3)  # kinds of BMP whose pixels are not compressed
_FILLING = 3  # bytes after the pixels that some writers count into a BMP
_AGAIN = "fetch or export the file again"


def check_end(data: bytes, findings: Findings) -> None:
    """Refuse bytes after the end of an image that was decoded, unless they are accepted.

    Zeros after a JPEG are padding, as cameras and viewers leave it.

    Raises:
        DataError: IO_TRAILING, unless accepted; for a BMP, IO_TRUNCATED if its pixels go on behind
            its end, though it be filling, and HDR_CONFLICT if they begin in its palette.
    """
    if data.startswith(_PNG):
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


def is_whole_jpeg(strip: bytes) -> bool:
    """Tell whether JPEG goes on to its mark of the end; decoders fill up what is missing."""
    return strip.rstrip(b"\0").endswith(b"\xff\xd9")


def is_whole_group4(strip: bytes) -> bool:
    """Tell whether Group 4 goes on to its mark of the end, in either order of bits."""
    bits = bin(int.from_bytes(b"\1" + strip[-8:], "big"))[3:]
    turned = "".join(bits[at : at + 8][::-1] for at in range(0, len(bits), 8))
    return any(text.rstrip("0").endswith("000000000001" * 2) for text in (bits, turned))


def _end_of_png(data: bytes) -> int:
    at = len(_PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if kind == b"IEND":
            return at
    return len(data)


def _end_of_jpeg(data: bytes) -> int:
    at = 2
    while 0 <= at < len(data) - 1:
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0x00, *_ALONE, 0xFF):
            # Compressed values, or filling: on to what may be a marker.
            at = data.find(b"\xff", at + 1)
        elif marker == 0xD9:
            return at + 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return len(data)


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
