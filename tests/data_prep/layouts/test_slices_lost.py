"""A slice that is there in a form that cannot be read refuses its series."""

import gzip
import io
import zipfile

import pytest
from dicom_files import encode, series

from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout


def write(folder, name, count=10):
    folder.mkdir(exist_ok=True)
    slices = [encode(one) for one in series(count)]
    for z, data in enumerate(slices):
        (folder / name.format(z)).write_bytes(data)
    return slices


def zipped(name, data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def problems_of(folder):
    layout = find_layout(open_tree(folder), need_labels=False)
    return layout, [error.code for error in layout.problems]


REPLACED = {
    "gzip": lambda name, data: (f"{name}.gz", gzip.compress(data)),
    "zip": lambda name, data: (f"{name}.zip", zipped(name, data)),
    "its zip": lambda name, data: (name.replace(".dcm", "") + ".zip", zipped(name, data)),
    "picture": lambda name, data: (name.replace(".dcm", "") + ".jpg", b"\xff\xd8\xff\xe0"),
    "png": lambda name, data: (name.replace(".dcm", "") + ".png", b"\x89PNG"),
    "cut": lambda name, data: (name, data[:100]),
}


@pytest.mark.parametrize("name", ["s{:02}.dcm", "IM{:04}", "slice-{:03}.IMA", "{:02}.dcm"])
@pytest.mark.parametrize("how", REPLACED)
def test_a_slice_that_is_there_as_something_else_refuses_its_series(tmp_path, name, how):
    slices = write(tmp_path / "ct", name)
    last = tmp_path / "ct" / name.format(9)
    last.unlink()
    other, data = REPLACED[how](last.name, slices[9])
    (last.parent / other).write_bytes(data)
    layout, codes = problems_of(tmp_path)
    assert not layout.cases
    assert "DCM_LOST" in codes


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".dcm.gz"])
def test_a_picture_beside_every_slice_is_no_loss(tmp_path, suffix):
    write(tmp_path / "ct", "s{:02}.dcm")
    for z in range(10):
        (tmp_path / f"ct/s{z:02}{suffix}").write_bytes(b"some")
    layout, codes = problems_of(tmp_path)
    assert [len(case.scans[0]) for case in layout.cases] == [10]
    assert "DCM_LOST" not in codes


def test_a_slice_cut_anywhere_refuses_its_series(tmp_path):
    *_, last = write(tmp_path / "ct", "s{}.dcm", 4)
    shorter = []
    for end in range(132, len(last) - 97, 5):  # before its pixels
        (tmp_path / "ct/s3.dcm").write_bytes(last[:end])
        layout, codes = problems_of(tmp_path)
        if layout.cases or "DCM_LOST" not in codes:
            shorter.append((end, [len(case.scans[0]) for case in layout.cases]))
    assert all(found == [4] for _, found in shorter), shorter
