"""A zip whose directory lacks files is told of like a folder that lacks them."""

import io
import struct
import zipfile

import numpy as np
import pytest
from bad_sets import png

from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout

PICTURE = png(np.arange(48, dtype=np.uint8).reshape(6, 8))
NAMES = [f"{folder}/{n}.png" for n in "abc" for folder in ("images", "masks")]


HALVES = [(None, None), ("masks/b.png", "PAIR_NO_LABEL"), ("images/b.png", "PAIR_NO_IMAGE")]


class Pipe(io.BytesIO):
    """What cannot be gone back in, so that a descriptor follows each file."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise OSError

    def tell(self):
        raise OSError


def zipped(names, stream=None, kind=zipfile.ZIP_DEFLATED):
    stream = stream or io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for name in names:
            archive.writestr(name, PICTURE)
    return stream.getvalue()


def unlisted(data, lost):
    """Take files out of the directory, and count only those that are left."""
    at = data.rindex(b"PK\5\6")
    _, size, start = struct.unpack_from("<HII", data, at + 10)
    entries = [b"PK\1\2" + e for e in data[start : start + size].split(b"PK\1\2")[1:]]
    kept = [e for e in entries if not any(name.encode() in e for name in lost)]
    directory = b"".join(kept)
    numbers = struct.pack("<HHII", len(kept), len(kept), len(directory), start)
    return data[:start] + directory + data[at : at + 8] + numbers + data[at + 20 :]


@pytest.mark.parametrize("stream", [io.BytesIO, Pipe])
@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize(
    "lost", [["masks/b.png"], ["images/b.png"], ["images/b.png", "masks/b.png"], ["masks/c.png"]]
)
def test_files_that_the_directory_does_not_list_are_refused(tmp_path, lost, kind, stream):
    path = tmp_path / "set.zip"
    path.write_bytes(unlisted(zipped(NAMES, stream(), kind), lost))
    with pytest.raises(DataError, match=r"IO_ARCHIVE: a file after .* does not list"):
        open_tree(path)


@pytest.mark.parametrize("stream", [io.BytesIO, Pipe])
@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_whole_zip_is_read_and_half_a_pair_is_told_like_in_a_folder(tmp_path, kind, stream):
    path = tmp_path / "set.zip"
    for lost, code in HALVES:
        names = [name for name in NAMES if name != lost]
        path.write_bytes(zipped(names, stream(), kind))
        layout = find_layout(open_tree(path))
        assert [e.code for e in layout.problems] == [code] * bool(code)
        folder = tmp_path / f"{code}"
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(PICTURE)
        beside = find_layout(open_tree(folder)).problems
        assert list(map(str, beside)) == list(map(str, layout.problems))
