"""Nothing is lost unsaid: members of archives that are no plain files, slices that are no slices.

In each row something is done to the case `bad` of a good set; then it must be refused by name,
while the other cases are used.
"""

import io
import os
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from bad_sets import Series, Volumes, gz, nifti, noise
from dicom_files import STORED, encode, new_slice, series
from grids import crossed
from pydicom.dataset import Dataset
from pydicom.uid import MediaStorageDirectoryStorage

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.archives import open_archive
from data_prep.files.file_tree import open_tree
from data_prep.formats.numpy_files import read_array
from data_prep.layouts import find_layout
from sdunet.segmentation.evaluation.evaluate import evaluate

GOOD = {"good_0", "good_1", "good_2"}
OTHER = gz(nifti(noise(77)))


def plain(archive, name, data):
    """Add a file."""
    if isinstance(archive, zipfile.ZipFile):
        archive.writestr(name, data)
    else:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


def twice(rewritten):
    """Add a file, and another one of the same name written in another way."""

    def add(archive, name, data):
        plain(archive, name, data)
        plain(archive, rewritten(name), OTHER)

    return add


def tar_kind(kind, **attributes):
    """Add a member of another kind than a file."""

    def add(archive, name, data):
        member = tarfile.TarInfo(name)
        member.type = kind
        for key, value in attributes.items():
            setattr(member, key, value)
        archive.addfile(member)

    return add


