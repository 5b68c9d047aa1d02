"""A slice that is there in a form that cannot be read refuses its series."""

import gzip
import io
import zipfile

import pytest
from dicom_files import STORED, encode, new_slice, series

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


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", [".s09.dcm", ".s09.dcm.Xa3b", ".hidden"])
def test_a_slice_that_is_hidden_refuses_its_series(tmp_path, name, packed):
    root = tmp_path / "set"
    root.mkdir()
    write(root / "ct", "s{:02}.dcm")
    (root / "ct/s09.dcm").rename(root / "ct" / name)
    layout, codes = problems_of(as_zip(root) if packed else root)
    assert not layout.cases
    assert codes == ["DCM_LOST"]
    assert layout.problems[0].case == "ct"
    assert f"1 of its slices are hidden by their names: ct/{name}" in layout.problems[0].found


def as_zip(root):
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(root).as_posix())
    return path


def test_what_is_hidden_and_no_slice_of_its_own_is_a_note(tmp_path):
    slices = write(tmp_path / "ct", "s{:02}.dcm")
    (tmp_path / "ct/._s09.dcm").write_bytes(bytes.fromhex("00051607") + bytes(100))
    (tmp_path / "ct/.DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "ct/.s03.dcm.Xa3b").write_bytes(slices[3])  # as rsync leaves it
    (tmp_path / "ct/.s04.dcm.part").write_bytes(slices[4][:900])
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/s10.dcm").write_bytes(encode(series(10)[9]))
    for root in (tmp_path, as_zip(tmp_path)):
        layout, codes = problems_of(root)
        assert [len(case.scans[0]) for case in layout.cases] == [10]
        assert codes == []
        assert "LAY_HIDDEN" in [finding.code for finding in layout.findings]


CMS = bytes.fromhex("30820a1e06092a864886f70d010703a0820a0f") + bytes(300)


def patient(root, uid):
    """A series of its own patient, in `root`."""
    root.mkdir(parents=True)
    for z, one in enumerate(series(4, series=f"1.2.{uid}", StudyInstanceUID=f"1.{uid}")):
        one.PatientID = f"P{uid}"
        (root / f"IM{z:04}").write_bytes(encode(one))


def report(uid, **changes):
    """A structured report: DICOM without an image."""
    one = new_slice(0, STORED[0], f"1.9.{uid}", Modality="SR", PatientID=f"P{uid}", **changes)
    one.StudyInstanceUID = f"1.{uid}"
    for name in ("PixelData", "Rows", "Columns"):
        delattr(one, name)
    return encode(one)


@pytest.mark.parametrize(
    ("names", "content", "level", "place"),
    [
        (["P3/ST1/IM0000", "P3/ST1/IM0001"], CMS, "error", "P3/"),
        (["P3/ST1/a", "P3/ST2/b"], CMS, "error", "P3/"),
        (["P3/x.p7m"], b"any", "error", "P3/"),
        (["P1/ST2/IM0000"], CMS, "error", "P1/ST2/"),
        (["DICOMDIR"], CMS, "error", "DICOMDIR"),
        (["P3/ST1/IM0000"], b"no DICOM at all", "error", "P3/"),
        (["P3/ST1/IM0000"], report(3), "warning", "P3/"),
    ],
)
def test_a_patient_of_whom_no_case_comes_is_named(tmp_path, names, content, level, place):
    patient(tmp_path / "P1/ST1", 1)
    patient(tmp_path / "P2/ST1", 2)
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    layout, codes = problems_of(tmp_path)
    assert len(layout.cases) == 2
    told = [f.found for f in layout.findings if (f.code, f.level) == ("DCM_NO_CASE", "warning")]
    told += [error.found for error in layout.problems]
    assert codes == ["DCM_NO_CASE"] * (level == "error")
    assert len(told) == 1
    assert told[0].startswith(f"no case comes of {place}: {len(names)} ")


def test_what_lies_beside_patients_and_is_no_image_stays_a_note(tmp_path):
    patient(tmp_path / "P1/CT", 1)
    patient(tmp_path / "P2/CT", 2)
    (tmp_path / "P1/SR").mkdir()
    (tmp_path / "P1/SR/IM0000").write_bytes(report(1))
    (tmp_path / "P1/reports").mkdir()  # of the study, as if anonymised otherwise
    (tmp_path / "P1/reports/r").write_bytes(report(1).replace(b"P1", b"Q1"))
    for name in ("VIEWER/viewer.exe", "VIEWER/help/index.htm", "AUTORUN.INF", "P2/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"something")
    layout, codes = problems_of(tmp_path)
    assert len(layout.cases) == 2
    assert codes == []
    assert "DCM_NO_CASE" not in [finding.code for finding in layout.findings]
