"""What a TIFF tells of its spacing: by tifffile's own writers of ImageJ and OME, and by nnU-Net."""

import io
import json
import re
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import memory_within
from data_prep.files.file_tree import open_tree
from data_prep.formats.encode import encode
from data_prep.formats.images_2d import read_picture
from data_prep.formats.registry import read_label, read_scan
from data_prep.formats.tiff.chain import check_chain

PAGES = np.arange(240, dtype=np.uint8).reshape(3, 8, 10)  # z, y, x
SMALL = Findings({"HDR_SPACING_RANGE"})  # for voxels of micrometres


def tiff(array=PAGES, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack", **options)
    return buffer.getvalue()


def imagej(unit="mm", x=0.5, y=0.75, array=PAGES, inches=None, **meta):
    return tiff(
        array,
        imagej=True,
        resolution=(1 / x, 1 / y),
        resolutionunit=inches,
        metadata={"axes": "ZYX"[-array.ndim :], "unit": unit, **meta},
    )


def ome(x=0.5, y=0.75, z=2.5, unit="mm", array=PAGES, **options):
    sizes = {"X": x, "Y": y, "Z": z}
    meta = {f"PhysicalSize{a}": mm for a, mm in sizes.items() if mm}
    if unit:
        meta |= {f"PhysicalSize{a}Unit": unit for a, mm in sizes.items() if mm}
    return tiff(array, ome=True, metadata={"axes": "ZYX"[-array.ndim :], **meta}, **options)


def beside(told):
    def read(name):
        if told is None or name != "*.json":
            raise DataError("IO_BESIDE", "there is none", "give it")
        return told if isinstance(told, bytes) else json.dumps(told).encode()

    return read


@pytest.mark.parametrize(
    ("data", "told", "mm"),
    [
        (imagej(spacing=2.5), None, (0.5, 0.75, 2.5)),
        (imagej(), None, (0.5, 0.75, 1)),  # ImageJ leaves out what is 1
        (imagej("\\u00B5m", 500, 750, spacing=2500), None, (0.5, 0.75, 2.5)),
        (imagej("nm", 5e5, 7.5e5, spacing=2.5e6), None, (0.5, 0.75, 2.5)),
        (imagej("inch", 0.02, 0.03, inches=2, spacing=0.1), None, (0.508, 0.762, 2.54)),
        (imagej("cm", 0.05, 0.075, inches=3, spacing=0.25), None, (0.5, 0.75, 2.5)),
        (ome(), None, (0.5, 0.75, 2.5)),
        (ome(500, 750, 2500, unit=None), None, (0.5, 0.75, 2.5)),  # µm by the standard
        (ome(resolution=(20, 10 / 0.75), resolutionunit=3), None, (0.5, 0.75, 2.5)),
        (ome(resolution=(72, 72), resolutionunit=2), None, (0.5, 0.75, 2.5)),
        (tiff(), {"spacing": [2.5, 0.75, 0.5]}, (0.5, 0.75, 2.5)),
        (tiff(resolution=(300, 300), resolutionunit=2), {"spacing": [1, 2, 3]}, (3, 2, 1)),
        (imagej(spacing=2.5), {"spacing": [2.5, 0.75, 0.5]}, (0.5, 0.75, 2.5)),
        (imagej("um", 500, 750, spacing=2500), {"spacing": [2500, 750, 500]}, (0.5, 0.75, 2.5)),
        (ome(z=None), {"spacing": [2.5, 0.75, 0.5]}, (0.5, 0.75, 2.5)),
        (ome(), {"shapes": []}, (0.5, 0.75, 2.5)),  # another program's
    ],
)
def test_stack_with_spacing_is_a_volume(data, told, mm):
    scan = read_picture(data, Findings(), beside(told))
    np.testing.assert_array_equal(scan.array[0], PAGES.T)
    np.testing.assert_allclose(scan.affine, np.diag([-mm[0], -mm[1], mm[2], 1]), rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "told", "message"),
    [
        (tiff(), None, "GEO_NONE: 3 pages without spacing"),
        (tiff(resolution=(72, 72), resolutionunit=2), None, "GEO_NONE: 3 pages without spacing"),
        (tiff(resolution=(20, 20), resolutionunit=3), None, r"GEO_NONE: .* 0.5, 0.5, \? mm"),
        (imagej("pixel", spacing=2), None, "GEO_NONE: 3 pages without spacing"),
        (ome(z=None), None, r"GEO_NONE: 3 pages whose spacing is 0.5, 0.75, \? mm"),
        (ome(unit="pixel"), None, "GEO_NONE: 3 pages without spacing"),
        (imagej(spacing=2.5), {"spacing": [2, 0.75, 0.5]}, r"HDR_CONFLICT: ImageJ.* 2\.5, but .*2"),
        (ome(), {"spacing": [0.5, 0.75, 2.5]}, "HDR_CONFLICT: OME, mm along x, 0.5, but .json be"),
        (ome(resolution=(10, 10), resolutionunit=3), None, "HDR_CONFLICT: OME.*, but XResolution"),
        (imagej(inches=2, spacing=2), None, "HDR_CONFLICT: ImageJ.* x, 0.5, but XRes.* 12.7"),
        (imagej(x=1 / 72, inches=2, spacing=2), None, "HDR_CONFLICT: ImageJ"),
        (imagej("um", 0.5, 0.75, spacing=0.9), {"spacing": [0.9, 0.75, 0.7]}, "HDR_CONFLICT"),
        (imagej("parsec", spacing=2), None, "HDR_UNITS: unit of ImageJ 'parsec'"),
        (imagej(spacing="thick"), None, "HDR_DAMAGED: spacing of ImageJ: 'thick'"),
        (imagej(spacing=0), None, "HDR_SPACING: ImageJ"),
        (ome(x=-1), None, "HDR_SPACING: OME"),
        (ome().replace(b'="0.75"', b'="nan!"'), None, "HDR_DAMAGED: OME"),
        (ome().replace(b"<Image ID", b"<Image DI>"), None, "HDR_DAMAGED: OME"),
        (ome().replace(b"SizeXUnit", b"SizeXVnit"), None, "HDR_DAMAGED: OME: 'PhysicalSizeXVnit'"),
        (ome().replace(b'SizeX="', b'SizeX="1', 1), None, "HDR_CONFLICT: SizeX"),
        (ome().replace(b'SizeY="', b'SizeY="1', 1), None, "HDR_CONFLICT: SizeY"),
        (re.sub(rb' Type="\w+"', b' Type="uint32"', ome()), None, "HDR_CONFLICT: Type"),
        (tiff(), {"spacing": [1, 2]}, "HDR_DAMAGED: the JSON beside: spacing"),
        (tiff(), {"spacing": [1, 2, True]}, "HDR_DAMAGED: the JSON beside: spacing"),
        (tiff(), b"{spacing", "HDR_DAMAGED: the JSON beside: no JSON"),
        (tiff(), {"spacing": [1, 0, 1]}, "HDR_SPACING: .json beside"),
        (imagej("um", spacing=0.9), None, "HDR_SPACING_RANGE"),
    ],
)
def test_stack_of_no_or_of_two_spacings_is_refused(data, told, message):
    with pytest.raises(DataError, match=message):
        read_picture(data, Findings(), beside(told))