def sparse(archive, name, data):
    """Add a file with a hole at its end, as GNU tar writes it: with a map of what is stored."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    stored = {"size": len(data) + 4096, "numblocks": 1, "map": f"0,{len(data)}"}
    member.pax_headers = {f"GNU.sparse.{key}": str(value) for key, value in stored.items()}
    archive.addfile(member, io.BytesIO(data))


def zip_mode(mode, end=""):
    """Add a member of that Unix mode, its name with something at its end."""

    def add(archive, name, data):
        member = zipfile.ZipInfo(name + end)
        member.create_system, member.external_attr = 3, mode << 16
        archive.writestr(member, b"good_0.nii.gz")

    return add


MEMBERS = [
    (".tar", "hard link", tar_kind(tarfile.LNKTYPE, linkname="images/good_0.nii.gz")),
    (".tar", "symbolic link", tar_kind(tarfile.SYMTYPE, linkname="good_0.nii.gz")),
    (".tar", "device", tar_kind(tarfile.CHRTYPE, devmajor=1, devminor=5)),
    (".tar", "block device", tar_kind(tarfile.BLKTYPE)),
    (".tar", "pipe", tar_kind(tarfile.FIFOTYPE)),
    (".tar", "unknown kind", tar_kind(b"V")),
    (".tar", "sparse of old", tar_kind(tarfile.GNUTYPE_SPARSE)),
    (".tar", "sparse", sparse),
    (".tar", "twice", twice(str)),
    (".tar", "twice, with a dot", twice("./{}".format)),
    (".tar", "twice, with two slashes", twice(lambda name: name.replace("/", "//"))),
    (".zip", "symbolic link", zip_mode(0o120777)),
    (".zip", "symbolic link named as a folder", zip_mode(0o120777, "/")),
    (".zip", "folder with content", zip_mode(0o040755)),
    (".zip", "folder by its name with content", zip_mode(0, "/")),
    (".zip", "pipe", zip_mode(0o010644)),
    (".zip", "device", zip_mode(0o020644)),
    (".zip", "twice", twice(str)),
    (".zip", "twice, with a dot", twice("./{}".format)),
]
ADDED = {f"{suffix} {what}": (suffix, add) for suffix, what, add in MEMBERS}


def packed(root, suffix, planted, add):
    """Pack the files below `root`, the planted one by `add` and last: a series has no gap then."""
    path = root.with_suffix(suffix)
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    with zipfile.ZipFile(path, "w") if suffix == ".zip" else tarfile.open(path, "w") as archive:
        for name, data in sorted(files.items()):
            if name != planted:
                plain(archive, name, data)
        add(archive, planted, files.get(planted, b"1"))
    return path


def refused(path, kind):
    """Check the set, assert that all but `bad` are used, and return its errors."""
    checked = check(path, DataConfig(**kind.config))
    assert set(checked.facts) == GOOD, checked.findings
    return [error for error in checked.errors if error.case == "bad"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("member", "planted"), crossed(ADDED, ["images/bad.nii.gz", "labels/bad.nii.gz"])
)
def test_member_that_is_no_plain_file_refuses_its_case(tmp_path, member, planted):
    suffix, add = ADDED[member]
    Volumes(tmp_path / "set")
    (error,) = refused(packed(tmp_path / "set", suffix, planted, add), Volumes)
    assert (error.code, error.file) == ("IO_MEMBER", planted)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("member", "planted"), crossed(ADDED, ["bad/09.dcm", "bad/slice09"]))
def test_slice_that_is_no_plain_file_refuses_its_series(tmp_path, member, planted):
    suffix, add = ADDED[member]
    Series(tmp_path / "set")
    for file in (tmp_path / "set/bad").glob("0*.dcm"):
        file.rename(file.with_name(planted[4:].replace("09", file.stem)))
    (error,) = refused(packed(tmp_path / "set", suffix, planted, add), Series)
    assert error.code == "DCM_LOST"
    assert f"1 files that may be slices of it cannot be read: {planted}" in error.found


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_folder_that_is_a_link_in_an_archive_is_told_though_no_case_misses_it(tmp_path, suffix):
    Volumes(tmp_path / "set")
    add = zip_mode(0o120777) if suffix == ".zip" else tar_kind(tarfile.SYMTYPE, linkname="images")
    checked = check(packed(tmp_path / "set", suffix, "more", add), DataConfig())
    assert set(checked.facts) == {*GOOD, "bad"}
    (error,) = checked.errors
    assert str(error).startswith("IO_MEMBER: 1 members are not read: more, the first is a symbolic")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("member", ADDED)
def test_prediction_that_is_no_plain_file_is_told_and_counts_as_missing(tmp_path, member):
    suffix, add = ADDED[member]
    Volumes(tmp_path / "set")
    shutil.copytree(tmp_path / "set/labels", tmp_path / "pred")
    predictions = packed(tmp_path / "pred", suffix, "bad.nii.gz", add)
    summary, problems = evaluate(predictions, tmp_path / "set", tmp_path / "out")
    assert [(p.code, p.case, p.file) for p in problems] == [("IO_MEMBER", "bad", "bad.nii.gz")]
    assert (summary["n_cases"], summary["mean"]["1"]["missing"]) == (4, 1)


def test_folders_in_a_zip_are_no_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("images/", b"")
        for name, mode in (("labels/", 0), ("more", 0o040755)):
            member = zipfile.ZipInfo(name)
            member.create_system, member.external_attr = 3, mode << 16
            archive.writestr(member, b"")
        archive.writestr("images/a.png", b"1")
    tree = open_tree(tmp_path / "a.zip")
    assert (tree.names, tree.lost) == (("images/a.png",), {})


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_archives_of_plain_files_are_read_as_their_folders_are(tmp_path, suffix):
    Volumes(tmp_path / "set")
    path = packed(tmp_path / "set", suffix, "./images//more.nii.gz", plain)
    tree, folder = open_tree(path), open_tree(tmp_path / "set")
    assert tree.names == tuple(sorted((*folder.names, "images/more.nii.gz")))
    assert not tree.lost
    for name in folder.names:
        assert tree.read(name) == folder.read(name)
        assert tree.read(name, 7) == folder.read(name, 7)


def test_tar_that_ends_with_a_sparse_file_is_whole_and_one_cut_there_is_not(tmp_path):
    Volumes(tmp_path / "set")
    path = packed(tmp_path / "set", ".tar", "images/bad.nii.gz", sparse)
    assert set(open_tree(path).lost) == {"images/bad.nii.gz"}
    path.write_bytes(path.read_bytes().rstrip(b"\0"))
    with pytest.raises(DataError, match="IO_ARCHIVE"):
        open_tree(path)


def test_zip_whose_end_tells_of_more_files_is_refused(tmp_path):
    Volumes(tmp_path / "set")
    path = packed(tmp_path / "set", ".zip", "images/bad.nii.gz", plain)
    data = bytearray(path.read_bytes())
    data[-12:-10] = (9).to_bytes(2, "little")
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"IO_ARCHIVE: its directory lists 8 files of 9"):
        open_tree(path)


SPOILED = {
    "before": lambda data: b"junk" + data,
    "after": lambda data: data + b"junk",
    "zeros after": lambda data: data + bytes(512),
    "twice": lambda data: data + data,
    "cut before": lambda data: data[: len(data) // 2] + data,
    "cut after": lambda data: data + data[: len(data) // 2],
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
@pytest.mark.parametrize("kind", ["zip", "npz"])
def test_zip_with_bytes_before_or_after_it_is_refused(tmp_path, kind, spoil):
    buffer = io.BytesIO()
    if kind == "npz":
        np.savez(buffer, np.zeros((4, 5), np.uint8))
        assert not read_array(buffer.getvalue()).array.any()
    else:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.comment = b"of the scanner"
            archive.writestr("images/a.nii.gz", OTHER)
    path = tmp_path / "a.zip"
    path.write_bytes(buffer.getvalue())
    assert open_archive(path)
    path.write_bytes(spoil(buffer.getvalue()))
    with pytest.raises(DataError, match="IO_"):
        read_array(path.read_bytes()) if kind == "npz" else open_archive(path).read("a", 1)


@pytest.mark.parametrize("spoil", [lambda d: d[40:], lambda d: d[:60] + d[90:],
                                   lambda d: d[:60] + bytes(9) + d[60:],
                                   lambda d: d[: len(d) // 2]])  # fmt: skip
def test_a_zip_that_lost_or_gained_bytes_is_called_damaged(tmp_path, spoil):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in "ab":
            archive.writestr(f"images/{name}.nii.gz", bytes(200))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match="IO_ARCHIVE: it is cut or damaged"):
        open_archive(path)


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("form", ["\\", "../{}", "/{}", "C:/{}", "c:{}", "x/../{}", "./x/.././{}"])
def test_name_that_is_no_path_in_the_archive_is_told(tmp_path, suffix, form):
    Volumes(tmp_path / "set")

    def add(archive, name, data):
        plain(archive, name.replace("/", form) if form == "\\" else form.format(name), data)

    path = packed(tmp_path / "set", suffix, "images/bad.nii.gz", add)
    checked = check(path, DataConfig())
    assert set(checked.facts) == GOOD
    assert "IO_MEMBER" in {error.code for error in checked.errors}


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"])
def test_compressed_tar_is_refused_by_name(tmp_path, suffix):
    Volumes(tmp_path / "set")
    packing = {"z": "gz", "2": "bz2"}.get(suffix[-1], "xz")
    with tarfile.open(tmp_path / f"set{suffix}", f"w:{packing}") as archive:
        archive.add(tmp_path / "set", "set")
    with pytest.raises(DataError, match=r"IO_ARCHIVE: a compressed tar .*unpack it"):
        open_tree(tmp_path / f"set{suffix}")


def as_file(data):
    return lambda path: path.write_bytes(data(path.read_bytes()))


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def link(path):
    path.unlink()
    path.symlink_to("nowhere")


def anonymous(path):
    path.write_bytes(encode(new_slice(9, STORED[9], SeriesInstanceUID=None)))


def of_no_modality(path):
    path.write_bytes(encode(new_slice(9, STORED[9], series="1.2.3.64", Modality="SR")))


SLICES = {
    "no bytes": as_file(lambda data: b""),
    "cut in the preamble": as_file(lambda data: data[:60]),
    "cut after the preamble": as_file(lambda data: data[:132]),
    "cut before its series": as_file(lambda data: data[:400]),
    "cut after its series": as_file(lambda data: data[: data.index(b"1.2.3.64") + 20]),
    "cut in its pixels": as_file(lambda data: data[:-30]),
    "zeros": as_file(lambda data: bytes(len(data))),
    "a web page": as_file(lambda data: b"<!DOCTYPE html><html>"),
    "damaged before its series": as_file(lambda data: data[:200] + b"\xff" * 99 + data[299:]),
    "no series": anonymous,
    "another modality": of_no_modality,
    "pipe": pipe,
    "link that leads nowhere": link,
}


@pytest.mark.parametrize(
    ("damage", "name"), crossed(SLICES, ["{}.dcm", "{}.IMA", "IM00{}", "1.2.840.3.{}"])
)
def test_damaged_last_slice_refuses_its_series(tmp_path, damage, name):
    planted = Series(tmp_path / "set")
    for file in (planted.root / "bad").glob("0*.dcm"):
        file.rename(file.with_name(name.format(file.stem)))
    SLICES[damage](planted.root / "bad" / name.format("09"))
    assert refused(planted.root, Series)
    # Nor is a shorter volume predicted.
    layout = find_layout(open_tree(planted.root), need_labels=False)
    short = [case for case in layout.cases if case.id == "bad" and len(case.scans[0]) < 10]
    assert not short
    assert all(isinstance(problem, DataError) for problem in layout.problems)


def test_damaged_slice_that_names_its_series_leaves_the_others_of_its_folder(tmp_path):
    for number in ("1", "2"):
        for z, one in enumerate(series(series=f"1.2.3.{number}")):
            (tmp_path / f"{number}_{z:02}.dcm").write_bytes(encode(one))
    damaged = (tmp_path / "2_09.dcm").read_bytes()
    end = damaged.index(b"1.2.3.2") + 10
    (tmp_path / "2_09.dcm").write_bytes(damaged[:end] + b"\xff" * 40)
    layout = find_layout(open_tree(tmp_path), need_labels=False)
    assert [len(case.scans[0]) for case in layout.cases] == [10]
    assert layout.cases[0].image.startswith("1_")
    assert [error.code for error in layout.problems if error.case] == ["DCM_LOST"]


def test_files_of_other_kinds_beside_a_series_are_no_slices(tmp_path):
    planted = Series(tmp_path / "set")
    for name in ("README", "notes.txt", "LICENSE.md", "Thumbs.db", "report_1.pdf"):
        planted.write(f"bad/{name}", b"text")
    checked = check(planted.root, DataConfig(**Series.config))
    assert set(checked.facts) == {*GOOD, "bad"}
    assert not checked.errors


def directory(names):
    """A DICOMDIR that lists files of a folder BAD."""
    one = new_slice(0, STORED[0], PixelData=None, SeriesInstanceUID=None)
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = MediaStorageDirectoryStorage
    head = Dataset()
    head.DirectoryRecordType, head.SeriesInstanceUID = "SERIES", "1.2.3.64"
    one.DirectoryRecordSequence = [head]
    for name in names:
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["BAD", name]
        one.DirectoryRecordSequence.append(record)
    return encode(one)


def test_slice_that_a_dicomdir_lists_and_nobody_has_refuses_its_series(tmp_path):
    planted = Series(tmp_path / "set")
    for file in (planted.root / "bad").glob("0*.dcm"):
        file.rename(file.with_name(f"im{file.stem}"))
    planted.write("DICOMDIR", directory([f"IM{z:02}" for z in range(10)]))
    assert set(check(planted.root, DataConfig(**Series.config)).facts) == {*GOOD, "bad"}
    (planted.root / "bad/im09").unlink()
    (error,) = refused(planted.root, Series)
    assert "DCM_LISTED DICOMDIR lists it, it is missing" in error.found


def test_slices_of_an_object_mask_are_all_read_or_the_case_is_refused(tmp_path, write_picture):
    disc = np.zeros((24, 20), np.uint8)
    disc[3:9, 3:9] = 255
    for name in ("one", "two"):
        write_picture(tmp_path / f"set/{name}/images/{name}.png", disc // 2 + 3)
        for number in range(3):
            write_picture(tmp_path / f"set/{name}/masks/{number}.png", np.roll(disc, 4 * number, 1))
    (tmp_path / "set/two/masks/2.png").write_bytes(b"")
    checked = check(tmp_path / "set", DataConfig(accept=("SET_DUPLICATE",)))
    assert set(checked.facts) == {"one"}
    assert [(e.code, e.file) for e in checked.errors] == [("IO_EMPTY", "two/masks/2.png")]
