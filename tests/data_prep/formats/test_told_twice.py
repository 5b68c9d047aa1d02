"""What a header tells twice, and not the same, is refused; sound files stay silent."""

import io
import struct

import numpy as np
import pytest
import tifffile

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
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