def test_voxels_of_micrometres_are_written_and_read_again():
    scan = read_picture(imagej("um", spacing=0.9), SMALL)
    np.testing.assert_allclose(scan.spacing, (5e-4, 7.5e-4, 9e-4), rtol=1e-6)
    assert encode(scan)[0] == ".nii.gz"


def test_accepted_stack_without_spacing_has_voxels_of_a_millimetre():
    scan = read_picture(ome(z=None), Findings({"GEO_NONE"}))
    assert scan.spacing == (1, 1, 1)


def test_negative_distance_of_pages_is_told_and_its_size_taken():
    findings = Findings()
    scan = read_picture(imagej(spacing=-2.5), findings)
    assert scan.spacing == pytest.approx((0.5, 0.75, 2.5))
    assert [found.code for found in findings.found] == ["HDR_SPACING_SIGN"]


@pytest.mark.parametrize(
    "data",
    [
        tiff(PAGES[0], resolution=(72, 72), resolutionunit=2),
        tiff(PAGES[0], resolution=(123, 45), resolutionunit=2),
        imagej("parsec", array=PAGES[0]),
        imagej("um", array=PAGES[0]),
        imagej("um", x=1 / 300, y=1 / 300, inches=2, array=PAGES[0]),
        ome(z=None, array=PAGES[0], resolution=(600, 600), resolutionunit=2),
        ome(array=PAGES[0]).replace(b"<Image ID", b"<Image DI>"),
    ],
)
def test_spacing_of_a_2d_image_is_nothing_to_tell_of(data):
    findings = Findings()
    scan = read_picture(data, findings, beside(b"no JSON at all"))
    assert scan.affine is None
    assert not findings.found


