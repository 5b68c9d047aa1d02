"""Archives that are encrypted, or of a kind that is not opened, are named as what they are."""

import io
import zipfile

import numpy as np
import pytest
from bad_sets import Volumes

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.formats.numpy_files import read_array
from data_prep.layouts import find_layout

GOOD = {"good_0", "good_1", "good_2"}


def zipped(root):
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(root).as_posix())
    return path


def encrypted(data, *names):
    """Mark members of a zip as encrypted, in their heads and in the directory."""
    data = bytearray(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        starts = [member.header_offset for member in archive.infolist() if member.filename in names]
        at = archive.start_dir
        for member in archive.infolist():
            if member.filename in names:
                data[at + 8] |= 1
            at += 46 + len(member.filename.encode()) + len(member.extra) + len(member.comment)
    for start in starts:
        data[start + 6] |= 1
    return bytes(data)


def test_members_that_are_encrypted_or_packed_otherwise_are_named(tmp_path):
    Volumes(tmp_path / "set")
    path = zipped(tmp_path / "set")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    path.write_bytes(encrypted(whole, "images/bad.nii.gz"))
    checked = check(path, DataConfig())
    assert set(checked.facts) == GOOD
    (error,) = checked.errors
    assert (error.code, error.case, error.file) == ("IO_MEMBER", "bad", "images/bad.nii.gz")
    assert error.found == "an encrypted file in an archive"
    path.write_bytes(encrypted(whole, *names))
    with pytest.raises(DataError, match=r"IO_ARCHIVE: every file in it is encrypted .*decrypt"):
        open_tree(path)
    array = io.BytesIO()
    np.savez(array, a=np.zeros((4, 4)))
    with pytest.raises(DataError, match="IO_MEMBER: an encrypted file in an archive"):
        read_array(encrypted(array.getvalue(), "a.npy"))
    deflate64 = bytearray(array.getvalue())
    deflate64[8] = deflate64[deflate64.rindex(b"PK\1\2") + 10] = 9
    with pytest.raises(DataError, match="IO_MEMBER: a file packed by method 9 in an archive"):
        read_array(bytes(deflate64))


@pytest.mark.parametrize(
    ("name", "start", "told"),
    [
        ("set.7z", b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        ("set.rar", b"Rar!\x1a\x07\x01\x00", "a RAR archive"),
        ("set.tar.zst", b"\x28\xb5\x2f\xfd", "a file compressed by zstd"),
        ("set.tar.gpg", b"\x8c\x0d\x04", "an encrypted file .*; decrypt and unpack it"),
        ("set.asc", b"-----BEGIN PGP MESSAGE-----", "a file encrypted by PGP .*; decrypt"),
    ],
)
def test_archives_of_other_kinds_are_named_alone_and_in_a_folder(tmp_path, name, start, told):
    (tmp_path / name).write_bytes(start + bytes(100))
    with pytest.raises(DataError, match=f"IO_ARCHIVE: {told}"):
        open_tree(tmp_path / name)
    if name != "set.asc":
        with pytest.raises(DataError, match=f"LAY_UNKNOWN: .*not read: {name}, which to unpack"):
            find_layout(open_tree(tmp_path))
