"""TIFF compressed as Pillow reads it: exact where it is lossless, refused where it is cut."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.images_2d import read_picture
from data_prep.formats.mask_images import read_picture_label

GREY = np.random.default_rng(0).integers(0, 200, (37, 41)).astype(np.uint8)
COLOURS = np.dstack([GREY, GREY // 2, GREY // 3])


def tiff(image, compression, **options):
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, "TIFF", compression=compression, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("compression", ["tiff_lzw", "zstd"])
@pytest.mark.parametrize(
    "array",
    [GREY, COLOURS, GREY.astype(np.uint16) * 300, GREY.astype(np.float32) / 7],
    ids=["grey", "colours", "uint16", "float32"],
)
def test_lossless_compressions_give_the_exact_values(array, compression):
    scan = read_picture(tiff(array, compression))
    wanted = np.moveaxis(array.reshape(*GREY.shape, -1), -1, 0)
    assert scan.array.dtype == array.dtype
    np.testing.assert_array_equal(scan.array, wanted)


@pytest.mark.parametrize("compression", ["tiff_lzw", "zstd"])
def test_a_mask_with_a_palette_gives_its_indices(compression):
    mask = Image.fromarray(GREY % 3, "P")
    mask.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    scan = read_picture_label(tiff(mask, compression), Findings())
    np.testing.assert_array_equal(scan.array[0], GREY % 3)


def test_group_4_gives_black_and_white():
    scan = read_picture_label(tiff(GREY > 99, "group4"), Findings())
    np.testing.assert_array_equal(scan.array[0], GREY > 99)


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr"])
def test_jpeg_is_read_as_an_image_and_refused_as_a_mask(mode):
    smooth = Image.fromarray(np.add.outer(np.arange(40), np.arange(40)).astype(np.uint8))
    data = tiff(smooth.convert("RGB").convert(mode), "jpeg", quality=95)
    scan = read_picture(data)
    assert len(scan.array) == (1 if mode == "L" else 3)
    assert np.abs(scan.array.astype(int) - np.asarray(smooth)).max() <= 6
    with pytest.raises(DataError, match="LBL_LOSSY"):
        read_picture_label(data, Findings())


def test_pages_are_told_apart():
    buffer = io.BytesIO()
    pages = [Image.fromarray(GREY + k) for k in range(3)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    scan = read_picture(buffer.getvalue(), Findings(["GEO_NONE"]))
    wanted = np.stack([GREY + k for k in range(3)], -1).swapaxes(0, 1)
    np.testing.assert_array_equal(scan.array[0], wanted)


@pytest.mark.parametrize("compression", ["tiff_lzw", "zstd", "jpeg", "group4"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_strip_that_is_cut_is_an_error(compression, share):
    data = bytearray(tiff(GREY > 99 if compression == "group4" else GREY, compression))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        counts = file.pages[0].tags["StripByteCounts"]
        form = "<H" if int(counts.dtype) == 3 else "<I"
        struct.pack_into(form, data, counts.valueoffset, int(counts.value[0] * share))
    with pytest.raises(DataError, match=r"IO_TRUNCATED|IO_DAMAGED"):
        read_picture(bytes(data))


def test_what_no_decoder_here_unpacks_names_the_package():
    with pytest.raises(DataError, match=r"IMG_CODEC.*pip install imagecodecs"):
        read_picture(tiff(GREY > 99, "group3"))


def test_whole_numbers_of_32_bits_are_exact():
    array = GREY.astype(np.int32) * 70000
    np.testing.assert_array_equal(read_picture(tiff(array, "tiff_lzw")).array[0], array)


def with_tag(data, tag, value):
    """Return a little-endian TIFF with another value of one tag of its first page."""
    data = bytearray(data)
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry) == (tag,):
            struct.pack_into("<H", data, entry + 8, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("tag", "value", "found"),
    [
        (262, 77, "77 is not a valid PHOTOMETRIC"),
        (262, 3, "a palette image without its palette"),
        (258, 67, "samples of 67 bits"),
    ],
)
def test_tags_that_cannot_be_are_told_in_words_of_the_file(tag, value, found):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, GREY, photometric="minisblack")
    with pytest.raises(DataError, match=f"IO_DAMAGED.*{found}"):
        read_picture(with_tag(buffer.getvalue(), tag, value))


def test_a_tiff_is_read_where_pillow_is_told_of_no_limit(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    np.testing.assert_array_equal(read_picture(tiff(GREY, "tiff_lzw")).array[0], GREY)