def test_2d_image_of_two_spacings_is_refused():
    with pytest.raises(DataError, match=r"HDR_CONFLICT: OME, .* 0\.5, but XResolution"):
        read_picture(ome(z=None, array=PAGES[0], resolution=(10, 10), resolutionunit=3))


def test_scan_of_paper_by_pillow_is_silent():
    buffer, findings = io.BytesIO(), Findings()
    Image.fromarray(PAGES[0]).save(buffer, "TIFF", dpi=(72, 72))
    assert read_picture(buffer.getvalue(), findings).array.shape == (1, 8, 10)
    assert not findings.found


def test_json_of_nnunet_is_found_beside_image_and_label(tmp_path):
    for name in ("imagesTr/a_0000.tif", "labelsTr/a.tif"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(tiff(PAGES % 2))
        (tmp_path / name).with_name("a.json").write_text('{"spacing": [2.5, 0.75, 0.5]}')
    tree = open_tree(tmp_path)
    for scan in (read_scan(tree, "imagesTr/a_0000.tif"), read_label(tree, "labelsTr/a.tif")):
        assert scan.spacing == (0.5, 0.75, 2.5)


def test_images_and_orders_that_ome_tells_of_are_refused():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, ome=True) as writer:
        for _ in range(2):
            writer.write(PAGES, photometric="minisblack", metadata={"axes": "ZYX"})
    with pytest.raises(DataError, match="IMG_PAGES: 2 images of OME"):
        read_picture(buffer.getvalue(), Findings({"GEO_NONE"}))
    planes = b'<TiffData IFD="0" PlaneCount="3"/></Pixels></Image></OME>'
    turned = b"".join(b'<TiffData IFD="%d" FirstZ="%d"/>' % (z, 2 - z) for z in range(3))
    told = tifffile.TiffFile(io.BytesIO(ome())).ome_metadata.encode()
    data = tiff(metadata=None, description=told.replace(planes, turned + planes[34:]))
    with pytest.raises(DataError, match=r"IMG_PAGES: .* order \[2, 1, 0\]"):
        read_picture(data)


@pytest.mark.parametrize("options", [{"metadata": None}, {"metadata": None, "bigtiff": True}])
def test_stack_that_was_cut_among_its_pages_is_refused(options):
    data = tiff(**options)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        last = file.pages[-1].offset
    with pytest.raises(DataError, match=f"IO_TRUNCATED: a page .* at byte {last} of {last}"):
        read_picture(data[:last], Findings({"GEO_NONE"}))


