"""Headers that say one thing in two ways: believed where both agree, refused by name elsewhere."""

import io

import numpy as np
import pytest
import tifffile
from dicom_files import STORED, encode, new_slice, series
from volume_files import MHA, NRRD, VOLUME, VOXELS, replaced

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.dicom.series import read_series
from data_prep.formats.images_2d import read_picture
from data_prep.formats.metaimage import read_metaimage
from data_prep.formats.nrrd import read_nrrd

SWAPPED = VOLUME.astype(">i2").tobytes(order="F")
LOW = (STORED[9] // 2).tobytes()
MSB = b"BinaryDataByteOrderMSB = False\n"


def with_line(header, line):
    """The header with one line more, and the voxels."""
    last = b"ElementDataFile" if header is MHA else b"encoding"
    return header.replace(last, line + b"\n" + last) + VOXELS


@pytest.mark.parametrize("spelt", [b"True", b"true", b"TRUE", b"T", b"t", b"1"])
@pytest.mark.parametrize("name", [b"BinaryDataByteOrderMSB", b"ElementByteOrderMSB"])
def test_byte_order_is_read_in_every_spelling(name, spelt):
    data = MHA.replace(MSB, name + b" = " + spelt + b"\n") + SWAPPED
    np.testing.assert_array_equal(read_metaimage(data).array[0], VOLUME)


@pytest.mark.parametrize("spelt", [b"False", b"false", b"F", b"0"])
def test_so_is_its_opposite(spelt):
    data = replaced(MHA, b"MSB = False", b"MSB = " + spelt)
    np.testing.assert_array_equal(read_metaimage(data).array[0], VOLUME)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"ElementByteOrderMSB = True", "BinaryDataByteOrderMSB False, but ElementByteOrderMSB T"),
        (b"Position = 0 0 5", "Offset 0 0 0, but Position 0 0 5"),
        (b"Origin = 1 0 0", "Offset 0 0 0, but Origin 1 0 0"),
        (b"Rotation = 0 1 0 1 0 0 0 0 1", "TransformMatrix 1 0 0 0 1 0 0 0 1, but Rotation 0 1"),
        (b"Orientation = 1 0 0 0 1 0 0 0 -1", "TransformMatrix .*, but Orientation"),
        (b"ElementSize = 1 2 4", "ElementSpacing 1 2 3, but ElementSize 1 2 4"),
    ],
)
def test_metaimage_that_contradicts_itself_is_refused(line, message):
    with pytest.raises(DataError, match=f"HDR_CONFLICT: {message}"):
        read_metaimage(with_line(MHA, line))


@pytest.mark.parametrize(
    "line",
    [
        b"ElementByteOrderMSB = False",
        b"Position = 0 0 0",
        b"Rotation = 1.0 0 0 0 1 0 0 0 1",
        b"Orientation = 1 0 0 0 1 0 0 0 1",
        b"ElementSize = 1 2 3.00001",
        b"CenterOfRotation = 0 0 0",
        b"AnatomicalOrientation = RAI",
    ],
)
def test_metaimage_that_repeats_itself_is_read(line):
    scan = read_metaimage(with_line(MHA, line))
    np.testing.assert_array_equal(scan.array[0], VOLUME)
    np.testing.assert_allclose(scan.affine, np.diag([-1, -2, 3, 1]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (replaced(MHA, b"MSB = False", b"MSB = Yes"), "HDR_DAMAGED: BinaryDataByteOrderMSB: 'Yes'"),
        (replaced(MHA, b"BinaryData = True", b"BinaryData = maybe"), "HDR_DAMAGED: BinaryData:"),
        (replaced(MHA, b"DimSize = 4 5 6", b"DimSize = 4.5 5 6"), "HDR_DAMAGED: DimSize"),
        (replaced(MHA, b"DimSize = 4 5 6", b"DimSize = inf 5 6"), "HDR_DAMAGED: DimSize"),
        (
            replaced(MHA, b"0 0 0 1\n", b"0 0 0 3\n"),
            "HDR_CONFLICT: lengths of directions 1 1 1, but",
        ),
        (with_line(MHA, b"ElementNumberOfChannels = 1 2"), "HDR_DIMS"),
        (with_line(MHA, b"NDims = 3"), "HDR_DAMAGED: header line"),
        (with_line(MHA, b"ndims = 3"), "HDR_DAMAGED: header line"),
        (
            with_line(MHA, b"CompressedDataSize = 7").replace(b"Data = False", b"Data = True"),
            "HDR_CONFLICT: CompressedDataSize 7, but bytes found 240",
        ),
    ],
)
def test_metaimage_of_doubtful_values_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        read_metaimage(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_line(NRRD, b"spacings: 1 2 4"), "HDR_CONFLICT: space directions of 1 2 3, but spac"),
        (with_line(NRRD, b"spacings: 1 2"), "HDR_DAMAGED: spacings of 2 axes"),
        (with_line(NRRD, b"space dimension: 2"), "HDR_CONFLICT: space dimension 2"),
        (with_line(NRRD, b"spacjngs: 1 2 3"), "HDR_DAMAGED: header line 'spacjngs: 1 2 3'"),
        (with_line(NRRD, b"kinds: domain domain vector"), "HDR_CONFLICT: space directions 0 0 0"),
        (with_line(NRRD, b"kinds: domain domain"), "HDR_DAMAGED: kinds of 2 axes"),
        (with_line(NRRD, b"kinds: domain domain rgb-color"), "HDR_CONFLICT: the kind rgb-color"),
        (with_line(NRRD, b'space units: "px" "px" "px"'), "HDR_UNITS: spaceunits 'px'"),
        (with_line(NRRD, b'units: "mm" "mm" "cm"'), "HDR_UNITS: units 'cm', 'mm'"),
        (with_line(NRRD, b"sizes: 4 5 6"), "HDR_DAMAGED: header line 'sizes"),
        (with_line(NRRD, b"Sizes: 4 6 5"), "HDR_DAMAGED: header line 'Sizes"),
        (with_line(NRRD, b"spacedirections: (1,0,0) (0,2,0) (0,0,4)"), "HDR_DAMAGED: header line"),
        (replaced(NRRD, b"(0,0,3)", b"(0,0,3) none"), "HDR_DAMAGED: space directions of 4 axes"),
        (replaced(NRRD, b"dimension: 3", b"dimension: 4"), "HDR_DIMS"),
    ],
)
def test_nrrd_that_contradicts_itself_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        read_nrrd(data)


