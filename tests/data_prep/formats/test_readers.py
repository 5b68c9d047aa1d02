"""Readers: exact values from good files, a named error from every damaged one."""

import gzip
import io
import struct
import zlib

import nibabel as nib
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan, fit_channels
from data_prep.files.file_tree import open_tree
from data_prep.formats.images_2d import read_picture
from data_prep.formats.mask_images import read_picture_label
from data_prep.formats.nifti import read_nifti, read_nifti_label
from data_prep.formats.registry import read_label, read_scan, stem


def png(array, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", **options)
    return buffer.getvalue()


def tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


NOISE = np.random.default_rng(0).integers(0, 256, (30, 30)).astype(np.uint8)


def ramp(dtype, *shape):
    values = np.linspace(0, np.iinfo(dtype).max, int(np.prod(shape)))
    return values.astype(dtype).reshape(shape)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("encode", [png, tiff])
def test_grey_pictures_come_back_exactly_and_not_transposed(dtype, encode):
    array = ramp(dtype, 5, 9)
    scan = read_picture(encode(array))
    assert scan.array.dtype == dtype
    np.testing.assert_array_equal(scan.array, array[None])


@pytest.mark.parametrize("encode", [png, lambda a: tiff(a, photometric="rgb")])
def test_colour_pictures_come_back_channels_first(encode):
    array = ramp(np.uint8, 4, 6, 3)
    np.testing.assert_array_equal(read_picture(encode(array)).array, array.transpose(2, 0, 1))


def test_tiff_keeps_floats():
    array = np.linspace(-3, 7, 20, dtype=np.float32).reshape(4, 5)
    np.testing.assert_array_equal(read_picture(tiff(array)).array, array[None])


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_png_of_few_bits_gives_the_values_stored(depth):
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) % 2**depth
    rows = b"".join(
        b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - depth :]).tobytes()
        for row in values
    )

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 4, 3, depth, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    data = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    np.testing.assert_array_equal(read_picture_label(data).array[0], values)


def test_opaque_alpha_is_dropped_and_any_other_refused():
    array = np.dstack([ramp(np.uint8, 4, 6, 3), np.full((4, 6), 255, np.uint8)])
    assert read_picture(png(array)).array.shape == (3, 4, 6)
    array[0, 0, 3] = 254
    with pytest.raises(DataError, match=r"IMG_ALPHA: an alpha channel that is not opaque"):
        read_picture(png(array))