def chained(offsets, *, big=False, order="<"):
    """A TIFF of pages without tags, each followed by the page of a number, or by none."""
    head, step = (16, 16) if big else (8, 6)
    places = [head + step * k for k in range(len(offsets))]
    follow = [places[k] if k is not None else 0 for k in offsets]
    mark = b"II" if order == "<" else b"MM"
    start = struct.pack(order + "HHHQ", 43, 8, 0, head) if big else struct.pack(order + "HI", 42, 8)
    pages = b"".join(struct.pack(order + ("QQ" if big else "HI"), 0, after) for after in follow)
    assert len(mark + start) == head
    return mark + start + pages


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("offsets", [[0], [1, 2, 0], [1, 2, 3, 2]])
def test_pages_that_lead_back_are_refused_before_they_are_followed(offsets, big, order):
    with pytest.raises(DataError, match="IO_DAMAGED: pages that lead back to byte"):
        check_chain(chained(offsets, big=big, order=order))


def test_more_pages_than_can_be_held_are_refused():
    many = chained([*range(1, 40_000), None])
    check_chain(many)
    with memory_within(1e8), pytest.raises(DataError, match="IO_MEMORY"):
        check_chain(many)
    with pytest.raises(DataError, match="IMG_TOO_LARGE: more than 65536 pages"):
        check_chain(chained([*range(1, 70_000), None]))


@pytest.mark.parametrize("big", [False, True])
def test_more_tags_than_a_page_or_the_file_can_have_are_refused_before_they_are_read(big):
    def told(pages, tags, step):
        """Pages of so many tags, each `step` bytes behind the one before."""
        head, (form, size) = (16, ("<Q", 20)) if big else (8, ("<H", 12))
        data = bytearray(head + pages * step + tags * size + 16)
        mark = struct.pack("<2sHHHQ", b"II", 43, 8, 0, head)
        data[:head] = mark if big else struct.pack("<2sHI", b"II", 42, 8)
        for at in range(head, head + pages * step, step):
            struct.pack_into(form, data, at, tags)
            after = at + struct.calcsize(form) + tags * size
            struct.pack_into("<Q" if big else "<I", data, after, at + step)
        return bytes(data)

    check_chain(told(1, 4096, 1 << 17))
    with pytest.raises(DataError, match="IO_DAMAGED: a page of 4097 tags, at byte"):
        check_chain(told(1, 4097, 1 << 17))
    with pytest.raises(DataError, match="IO_DAMAGED: pages that overlap, at byte"):
        check_chain(told(60, 4096, 40))


def test_a_page_of_more_tags_than_any_file_holds_is_refused():
    data = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + struct.pack("<Q", 1 << 50) + bytes(99)
    with pytest.raises(DataError, match=f"IO_DAMAGED: a page of {1 << 50} tags, at byte 16"):
        check_chain(data)


def test_tags_that_all_name_one_large_value_are_refused(monkeypatch):
    monkeypatch.setattr("data_prep.formats.tiff.chain._SHARED", 0)
    tags = struct.pack("<HHII", 270, 2, 1000, 8 + 2 + 9 * 12 + 4) * 9
    data = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", 9) + tags + bytes(4 + 1000)
    with pytest.raises(DataError, match="IO_DAMAGED: tags there twice whose values overlap"):
        check_chain(data)
    check_chain(data + bytes(8 * 1000))


def test_a_description_like_that_of_tifffile_is_no_conflict():
    data = tiff(PAGES[0], description='{"shape": [8, 10], "by": "a user"}')
    assert read_picture(data).array.shape == (1, 8, 10)


def test_a_ring_of_pages_is_no_image(tmp_path):
    data = bytearray(tiff())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        first, last = file.pages[0].offset, file.pages[-1].offset
    at = last + 2 + 12 * int.from_bytes(data[last : last + 2], "little")
    data[at : at + 4] = first.to_bytes(4, "little")
    with pytest.raises(DataError, match=r"IO_DAMAGED: pages that lead back"):
        read_picture(bytes(data))
