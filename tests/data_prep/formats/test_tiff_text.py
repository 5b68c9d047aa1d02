"""Texts in a TIFF take many times their size once parsed, and values many once read: both asked."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
import tifffile

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import memory_within
from data_prep.formats.images_2d import read_picture
from data_prep.formats.mask_images import read_picture_label
from data_prep.formats.tiff.chain import _PARSED, check_chain
from data_prep.formats.tiff.tags import _HELD

PIXELS = np.arange(24 * 32, dtype=np.uint8).reshape(24, 32)
OME = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    '<Pixels DimensionOrder="XYCZT" ID="Pixels:0" SizeC="1" SizeT="1" SizeZ="1" SizeX="32" '
    'SizeY="24" Type="uint8"><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/>{}'
    "</Pixels></Image></OME>"
)
PLANE = (
    '<TiffData FirstC="0" FirstT="0" FirstZ="{n}" IFD="{n}" PlaneCount="1"><UUID FileName="a.tif">'
    'urn:uuid:0</UUID></TiffData><Plane TheZ="{n}" TheT="0" TheC="0" DeltaT="{n}.5"/>'
)
SIZE = 400_000
IMAGEJ = "ImageJ=1.53\nimages=1\n"
TEXTS = {
    "OME of empty elements": OME.format("<a/>" * (SIZE // 4)),
    "OME of attributes": OME.format('<a b=""/>' * (SIZE // 9)),
    "OME of names": OME.format("".join(f"<a{n:x}/>" for n in range(SIZE // 9))),
    "ImageJ of keys": IMAGEJ + "".join(f"k{n:x}={n}\n" for n in range(SIZE // 14)),
    "ImageJ of lines": IMAGEJ + "ab\n" * (SIZE // 3),
    "tifffile of lists": '{"shape": [24, 32], "a": [' + "[]," * (SIZE // 3) + "0]}",
    "tifffile of maps": '{"shape": [24, 32], "a": [' + "{}," * (SIZE // 3) + "0]}",
}


def described(text):
    out = io.BytesIO()
    tifffile.imwrite(out, PIXELS, description=text.encode(), metadata=None, software=False)
    return out.getvalue()


def peak_of(read, data):
    """Bytes that reading takes at most, and what it raises."""
    tracemalloc.start()
    try:
        read(data, Findings())
        return tracemalloc.get_traced_memory()[1], None
    except DataError as error:
        return tracemalloc.get_traced_memory()[1], error
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_takes_no_more_than_is_asked_for_and_is_not_parsed_beyond(text):
    data = described(text)
    read_picture(described(TEXTS["ImageJ of lines"][:100]))  # imports are no part of it
    peak, error = peak_of(read_picture, data)
    assert error is None
    assert peak < _PARSED * len(text)
    for read in (read_picture, read_picture_label):
        with memory_within(_PARSED * len(text) * 0.9):
            peak, error = peak_of(read, data)
        assert error is not None
        assert error.code == "IO_MEMORY"
        assert peak < 2 * len(text)


def test_the_description_of_twenty_thousand_planes_is_read_with_half_a_gigabyte():
    text = OME.format("".join(PLANE.format(n=n) for n in range(1, 20_000)))
    data = described(text)
    assert len(text) > 3_000_000
    with memory_within(5e8):
        np.testing.assert_array_equal(read_picture(data).array[0], PIXELS)


def pages(tags, count=1, more=0, front=b""):
    """A TIFF of so many pages of the same tags, each a code, type, amount and place."""
    head = 8 + len(front)
    step = 2 + 12 * len(tags) + 4
    data = struct.pack("<2sHI", b"II", 42, head) + front
    for number in range(1, count + 1):
        after = head + number * step if number < count else 0
        entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
        data += struct.pack("<H", len(tags)) + entries + struct.pack("<I", after)
    return data + bytes(more)


ASCII, SHORT, LONG = 2, 3, 4


@pytest.mark.parametrize(
    ("code", "kind"),
    [(270, ASCII), (305, ASCII), (320, SHORT), (273, LONG), (50839, 1), (42112, ASCII)],
)
def test_values_that_pages_share_are_counted_for_each_of_them(code, kind):
    tags = [(273, LONG, 1, 8), (279, LONG, 1, 8)]
    tags = [tag for tag in tags if code not in (273, 279)] or [(279, kind, 100_000, 8)]
    tags = sorted([*tags, (code, kind, 100_000, 8)])
    with memory_within(5e8):
        check_chain(pages(tags, more=900_000))
        with pytest.raises(DataError, match="IO_MEMORY"):
            check_chain(pages(tags, count=2_000, more=900_000))


def test_a_value_that_nobody_reads_may_be_large():
    """Layers of Photoshop and colour profiles stay in the file."""
    tags = [(273, LONG, 1, 8), (279, LONG, 1, 8), (34675, 7, 1 << 20, 8), (37724, 7, 1 << 24, 8)]
    with memory_within(5e8):
        check_chain(pages(tags, count=100, more=1 << 24))


def test_pages_within_pages_are_counted_too():
    def within(count):
        inner = struct.pack("<HHHII", 1, 270, ASCII, 1 << 20, 8) + bytes(4)
        outer = [(273, LONG, 1, 8), (279, LONG, 1, 8), (330, LONG, count, 8)]
        places = struct.pack(f"<{count}I", *(8 + 4 * count + 18 * n for n in range(count)))
        return pages(outer, front=places + inner * count, more=1 << 20)

    with memory_within(5e8):
        check_chain(within(5))
        with pytest.raises(DataError, match="IO_MEMORY"):
            check_chain(within(300))
    with pytest.raises(DataError, match=r"IO_DAMAGED: a page of 65537 pages within it"):
        check_chain(pages([(330, LONG, (1 << 16) + 1, 8)], more=1 << 20))


@pytest.mark.parametrize(
    "front",
    [
        struct.pack("<8I", 483729, 3, 2355492, 1 << 24, 0, 0, 0, 0),
        struct.pack("<8I", 483729, 3, 3, 2355492, 1 << 24, 0, 0, 0),
        struct.pack("<8I", 54773648, 0, 483765892, 0, 99384722, 0, 2355492, 1 << 24),
        struct.pack("<8I", 54773648, 0, 483765892, 40, 99384722, 0, 2355492, 9)
        + struct.pack("<II", 0, 1 << 24),
        struct.pack("<8I", 0, 0, 117637889, 3, 1 << 23, 1 << 23, 0, 0),
    ],
    ids=("NDTiff 2", "NDTiff 3", "Micro-Manager", "its display settings", "ScanImage"),
)
def test_texts_that_programs_put_beside_the_pages_are_counted(front):
    data = pages([(273, LONG, 1, 8), (279, LONG, 1, 8)], front=front, more=1 << 24)
    with memory_within(2e9):
        check_chain(data)
    with memory_within(5e8), pytest.raises(DataError, match="IO_MEMORY"):
        check_chain(data)


def test_all_values_that_tifffile_reads_at_once_are_counted():
    assert {*tifffile.TIFF.TAG_LOAD} <= _HELD


@pytest.mark.parametrize(
    ("text", "scaled"),
    [
        ('<GDALMetadata><Item name="SCALE" sample="0" role="scale">2.5</Item></GDALMetadata>', 1),
        ('<Item name="OFFSET" role="offset" sample="0">-4 </Item>', 1),
        ('<Item role="scale">1</Item><Item role="offset">0</Item>', 0),
        ('<Item name="a">role="scale"</Item>', 0),
        ('role="scale"' * 200_000, 0),
        ('<a role="scale">' + "1 " * 200_000 + "</a>", 1),
    ],
)
def test_scales_of_gdal_are_found_in_a_text_of_any_length(text, scaled):
    out = io.BytesIO()
    tag = (42112, 2, len(text) + 1, text, True)
    tifffile.imwrite(out, PIXELS, metadata=None, extratags=[tag])
    _, error = peak_of(read_picture, out.getvalue())
    assert (error is not None and error.code == "HDR_SCALE") == bool(scaled)
