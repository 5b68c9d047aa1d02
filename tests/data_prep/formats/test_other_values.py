"""Headers by which stored values or places mean something else: refused, or told."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin
from volume_files import MHA, NRRD, VOLUME, replaced

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.images_2d import mask_samples, read_picture
from data_prep.formats.metaimage import read_metaimage
from data_prep.formats.nrrd import read_nrrd

GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)
COLOURS = np.stack([GREY, GREY + 1, GREY + 2], -1)
FEW = GREY % 2 * 255


def png(array, mode=None, chunks=(), **options):
    extra = PngImagePlugin.PngInfo()
    for kind, body in chunks:
        extra.add(kind, body)
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(buffer, "PNG", pnginfo=extra, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("array", "mode", "key", "hidden"),
    [
        (GREY, None, 7, 1),
        (GREY, None, 200, 0),
        (GREY.astype(np.uint16) * 300, None, 600, 1),
        (COLOURS, None, (7, 8, 9), 1),
        (COLOURS, None, (7, 7, 9), 0),
        (FEW, "1", 1, 15),
    ],
)
def test_a_transparent_value_is_held_to_the_rule_of_alpha(array, mode, key, hidden):
    data = png(array, mode, transparency=key)
    if hidden:
        for read in (read_picture, mask_samples):
            with pytest.raises(DataError, match=rf"IMG_ALPHA: {hidden} pixels of the value"):
                read(data, Findings())
    findings = Findings({"IMG_ALPHA"})
    read_picture(data, findings)
    assert [f.code for f in findings.found] == ["IMG_ALPHA" if hidden else "IMG_OPAQUE"]


def gamma(value):
    return b"gAMA", value.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("chunks", "told"),
    [([gamma(100000)], ["IMG_GAMMA"]), ([gamma(45455)], []), ([(b"sRGB", b"\0"), gamma(1)], [])],
)
def test_another_gamma_is_told_and_changes_nothing(chunks, told):
    findings = Findings()
    array = read_picture(png(GREY, chunks=chunks), findings).array
    np.testing.assert_array_equal(array[0], GREY)
    assert [f.code for f in findings.found] == told


def tiff(*tags):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, GREY, metadata=None, extratags=[(*tag, True) for tag in tags])
    return buffer.getvalue()


def gdal(role, value):
    name = role.upper()
    item = f'<Item name="{name}" sample="0" role="{role}">{value}</Item>'
    text = f"<GDALMetadata>{item}</GDALMetadata>"
    return (42112, "s", 0, text)


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        (gdal("scale", "0.1"), "{'scale': '0.1'}"),
        (gdal("offset", "-1024"), "{'offset': '-1024'}"),
        (gdal("scale", "x"), "{'scale': 'x'}"),
        ((291, "H", 256, tuple(range(256))), "GrayResponseCurve"),
        ((433, "d", 2, (0.0, 10.0)), "Decode"),
    ],
)
def test_tags_that_scale_values_are_refused_unless_accepted(tag, told):
    with pytest.raises(DataError, match="HDR_SCALE") as raised:
        read_picture(tiff(tag), Findings())
    assert told in raised.value.found
    np.testing.assert_array_equal(read_picture(tiff(tag), Findings({"HDR_SCALE"})).array[0], GREY)


@pytest.mark.parametrize("tags", [[], [gdal("scale", "1.0")], [gdal("offset", "0")]])
def test_scales_of_one_change_nothing(tags):
    findings = Findings()
    np.testing.assert_array_equal(read_picture(tiff(*tags), findings).array[0], GREY)
    assert not findings.found


@pytest.mark.parametrize(("value", "told"), [("7", ["IMG_NO_DATA"]), ("-9999", []), ("nan", [])])
def test_samples_that_are_no_data_are_counted(value, told):
    findings = Findings()
    read_picture(tiff((42113, "s", 0, value)), findings)
    assert [f.code for f in findings.found] == told


def with_line(line):
    return replaced(NRRD, b"encoding: raw", line + b"\nencoding: raw")


def test_centres_that_differ_between_axes_are_refused():
    with pytest.raises(DataError, match="HDR_CONFLICT: centerings cell cell node"):
        read_nrrd(with_line(b"centerings: cell cell node"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"centerings: cell cell cell", []),
        (b"centers: node node ???", []),
        (b"thicknesses: NaN NaN 3", []),
        (b"thicknesses: NaN NaN 5", []),  # slices that overlap
        (b"thicknesses: NaN NaN 1", ["DCM_APART"]),
    ],
)
def test_what_headers_say_of_samples_is_told_where_it_is_doubtful(line, told):
    findings = Findings()
    np.testing.assert_array_equal(read_nrrd(with_line(line), findings).array[0], VOLUME)
    assert [f.code for f in findings.found] == told


@pytest.mark.parametrize(
    "name", [b"Position", b"Origin", b"ImagePosition", b"ImagePositionPatient"]
)
def test_places_of_metaimage_must_agree(name):
    line = b"Offset = 0 0 0\n" + name
    same = read_metaimage(replaced(MHA, b"Offset = 0 0 0", line + b" = 0 0 0"))
    np.testing.assert_array_equal(same.array[0], VOLUME)
    with pytest.raises(DataError, match="HDR_CONFLICT: Offset 0 0 0, but"):
        read_metaimage(replaced(MHA, b"Offset = 0 0 0", line + b" = 0 0 4"))
    alone = read_metaimage(replaced(MHA, b"Offset = 0 0 0", name + b" = 0 0 4"))
    assert alone.affine[2, 3] == 4
