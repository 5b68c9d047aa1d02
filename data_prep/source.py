"""Bytes of a file and of the files beside it, unpacked no further than a header declares."""

import bz2
import gzip
import io
import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from data_prep.errors import DataError
from data_prep.findings import Findings

# Reads the file of a name that lies beside the one being read; `*` stands for its own stem.
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
        raise DataError("IO_CRC", f"damaged gzip stream: {error}", _AGAIN) from error


def bunzip2(data: bytes, total: int, findings: Findings) -> bytes:
    """Unpack bzip2 to `total` bytes; errors as `gunzip`."""
    try:
        with bz2.BZ2File(io.BytesIO(data)) as stream:
            return _take(stream, lambda _: total, findings)
    except EOFError as error:
        raise DataError("IO_TRUNCATED", "the bzip2 stream ends early", _AGAIN) from error
    except (OSError, ValueError) as error:
        raise DataError("IO_CRC", f"damaged bzip2 stream: {error}", _AGAIN) from error


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
        raise DataError("IO_CRC", f"damaged zlib stream: {error}", _AGAIN) from error
    if len(out) > total or stream.unused_data:
        raise DataError("IO_TRAILING", "more bytes than declared", _AGAIN)
    if not stream.eof:
        raise DataError("IO_TRUNCATED", "the zlib stream ends early", _AGAIN)
    return out


def _take(stream: io.BufferedIOBase, declared: Callable[[bytes], int], findings: Findings) -> bytes:
    start = stream.read(544)
    total = declared(start)
    out = start + stream.read(max(0, total - len(start)))
    rest = len(out) - total if len(out) > total else len(stream.read(1))
    if rest > 0:
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
