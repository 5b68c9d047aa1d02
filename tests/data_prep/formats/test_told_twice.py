"""What a header tells twice, and not the same, is refused; sound files stay silent."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from dicom_files import STORED, encode, new_slice
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.dicom.series import parse
from data_prep.formats.images_2d import read_picture

GREY = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32)
FORMS = [("<", False), (">", False), ("<", True), (">", True)]
SHORT, LONG = 3, 4


def with_tags(change, order="<", big=False, **options):
    """Return a TIFF of GREY whose tags `(code, kind, count, bytes of the value)` are changed."""
    buffer = io.BytesIO()
    options = {"metadata": None, **options}
    tifffile.imwrite(buffer, GREY, byteorder=order, bigtiff=big, **options)
    data = buffer.getvalue()
    start, number, tag, offset = (8, "Q", "HHQ8s", "Q") if big else (4, "H", "HHI4s", "I")
    at = struct.unpack_from(order + offset, data, start)[0]
    count = struct.unpack_from(order + number, data, at)[0]
    at += struct.calcsize(number)
    end = at + count * struct.calcsize(order + tag)
    tags = change(list(struct.iter_unpack(order + tag, data[at:end])))
    listed = b"".join(struct.pack(order + tag, *one) for one in tags)
    data += b"\0" * (len(data) % 2)
    width = struct.calcsize(offset)
    head = data[:start] + struct.pack(order + offset, len(data)) + data[start + width :]
    return head + struct.pack(order + number, len(tags)) + listed + bytes(width)


def once_more(code, value, kind=LONG, place=None, order="<"):
    field = struct.pack(order + "I", value) if kind == LONG else struct.pack(order + "H", value)

    def change(tags):
        at = len(tags) if place is None else [one[0] for one in tags].index(code) + place
        return [*tags[:at], (code, kind, 1, field), *tags[at:]]

    return change


@pytest.mark.parametrize(("order", "big"), FORMS)
@pytest.mark.parametrize(("code", "value"), [(256, 16), (257, 16), (258, 16), (262, 0), (273, 9)])
def test_a_tag_of_two_values_is_refused_in_any_form_and_place(code, value, order, big):
    for place in (0, 1, None):
        data = with_tags(once_more(code, value, place=place, order=order), order, big)
        with pytest.raises(DataError, match=r"HDR_CONFLICT: .* is there twice"):
            read_picture(data)


@pytest.mark.parametrize(("order", "big"), FORMS)
def test_a_tag_that_is_there_twice_alike_is_silent_and_so_is_one_of_no_pixels(order, big):
    for code, value, kind in ((256, 32, SHORT), (257, 32, LONG), (305, 1, LONG), (305, 2, LONG)):
        findings = Findings()
        scan = read_picture(
            with_tags(once_more(code, value, kind, None, order), order, big), findings
        )
        np.testing.assert_array_equal(scan.array[0], GREY)
        assert not findings.found


@pytest.mark.parametrize("count", [0, 2, 400_000_000])
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_lengths_of_another_number_than_strips_or_tiles_are_refused(count, tile):
    pair = (324, 325) if tile else (273, 279)
    for code in pair:

        def change(tags, code=code):
            return [(c, k, count if c == code else n, v) for c, k, n, v in tags]

        with pytest.raises(DataError, match=r"HDR_CONFLICT: the number of (Strip|Tile)Offsets"):
            read_picture(with_tags(change, tile=tile))


@pytest.mark.parametrize(
    "options",
    [
        {"description": "a scan", "metadata": {}},
        {"imagej": True, "metadata": {"unit": "um"}, "resolution": (2, 2)},
        {"ome": True, "metadata": {"PhysicalSizeX": 1.0}},
        {"rowsperstrip": 5},
        {"tile": (16, 16)},
    ],
    ids=["text of both", "ImageJ", "OME", "strips", "tiles"],
)
def test_what_writers_tell_twice_for_others_to_read_is_silent(options):
    findings = Findings()
    for order in "<>" if "imagej" not in options else ">":
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, GREY, byteorder=order, **options)
        np.testing.assert_array_equal(read_picture(buffer.getvalue(), findings).array[0], GREY)
    assert not findings.found


def test_one_strip_without_its_length_is_read():
    data = with_tags(lambda tags: [one for one in tags if one[0] != 279])
    np.testing.assert_array_equal(read_picture(data).array[0], GREY)


@pytest.mark.parametrize("rows", [8, 16])
def test_strips_of_another_number_than_their_rows_make_are_refused(rows):
    def change(tags):
        return [(c, k, n, struct.pack("<H", rows) if c == 278 else v) for c, k, n, v in tags]

    data = with_tags(change, rowsperstrip=32)
    with pytest.raises(DataError, match=rf"1 strips or tiles, .* has {32 // rows}"):
        read_picture(data)


def test_more_strips_than_rows_make_are_refused():
    def change(tags):
        return [(c, k, n, struct.pack("<H", 32) if c == 278 else v) for c, k, n, v in tags]

    with pytest.raises(DataError, match=r"2 strips or tiles, .* has 1"):
        read_picture(with_tags(change, rowsperstrip=16))


@pytest.mark.parametrize("more", ["spacing=5.0", "unit=um"])
def test_a_key_of_imagej_of_two_values_is_refused(more):
    def stack(*lines):
        text = "\n".join(["ImageJ=1.53", "images=3", "slices=3", *lines, ""])
        buffer = io.BytesIO()
        options = {"metadata": None, "resolution": (2, 2), "resolutionunit": 1}
        tifffile.imwrite(
            buffer, np.stack([GREY] * 3), description=text, photometric="minisblack", **options
        )
        return buffer.getvalue()

    told = "unit=mm", "spacing=2.0"
    assert read_picture(stack(*told, *told)).spacing == (0.5, 0.5, 2.0)
    with pytest.raises(DataError, match=f"HDR_CONFLICT: {more[:4]}.* once more"):
        read_picture(stack(*told, more))


def picture(form, **options):
    image = Image.fromarray(GREY % 4)
    if form == "PNG":
        image.putpalette(range(12))
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(*chunks):
    data = picture("PNG")
    at = data.index(b"IDAT") - 4
    return data[:at] + b"".join(chunk(*one) for one in chunks) + data[at:]


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (b"gAMA", bytes([0, 0, 177, 143]), bytes([0, 0, 99, 0])),
        (b"pHYs", bytes([0, 0, 4, 0, 0, 0, 4, 0, 1]), bytes([0, 0, 8, 0, 0, 0, 4, 0, 1])),
        (b"PLTE", bytes(range(12)), bytes(range(20, 32))),
    ],
)
def test_a_chunk_of_png_that_is_there_twice_is_refused_unless_alike(kind, one, other):
    read_picture(with_chunks((kind, one), (kind, one)))
    with pytest.raises(DataError, match=f"HDR_CONFLICT: {kind.decode()} is there twice"):
        read_picture(with_chunks((kind, one), (kind, other)))


def exif(turn):
    tags = Image.Exif()
    tags[0x0112] = turn
    body = tags.tobytes()
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def test_two_orientations_of_a_jpeg_are_refused_unless_alike():
    data = picture("JPEG")
    read_picture(data[:2] + exif(3) + exif(3) + data[2:])
    with pytest.raises(DataError, match="HDR_CONFLICT: the orientation of Exif is there twice"):
        read_picture(data[:2] + exif(3) + exif(6) + data[2:])


def element(group, number, kind, value, implicit):
    form = struct.pack("<I", len(value)) if implicit else kind + struct.pack("<H", len(value))
    return struct.pack("<2H", group, number) + form + value


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    ("group", "number", "kind", "value"),
    [(0x28, 0x10, b"US", b"\4\0"), (0x28, 0x1052, b"DS", b"-1024 ")],
)
def test_an_element_of_dicom_of_two_values_is_refused(group, number, kind, value, implicit):
    one = new_slice(0, STORED[0])
    one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    data = encode(one)
    for more in (value, value.replace(b"4", b"5").replace(b"\4", b"\5")):
        data += element(group, number, kind, more, implicit)
    with pytest.raises(DataError, match=rf"HDR_CONFLICT: \w+ \({group:04X},{number:04X}\)"):
        parse(data)


def doubled(data, tag, change):
    """Return data with another short element of this tag after the first."""
    at = data.index(tag)
    end = at + 8 + struct.unpack_from("<H", data, at + 6)[0]
    return data[:end] + change(data[at:end]) + data[end:], end - at


def test_an_element_of_an_item_too():
    item = element(8, 0x100, b"SH", b"A1", False) + element(8, 0x100, b"SH", b"B2", False)
    sequence = struct.pack("<2H2s2xI", 0x40, 0x275, b"SQ", len(item) + 8)
    sequence += b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item
    with pytest.raises(DataError, match="HDR_CONFLICT: CodeValue"):
        parse(encode(new_slice(0, STORED[0])) + sequence)


def test_an_element_of_the_head_too():
    data, size = doubled(
        encode(new_slice(0, STORED[0])), b"\2\0\x10\0UI", lambda e: e[:-2] + b"9\0"
    )
    length = struct.unpack_from("<I", data, 140)[0]
    data = data[:140] + struct.pack("<I", length + size) + data[144:]
    with pytest.raises(DataError, match="HDR_CONFLICT: TransferSyntaxUID"):
        parse(data)


def test_elements_that_are_there_twice_alike_and_private_ones_are_silent():
    data = encode(new_slice(0, STORED[0]))
    for private in (b"ab", b"cd"):
        data += element(0x7FE1, 0x10, b"LO", private, False)
    parse(doubled(data, b"\x28\0\x10\0US", lambda e: e)[0])
