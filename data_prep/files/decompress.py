"""Bytes of a file and of the files beside it, unpacked no further than a header declares."""

import bz2
import gzip
import io
import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from data_prep.core.errors import DataError, words_of
from data_prep.core.findings import Findings

# Reads the file of a name that lies beside the one being read; `*` stands for its own stem, `**`
# for that without the number of a channel.
Beside = Callable[[str], bytes]
_AGAIN = "fetch or export the file again"
_PIECE = 1 << 20


def alone(name: str) -> bytes:
    """Refuse a file beside: where bytes come from no folder.

    Raises:
        DataError: IO_BESIDE.
    """
    raise DataError("IO_BESIDE", f"the voxels are in another file, {name!r}", "give both files")


def gunzip(data: bytes, declared: Callable[[bytes], int], findings: Findings) -> bytes:
    """Unpack gzip to the declared size; its end is read too, since the checksum stands there.

    Args:
        data: the packed bytes.
        declared: given the first bytes unpacked, says how many there should be.
        findings: may accept IO_TRAILING.

    Raises:
        DataError: IO_TRUNCATED, IO_CRC; IO_TRAILING if there are more, unless accepted.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return _take(stream, declared, findings)
    except EOFError as error:
        raise DataError("IO_TRUNCATED", "the gzip stream ends early", _AGAIN) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataError("IO_CRC", f"damaged gzip stream: {words_of(error)}", _AGAIN) from error


def bunzip2(data: bytes, total: int, findings: Findings) -> bytes:
    """Unpack bzip2 to `total` bytes; errors as `gunzip`."""
    try:
        with bz2.BZ2File(io.BytesIO(data)) as stream:
            return _take(stream, lambda _: total, findings)
    except EOFError as error:
        raise DataError("IO_TRUNCATED", "the bzip2 stream ends early", _AGAIN) from error
    except (OSError, ValueError) as error:
        raise DataError("IO_CRC", f"damaged bzip2 stream: {words_of(error)}", _AGAIN) from error


def inflate(data: bytes, total: int) -> bytes:
    """Unpack one zlib stream of `total` bytes.

    Raises:
        DataError: IO_CRC, IO_TRUNCATED, IO_TRAILING.
    """
    stream = zlib.decompressobj()
    try:
        # One byte more than declared, which must not come, makes the stream check its sum.
        out = stream.decompress(data, total + 1)
    except zlib.error as error:
        raise DataError("IO_CRC", f"damaged zlib stream: {words_of(error)}", _AGAIN) from error
    if len(out) > total or stream.unused_data:
        raise DataError("IO_TRAILING", "more bytes than declared", _AGAIN)
    if not stream.eof:
        raise DataError("IO_TRUNCATED", "the zlib stream ends early", _AGAIN)
    return out


class Decompressor(Protocol):
    """Such as those of zlib, bz2 and lzma."""

    @property
    def eof(self) -> bool:
        """Whether the end was reached."""

    def decompress(self, data: bytes, limit: int, /) -> bytes:
        """Return at most `limit` bytes of what `data` and what came before unpack to."""


def unpacked_size(packed: bytes, stream: Decompressor, most: int) -> int:
    """Return how many bytes there are in `packed`, or a number above `most` if there are more.

    For libraries that unpack all that comes: none is kept here.
    """
    size = 0
    while size <= most and not stream.eof:
        piece = stream.decompress(packed, _PIECE)
        packed = getattr(stream, "unconsumed_tail", b"")  # the others keep it themselves
        size += len(piece)
        if not piece and not packed:
            break
    return size


class PackBits:
    """A decompressor of PackBits, the run lengths of TIFF and of DICOM's RLE."""

    def __init__(self) -> None:
        self.eof = False
        self.unconsumed_tail = b""

    def decompress(self, data: bytes, limit: int, /) -> bytes:
        """Return some `limit` bytes of what `data` unpack to."""
        out, at = bytearray(), 0
        while at < len(data) and len(out) < limit:
            count = data[at]
            if count < 128:
                out += data[at + 1 : at + 2 + count]
                at += count + 2
            else:
                out += data[at + 1 : at + 2] * (257 - count if count > 128 else 0)
                at += 2 if count > 128 else 1
        self.unconsumed_tail = data[at:]
        self.eof = not self.unconsumed_tail
        return bytes(out)


def _take(stream: io.BufferedIOBase, declared: Callable[[bytes], int], findings: Findings) -> bytes:
    start = stream.read(544)
    total = declared(start)
    held = io.BytesIO(start)
    held.seek(len(start))
    while held.tell() < total and (piece := stream.read(min(_PIECE, total - held.tell()))):
        held.write(piece)
    out = held.getvalue()
    if len(out) > total or stream.read(1):
        findings.ask("IO_TRAILING", "more bytes than declared", _AGAIN)
        while stream.read(_PIECE):  # to the checksum at the end
            pass
    return out[:total]


@contextmanager
def silenced(logger: str) -> Iterator[None]:
    """Keep a library from logging what is checked here anyway."""
    log = logging.getLogger(logger)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
