"""Bytes after the end of a 2D image: refused unless accepted, but for padding of zeros."""

import io
import struct
import zlib

import numpy as np
import pytest
from bad_sets import jpeg, png
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.images_2d import read_picture
from data_prep.formats.mask_images import read_picture_label

NOISE = np.random.default_rng(0).integers(0, 256, (33, 41, 3)).astype(np.uint8)


def bmp(array, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "BMP", **options)
    return buffer.getvalue()


def without_size(data):
    """A BMP that leaves the size of the file out."""
    return data[:2] + struct.pack("<I", 0) + data[6:]


WHOLE = {
    "png": png(NOISE),
    "png of 16 bits": png(NOISE[..., 0].astype(np.uint16) * 99),
    "png with text": png(NOISE, exif=Image.Exif()),
    "jpeg": jpeg(NOISE),
    "jpeg, progressive": jpeg(NOISE, progressive=True),
    "jpeg with marks": jpeg(NOISE, restart_marker_rows=1),
    "jpeg with a comment": jpeg(NOISE, comment=b"\xff\xd9 of the scanner"),
    "bmp": bmp(NOISE),
    "bmp, grey": bmp(NOISE[..., 0]),
    "bmp without size": without_size(bmp(NOISE)),
}
EACH = pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)


@EACH
@pytest.mark.parametrize("more", [b"x", b"\0" * 8 + b"x", b"PK\3\4", b"\r\n"], ids=repr)
def test_bytes_after_an_image_are_refused_or_accepted(data, more):
    with pytest.raises(DataError, match=f"IO_TRAILING: {len(more)} bytes too many"):
        read_picture(data + more)
    findings = Findings({"IO_TRAILING"})
    np.testing.assert_array_equal(
        read_picture(data + more, findings).array, read_picture(data).array
    )
    assert [finding.code for finding in findings.found] == ["IO_TRAILING"]


@EACH
def test_an_image_after_an_image_is_refused(data):
    with pytest.raises(DataError, match="IO_TRAILING"):
        read_picture(data + data)


def test_masks_are_held_to_it():
    with pytest.raises(DataError, match="IO_TRAILING"):
        read_picture_label(png(NOISE[..., 0] % 2) + b"x", Findings(), None)


@pytest.mark.parametrize("name", [name for name in WHOLE if name.startswith("jpeg")])
def test_zeros_after_a_jpeg_are_padding(name):
    findings = Findings()
    padded = read_picture(WHOLE[name] + bytes(512), findings)
    np.testing.assert_array_equal(padded.array, read_picture(WHOLE[name]).array)
    assert not findings.found


@EACH
def test_a_whole_image_is_read_without_a_word(data):
    findings = Findings()
    read_picture(data, findings)
    assert not findings.found


def bmp_with(at, value, more=0):
    """A grey BMP with a number of its header changed, and filling that its size counts."""
    data = bytearray(bmp(NOISE[..., 0]) + bytes(more))
    struct.pack_into("<I", data, 2, len(data))
    struct.pack_into("<I", data, at, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (22, 32, "IO_TRAILING"),
        (10, 1077, "HDR_CONFLICT"),
        (10, 1070, "HDR_CONFLICT"),
        (10, 1079, "IO_TRUNCATED"),
    ],
    ids=["fewer rows", "a byte early", "early", "a byte late"],
)
def test_a_bmp_whose_pixels_are_not_where_its_header_says_is_refused(at, value, code):
    with pytest.raises(DataError, match=code):
        read_picture(bmp_with(at, value))


@pytest.mark.parametrize("more", [0, 2, 3])
def test_filling_that_a_bmp_counts_is_no_fault(more):
    findings = Findings()
    read_picture(bmp_with(10, 1078, more), findings)
    assert not findings.found


ROWS = (b"\0" + bytes(range(12))) * 10  # a filter of none and 12 grey pixels


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(stream, size=(12, 10), depth=8, interlaced=0, parts=1):
    """A PNG of grey pixels whose compressed stream is given."""
    header = struct.pack(">IIBBBBB", *size, depth, 0, 0, 0, interlaced)
    step = -(-len(stream) // parts)
    pieces = [chunk(b"IDAT", stream[at : at + step]) for at in range(0, len(stream), step)]
    whole = [chunk(b"IHDR", header), *pieces, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


@pytest.mark.parametrize("parts", [1, 7, 60])
def test_pixels_of_a_png_may_lie_in_several_chunks(parts):
    array = read_picture(png_of(zlib.compress(ROWS), parts=parts)).array
    np.testing.assert_array_equal(array, np.tile(np.arange(12), (1, 10, 1)))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (5, 9), (12, 10)])
@pytest.mark.parametrize("depth", [1, 4, 8])
def test_interlaced_pixels_are_counted_as_they_are_passed(width, height, depth):
    starts = [range(0, 8), (0, 4), (0,), (4,), (0, 4), (2, 6), (0, 2, 4, 6), (1, 3, 5, 7)]
    columns = [starts[2], starts[3], starts[4], starts[5], starts[6], starts[7], starts[0]]
    rows = [(0,), (0,), (4,), (0, 4), (2, 6), (0, 2, 4, 6), (1, 3, 5, 7)]
    sent = b""
    for places, lines in zip(columns, rows, strict=True):
        wide = sum(x % 8 in places for x in range(width))
        high = sum(y % 8 in lines for y in range(height))
        sent += (b"\0" + bytes(-(-wide * depth // 8))) * (high if wide else 0)
    data = png_of(zlib.compress(sent), (width, height), depth, interlaced=1)
    assert not read_picture(data).array.any()
    with pytest.raises(DataError, match="IO_DAMAGED: pixels of more than"):
        read_picture(png_of(zlib.compress(sent + b"\0"), (width, height), depth, interlaced=1))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (png_of(zlib.compress(ROWS), (12, 5)), "IO_DAMAGED: pixels of more than 65 bytes"),
        (png_of(zlib.compress(ROWS + bytes(370))), "IO_DAMAGED: pixels of more than 130 bytes"),
        (png_of(zlib.compress(bytes(1 << 26))), "IO_DAMAGED: pixels of more than 130 bytes"),
        (png_of(zlib.compress(ROWS[:-13])), "IO_TRUNCATED: 117 of 130 bytes"),
        (png_of(zlib.compress(ROWS)[:-4]), "IO_TRUNCATED: 130 of 130 bytes of pixels, or no end"),
        (png_of(zlib.compress(ROWS) + b"more"), "IO_TRAILING: 4 bytes too many in its pixels"),
        (
            png_of(zlib.compress(ROWS))[:-1] + b"x",
            "IO_DAMAGED: its last chunk has another checksum",
        ),
    ],
    ids=("fewer rows", "more bytes", "bomb", "rows missing", "no checksum", "junk", "end"),
)
def test_a_png_has_the_pixels_that_it_declares(data, code):
    with pytest.raises(DataError, match=code):
        read_picture(data)


@pytest.mark.parametrize(("kind", "refused"), [(b"ABCD", True), (b"CgBI", True), (b"abCD", False)])
def test_a_png_of_an_unknown_chunk_is_read_only_if_that_may_be_left_out(kind, refused):
    whole = png_of(zlib.compress(ROWS))
    data = whole[:33] + chunk(kind, b"some") + whole[33:]
    if refused:
        with pytest.raises(DataError, match=f"IO_DAMAGED: an unknown chunk {kind!r}"):
            read_picture(data)
    else:
        np.testing.assert_array_equal(read_picture(data).array, read_picture(whole).array)