@pytest.mark.parametrize(
    "line",
    [
        b"spacings: 1 2 3",
        b"kinds: domain domain domain",
        b"kinds: domain domain ???",
        b'space units: "mm" "mm" "mm"',
        b'units: "mm" "" "mm"',
        b"centerings: cell cell cell",
        b"sizes:=anything",
    ],
)
def test_nrrd_that_repeats_itself_is_read(line):
    scan = read_nrrd(with_line(NRRD, line))
    np.testing.assert_array_equal(scan.array[0], VOLUME)
    np.testing.assert_allclose(scan.affine, np.diag([1, 2, 3, 1]))


def read(slices, accept=()):
    return read_series([(str(i), encode(one)) for i, one in enumerate(slices)], Findings(accept))


def changed(index=9, **changes):
    slices = series(FrameOfReferenceUID="1.9", RescaleType="HU")
    for name, value in changes.items():
        setattr(slices[index], name, value)
    return slices


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (
            changed(PixelRepresentation=1, PixelData=LOW),
            r"DCM_MIXED: slices of 2 PixelRepresentation, \['0', '1'",
        ),
        (changed(FrameOfReferenceUID="1.8"), "DCM_MIXED: slices of 2 FrameOfReferenceUID; split"),
        (changed(FrameOfReferenceUID=""), "DCM_MIXED: slices of 2 FrameOfReferenceUID; split"),
        (changed(RescaleType="US"), r"DCM_MIXED: slices of 2 RescaleType, \['HU', 'US'\]"),
        (changed(Modality="MR"), r"DCM_MIXED: slices of 2 Modality"),
        (changed(PhotometricInterpretation="MONOCHROME1"), "DCM_MIXED: slices of 2 Photometric"),
        (changed(PhotometricInterpretation="PALETTE COLOR"), "DCM_COLOR: a lookup table descri"),
        (changed(PhotometricInterpretation="RGB"), "DCM_COLOR: 1 samples a pixel as .RGB"),
        (changed(BitsStored=8, HighBit=7), r"DCM_BITS: \d+ values of more than the 8 bits"),
        (changed(BitsStored=17, HighBit=16), "DCM_PIXELS: 17 of 16 bits"),
        (series(SpacingBetweenSlices=4.0), "DCM_SPACING: slices lie 2 mm apart, .* says 4; exp"),
        (series(SpacingBetweenSlices=2.0)[::2], "DCM_SPACING: slices lie 4 mm apart, .* says 2"),
        (series(ImagesInAcquisition=11), r"DCM_COUNT: 10 of 11 images.*accept: \[DCM_COUNT\]"),
        (series(NumberOfSeriesRelatedInstances=12), "DCM_COUNT: 10 of 12 images"),
        (series(NumberOfSlices=11), "DCM_COUNT: 10 of 11 images"),
    ],
)
def test_series_that_contradicts_itself_is_refused(slices, message):
    with pytest.raises(DataError, match=message):
        read(slices)


@pytest.mark.parametrize(
    "slices",
    [
        changed(),
        series(SpacingBetweenSlices=2.0),
        series(SpacingBetweenSlices=-2.01),
        series(ImagesInAcquisition=10),
        series(ImagesInAcquisition=5),
        series(BitsStored=16, HighBit=15),
    ],
)
def test_series_that_repeats_itself_is_read(slices):
    np.testing.assert_array_equal(read(slices).array, read(series()).array)