def test_palette_is_colours_for_an_image_and_indices_for_a_mask():
    indices = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    picture = Image.fromarray(indices, "P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 200, 50])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    np.testing.assert_array_equal(read_picture_label(buffer.getvalue()).array[0], indices)
    np.testing.assert_array_equal(read_picture(buffer.getvalue()).array[:, 0, 2], [0, 200, 50])


def test_colours_of_a_mask_are_numbers_to_map():
    mask = np.zeros((2, 3, 3), np.uint8)
    mask[0, 1] = 255, 0, 16
    found = read_picture_label(png(mask)).array
    assert found.tolist() == [[[0, 0xFF0010, 0], [0, 0, 0]]]


def test_picture_with_a_rotation_tag_is_turned_upright():
    findings = Findings()
    upright = np.rot90(ramp(np.uint8, 4, 6), -1)  # tag 6: turn clockwise to show
    np.testing.assert_array_equal(read_picture(rotated(), findings).array[0], upright)
    assert findings.found[0].code == "IMG_ROTATED"


def test_one_bit_and_grey_colour_masks_are_class_numbers():
    mask = np.array([[True, False, True], [False, True, True]])
    np.testing.assert_array_equal(read_picture_label(png(mask)).array[0], mask)
    as_colour = np.repeat(mask[..., None] * np.uint8(7), 3, axis=2)
    np.testing.assert_array_equal(read_picture_label(png(as_colour)).array[0], mask * 7)


def jpeg(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG")
    return buffer.getvalue()


def animated():
    frames = [Image.fromarray(ramp(np.uint8, 4, 4) // (i + 1)) for i in range(2)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return png(ramp(np.uint8, 4, 6), exif=exif)


def deep_colour_png():
    """Header of a 16-bit RGB PNG, which Pillow would cut to 8 bits."""
    data = bytearray(png(ramp(np.uint8, 4, 6, 3)))
    data[24] = 16
    return bytes(data)


@pytest.mark.parametrize(
    ("read", "data", "message"),
    [
        (read_picture_label, jpeg(ramp(np.uint8, 8, 8)), "LBL_LOSSY: a JPEG mask"),
        (read_picture, animated(), "IMG_FRAMES: several frames"),
        (
            read_picture,
            tiff(ramp(np.uint8, 2, 8, 8), photometric="minisblack"),
            "GEO_NONE: 2 pages without spacing",
        ),
        (read_picture, deep_colour_png(), "IMG_16BIT_COLOR: a 16-bit PNG with colour"),
        (read_picture_label, tiff(NOISE > 99), "IMG_WHITE_ZERO: a TIFF whose white is zero"),
        (
            read_picture,
            tiff(np.stack([NOISE] * 5), truncate=True, photometric="minisblack"),
            "IMG_PAGES: a stack",
        ),
        (read_picture, tiff(NOISE * 1j), "IMG_MODE: pixels of kind complex128"),
        (read_picture, png(NOISE)[:-200], "IO_DAMAGED: cannot be decoded"),
        (read_picture, tiff(NOISE)[:600], "IO_DAMAGED: pixels at bytes"),
    ],
)
def test_pictures_that_cannot_be_read_exactly_are_refused(read, data, message):
    with pytest.raises(DataError, match=message):
        read(data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_to_a_png_gives_a_wrong_pixel(data):
    array = ramp(np.uint16, 13, 11)
    good = png(array)
    if data.draw(st.booleans()):
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    else:
        at, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 7))
        bad = good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
    try:
        got = read_picture(bad).array
    except DataError:
        return
    np.testing.assert_array_equal(got, array[None])


def nifti_bytes(array, affine=None, kind=nib.Nifti1Image, **header):
    image = kind(array, np.diag([1.5, 2, 3, 1]) if affine is None else affine)
    image.set_qform(image.affine, 1)
    for name, value in header.items():
        image.header[name] = value
    return image.to_bytes()


VOLUME = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_volumes_come_back_exactly_with_their_affine(kind, pack):
    scan = read_nifti(pack(nifti_bytes(VOLUME, kind=kind)))
    np.testing.assert_array_equal(scan.array, VOLUME[None])
    assert scan.array.dtype == np.int16
    np.testing.assert_allclose(scan.affine, np.diag([1.5, 2, 3, 1]))
    assert scan.codes == (1, 2)
    assert scan.spacing == (1.5, 2, 3)


def test_fourth_axis_is_channels_and_scaling_is_applied():
    several = np.stack([VOLUME, VOLUME + 1], axis=-1)
    np.testing.assert_array_equal(read_nifti(nifti_bytes(several)).array[1], VOLUME + 1)
    scaled = bytearray(nifti_bytes(VOLUME))
    scaled[112:120] = np.array([0.5, -10], np.float32).tobytes()  # scl_slope, scl_inter
    np.testing.assert_allclose(read_nifti(bytes(scaled)).array[0], VOLUME * 0.5 - 10)
    with pytest.raises(DataError, match=r"LBL_SCALED: label values scaled by \(0.5, -10"):
        read_nifti_label(bytes(scaled))


SHEARED = np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def patched(start, *values):
    """The volume's bytes with header fields overwritten from byte `start`."""
    data = bytearray(nifti_bytes(VOLUME))
    packed = b"".join(v.tobytes() for v in values)
    data[start : start + len(packed)] = packed
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (nifti_bytes(VOLUME)[:-1], r"IO_TRUNCATED: 591 of 592 bytes"),
        (nifti_bytes(VOLUME)[:352], r"IO_TRUNCATED: 352 of 592 bytes"),
        (nifti_bytes(VOLUME) + b"\0", r"IO_TRAILING: 1 bytes too many"),
        (gzip.compress(nifti_bytes(VOLUME)[:-5]), r"IO_TRUNCATED: 587 of 592"),
        (gzip.compress(nifti_bytes(VOLUME) + b"12"), r"IO_TRAILING"),
        (gzip.compress(nifti_bytes(VOLUME))[:-8], r"IO_TRUNCATED: the gzip stream ends early"),
        (gzip.compress(b"not a volume at all"), r"IO_NOT_IMAGE: no NIfTI header"),
        (
            patched(42, np.int16(32767), np.int16(32767), np.int16(32767)),
            r"IO_TOO_LARGE: \d+ bytes",
        ),
        (patched(42, np.int16(-4)), r"HDR_DIMS: sizes \[-4, 5, 6\] of 3 axes"),
        (patched(42, np.int16(0)), r"HDR_DIMS"),
        (patched(40, np.int16(9)), r"HDR_DTYPE"),  # read as the other byte order
        (patched(70, np.int16(77)), r"HDR_DTYPE"),
        (patched(70, np.int16(16)), r"HDR_DTYPE: 16 bits a voxel for float32"),
        (patched(80, np.float32(0)), r"HDR_SPACING: spacing \[0.0, 2.0, 3.0\] mm"),
        (patched(80, np.float32(np.nan)), r"HDR_SPACING"),
        (patched(80, np.float32(1e30)), r"HDR_SPACING"),
        (patched(108, np.float32(1e9)), r"IO_TRUNCATED|HDR_OFFSET"),
        (patched(108, np.float32(np.nan)), r"HDR_OFFSET"),
        (patched(108, np.float32(352.5)), r"HDR_OFFSET: voxels start at byte 352\.5"),
        (patched(112, np.float32(np.inf)), r"HDR_SCALING: scaled by inf"),
        (patched(112, np.float32(1), np.float32(np.nan)), r"HDR_SCALING: scaled by 1.0 and nan"),
        (patched(252, np.int16(0), np.int16(0)), r"GEO_NONE: no orientation"),
        (patched(268, np.float32(40)), r"GEO_SQFORM: qform and sform differ by 40 mm"),
        (patched(256, np.float32(2)), r"HDR_DAMAGED"),
        (patched(280, np.float32(9)), r"GEO_S"),
        (patched(123, np.int8(1)), r"HDR_SPACING_RANGE: spacing 1500, 2000, 3000 mm"),
        (nifti_bytes(VOLUME, affine=SHEARED), r"GEO_S"),
        (patched(344, np.bytes_(b"bad")), r"HDR_MAGIC"),
    ],
)
def test_damaged_or_doubtful_volumes_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        read_nifti(data)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_to_a_gzipped_volume_gives_a_wrong_voxel(data):
    noise = np.random.default_rng(0).integers(0, 900, (7, 6, 5)).astype(np.int16)
    good = gzip.compress(nifti_bytes(noise), mtime=0)
    if data.draw(st.booleans()):
        bad = good[: data.draw(st.integers(1, len(good) - 1))]
    else:
        at, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 7))
        bad = good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
    try:
        got = read_nifti(bad)
    except DataError:
        return
    np.testing.assert_array_equal(got.array[0], noise)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", b"", "IO_EMPTY: file of 0 bytes"),
        ("a.nii.gz", b"version https://git-lfs.github.com/spec/v1\noid", "IO_LFS_POINTER"),
        ("a.nii.gz", b"<!DOCTYPE html><html>", "IO_NOT_IMAGE: looks like a web page"),
        ("a.png", b"hello there", "IO_NOT_IMAGE: no known format"),
    ],
)
def test_files_that_are_no_images_are_named(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=rf"{message}.*\({name}\)"):
        read_scan(open_tree(tmp_path), name)


