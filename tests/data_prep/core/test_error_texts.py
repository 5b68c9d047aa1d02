"""What libraries say of an error does nothing where it is shown, is short, and is not recorded."""

import re
import subprocess
import sys
import zlib

import pytest
from nasty_names import NAMES

from data_prep.core.errors import DataError, named_errors, words_of
from data_prep.core.findings import Finding, Findings
from data_prep.files import decompress
from data_prep.files.file_tree import open_tree
from data_prep.formats import numpy_files
from data_prep.formats.dicom import series
from data_prep.formats.images_2d import read_picture
from data_prep.layouts import find_layout
from data_prep.planning import splits
from sdunet.runtime import safetensors_io


@NAMES
def test_errors_are_one_line_wherever_they_are_shown(name):
    error = DataError("CODE", f"found {name}", "fix it", case=name, file=name)
    assert str(error).isprintable()
    assert str(Finding.of(error)).isprintable()
    with pytest.raises(DataError) as raised, named_errors(name):
        raise RuntimeError(f"a library read {name}")
    assert str(raised.value).isprintable()
    assert name not in raised.value.for_records().found


def test_what_was_found_is_told_in_bounds():
    assert len(str(DataError("CODE", "x" * 5_000_000, "fix it"))) < 3000
    assert DataError("CODE", "x" * 2000, "fix it").found == "x" * 2000
    assert len(words_of(ValueError("x" * 5_000_000))) < 300


@pytest.mark.parametrize(
    "act",
    [
        lambda: list(zip([1], [1, 2], strict=True)),
        lambda: None.SegmentSequence,
        lambda: [][0],
        lambda: int("x"),
        lambda: (lambda a, b: a)(*[1, 2, 3]),
    ],
)
def test_words_of_python_are_not_told(act):
    with pytest.raises(Exception, match=r".") as raised:
        act()
    kind = raised.type.__name__
    assert words_of(raised.value) == f"its parts do not fit each other ({kind})"
    assert words_of(ValueError("bad magic")) == "ValueError: 'bad magic'"


BAD = "Anna\x1b[2J"


@pytest.mark.parametrize(
    ("where", "read"),
    [
        ("data_prep.formats.dicom.series.pydicom.dcmread", lambda: series.parse(b"")),
        ("data_prep.formats.images_2d.Image.open", lambda: read_picture(b"\x89PNG")),
        ("data_prep.formats.tiff.decode.tifffile.TiffFile", lambda: read_picture(b"II*\0")),
        (
            "data_prep.files.decompress.gzip.GzipFile",
            lambda: decompress.gunzip(b"", len, Findings()),
        ),
        ("data_prep.files.decompress.bz2.BZ2File", lambda: decompress.bunzip2(b"", 1, Findings())),
        ("data_prep.files.decompress.zlib.decompressobj", lambda: decompress.inflate(b"", 1)),
        (
            "data_prep.formats.numpy_files.np.lib.format.read_magic",
            lambda: numpy_files.read_array(b"\x93NUMPY"),
        ),
        ("sdunet.runtime.safetensors_io.load", lambda: safetensors_io.read_tensors("a", b"")),
        ("data_prep.planning.splits.re.compile", lambda: splits.group_of("a", "(")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("kind", [ValueError, zlib.error, re.error])
def test_words_of_libraries_are_quoted_and_never_recorded(monkeypatch, where, read, kind):
    def fails(*_, **__):
        raise kind(BAD)

    monkeypatch.setattr(where, fails)
    with pytest.raises(DataError) as raised, named_errors("a"):
        read()
    assert str(raised.value).isprintable()
    assert "Anna" not in raised.value.for_records().found


def test_logs_of_libraries_are_inert_too():
    code = (
        "import logging, sys; log = logging.getLogger('early'); "
        "log.addHandler(logging.StreamHandler()); "
        "from data_prep.core.safe_text import make_streams_inert; make_streams_inert(); "
        "log.error('a\\x1b[2Jb'); logging.getLogger('late').error('c\\x07d')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "a\\x1b[2Jb\nc\\x07d\n"


_OF_PYTHON = re.compile(
    r"Error|Exception|NoneType|object (is|has)|unpack|zip\(\)|codec|literal for"
    r"|<class|'(str|list|dict|int|float|bool)'"
)


@pytest.mark.parametrize(
    ("read", "content", "told"),
    [
        ("layout", b'{"training": [1]}', "a record that is no object"),
        ("layout", b'{"training": [{"label": "a.png"}]}', "no key 'image'"),
        ("layout", b'{"training": [{"image": 3, "label": "a.png"}]}', "another kind"),
        ("layout", b'{"training": [{"image": [], "label": "a.png"}]}', "another kind"),
        ("layout", b'{"training": [', "no JSON in line 1"),
        ("layout", b'{"training": ["\\ud800"]}', "no Unicode"),
        ("layout", b'{"training": ["\xff"]}', "byte 15 is not UTF-8"),
        ("groups", b"case,group\na,b,c\n", "a row of 3 cells below 2 columns"),
        ("groups", b"", "it is empty"),
        ("groups", b"x,y\na,b\n", "no key 'case'"),
        ("folds", b"[1]", "another kind"),
        ("folds", b'[{"train": ["a"]}]', "no key 'val'"),
        ("folds", b'[{"train": ["a"], "val": {"b": 1}}]', "must be a list of case ids"),
    ],
)
def test_lists_that_cannot_be_used_are_told_of_without_words_of_python(
    read, content, told, tmp_path
):
    path = tmp_path / "dataset.json"
    path.write_bytes(content)
    readers = {
        "layout": lambda: find_layout(open_tree(tmp_path)),
        "groups": lambda: splits.read_groups(path),
        "folds": lambda: splits.read_folds(path, {"a": "a", "b": "b"}),
    }
    with pytest.raises(DataError, match=told) as raised:
        readers[read]()
    assert not _OF_PYTHON.search(str(raised.value))