@pytest.mark.parametrize(
    ("slices", "code"),
    [
        (series(SpacingBetweenSlices=4.0), "DCM_SPACING"),
        (series(ImagesInAcquisition=11), "DCM_COUNT"),
    ],
)
def test_what_is_accepted_of_a_series_is_read(slices, code):
    np.testing.assert_array_equal(read(slices, (code,)).array, read(series()).array)


def test_signed_values_fill_the_bits_above_those_stored():
    signed = [STORED[z].astype(np.int16) - 1500 for z in range(10)]
    slices = [new_slice(z, plane, PixelRepresentation=1) for z, plane in enumerate(signed)]
    want = np.stack(signed).transpose(2, 1, 0)[None].astype(np.int32) - 1024
    np.testing.assert_array_equal(read(slices).array, want)


def test_holes_between_slices_are_told_where_nothing_else_speaks_of_them():
    findings = Findings()
    read_series([(str(i), encode(one)) for i, one in enumerate(series()[::2])], findings)
    (found,) = findings.found
    assert (found.level, found.code) == ("warning", "DCM_APART")
    assert found.found == "slices lie 4 mm apart and are 2 mm thick"


@pytest.mark.parametrize("count", [2, 4, 30])
def test_stack_that_tells_of_other_pages_is_refused(count):
    buffer = io.BytesIO()
    told = f"ImageJ=1.54f\nimages={count}\nslices={count}\n"
    with tifffile.TiffWriter(buffer) as writer:
        for page in np.arange(3 * 80, dtype=np.uint8).reshape(3, 8, 10):
            writer.write(page, contiguous=False, metadata=None, description=told)
    with pytest.raises(DataError, match="IMG_PAGES: 3 pages"):
        read_picture(buffer.getvalue(), Findings({"GEO_NONE"}))
    good = buffer.getvalue().replace(told.encode(), told.replace(str(count), "3").encode())
    if len(good) == len(buffer.getvalue()):
        assert read_picture(good, Findings({"GEO_NONE"})).array.shape == (1, 10, 8, 3)


def test_ends_of_the_axes_that_fit_the_spacing_are_read():
    ends = b"raw\naxis mins: 0 0 0\naxis maxs: 4 10 15\nnumber: 120"  # of cells, and of centres
    assert np.array_equal(read_nrrd(replaced(NRRD, b"raw", ends)).array[0], VOLUME)


@pytest.mark.parametrize(
    ("mins", "told"),
    [
        (b"9 8 7", []),
        (b"-9 8 7", []),  # in LPS
        (b"8.5 7 5.5", []),  # of the outer cells
        (b"0 0 0", []),
        (b"nan nan nan", []),
        (b"9 8 70", ["GEO_ORIGIN"]),
        (b"4 8 7", ["GEO_ORIGIN"]),
    ],
)
def test_begins_of_the_axes_elsewhere_than_the_origin_are_told(mins, told):
    data = replaced(NRRD, b"(0,0,0)\n", b"(9,8,7)\naxis mins: " + mins + b"\n")
    findings = Findings()
    scan = read_nrrd(data, findings)
    assert scan.affine[:3, 3].tolist() == [9, 8, 7]
    assert [finding.code for finding in findings.found] == told


@pytest.mark.parametrize("kind", ["imagej", "ome"])
@pytest.mark.parametrize(("axes", "told"), [("CYX", "3 channels"), ("TYX", "3 times")])
def test_pages_that_are_no_slices_are_refused(kind, axes, told):
    buffer = io.BytesIO()
    pixels = np.arange(240, dtype=np.uint8).reshape(3, 8, 10)
    tifffile.imwrite(buffer, pixels, **{kind: True}, metadata={"axes": axes})
    with pytest.raises(DataError, match=f"IMG_STACK: pages of {told}"):
        read_picture(buffer.getvalue(), Findings({"GEO_NONE"}))
    accepted = read_picture(buffer.getvalue(), Findings({"GEO_NONE", "IMG_STACK"}))
    assert accepted.array.shape == (1, 10, 8, 3)


def test_planes_that_a_page_only_tells_of_are_refused():
    buffer = io.BytesIO()
    pixels = np.arange(80, dtype=np.uint8).reshape(8, 10)
    planes = [(33629, "I", 12, [0] * 12, True)]  # as MetaMorph numbers them
    tifffile.imwrite(buffer, pixels, metadata=None, extratags=planes)
    with pytest.raises(DataError, match="IMG_PAGES: a stack of MetaMorph"):
        read_picture(buffer.getvalue())


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"PixelSpacing": [1, 1], "PixelAspectRatio": [1, 2]}, "PixelSpacing, rows to columns, 1"),
        ({"PixelSpacing": [1, 2], "PixelAspectRatio": [1, 2]}, None),
    ],
)
def test_the_shape_of_pixels_is_told_once_or_alike(change, found):
    slices = series(**change)
    if found is None:
        read(slices)
        return
    with pytest.raises(DataError, match=f"HDR_CONFLICT: {found}"):
        read(slices)