def test_format_is_told_by_content_and_not_by_name(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "a.nii.gz", VOLUME)
    path.rename(tmp_path / "b.nii")
    (tmp_path / "c.nii.gz").write_bytes(png(ramp(np.uint8, 4, 4)))
    tree, findings = open_tree(tmp_path), Findings()
    assert read_label(tree, "b.nii", findings).size == VOLUME.shape
    assert [str(f) for f in findings.found] == ["note IO_SUFFIX (b.nii): gzip though named .nii"]
    with pytest.raises(DataError, match=r"IO_WRONG_TYPE: a 2D image named .nii.gz \(c.nii.gz\)"):
        read_scan(tree, "c.nii.gz")


def test_pipe_in_the_dataset_does_not_hang(tmp_path):
    import os

    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="IO_NOT_FILE"):
        read_scan(open_tree(tmp_path), "a.png")


@pytest.mark.parametrize(
    ("name", "want"),
    [("a/b.c.nii.gz", "b.c"), ("x.PNG", "x"), ("x.tiff", "x"), ("with space.nii", "with space")],
)
def test_stem_is_the_name_without_the_suffix(name, want):
    assert stem(name) == want


def test_channels_change_only_where_nothing_is_lost():
    grey, colour = np.ones((1, 2, 2)), np.stack([np.full((2, 2), i) for i in range(3)])
    findings = Findings()
    assert len(fit_channels(Scan(grey), ("r", "g", "b"), findings).array) == 3
    assert [(one.level, one.code) for one in findings.found] == [("note", "CH_GREY")]
    assert len(fit_channels(Scan(np.repeat(grey, 3, 0)), ("grey",)).array) == 1
    with pytest.raises(DataError, match=r"CH_COUNT: 3 channels, expected 1 \(grey\)"):
        fit_channels(Scan(colour), ("grey",))
    with pytest.raises(DataError, match=r"CH_COUNT: 1 channels, expected 3"):
        fit_channels(Scan(np.ones((1, 2, 2, 2)), np.eye(4)), ("a", "b", "c"))


@pytest.mark.parametrize(("intent", "times"), [("vector", 1), ("none", 1), ("vector", 2)])
def test_a_fifth_axis_is_channels_only_where_it_is_declared(intent, times):
    array = np.arange(4 * 5 * 6 * times * 2, dtype=np.int16).reshape(4, 5, 6, times, 2)
    image = nib.Nifti1Image(array, np.eye(4))
    image.header.set_intent(intent)
    if intent == "none" or times > 1:
        with pytest.raises(DataError, match="HDR_DIMS: 5 axes"):
            read_nifti(image.to_bytes())
        return
    scan = read_nifti(image.to_bytes())
    np.testing.assert_array_equal(scan.array, np.moveaxis(array[:, :, :, 0], -1, 0))
    with pytest.raises(DataError, match="LBL_4D"):
        read_nifti_label(image.to_bytes())
