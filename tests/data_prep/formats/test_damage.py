"""Whatever is done to a file, or raised by a decoder for it, is the named error of its case."""

import struct
import zlib
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest

from data_prep.core.errors import DataError
from data_prep.core.scan import Scan
from data_prep.files.file_tree import open_tree
from data_prep.formats import registry
from data_prep.formats.registry import read_label, read_scan
from data_prep.layouts import Case
from data_prep.reading import image
from data_prep.reading.image import read_case_image


@pytest.fixture(scope="module")
def fuzz(script):
    """The script that damages files."""
    return script("fuzz_readers")


FORMATS_READ = registry.FORMATS
FORMATS = ("nifti.gz", "nifti", "png", "tiff", "jpeg", "dicom", "nrrd", "nrrd.head", "metaimage")
FORMATS = (*FORMATS, "nifti.vector", "npz", "npy", "bmp", "nrrd.channels")
FORMATS = (*FORMATS, "metaimage.head", "tar", "zip", "zip.bzip2", "zip.lzma")
PLACES = ("nrrd.2d", "nrrd.units", "nrrd.segments", "metaimage.2d", "metaimage.units")
PLACES = (*PLACES, "nrrd.four", "metaimage.four", "dicom.palette", "dicom.modality")
PLACES = (*PLACES, "tiff.imagej", "tiff.ome", "tiff.json", "rtstruct")


@pytest.mark.parametrize(
    ("name", "n"), [*((name, 500) for name in FORMATS), *((name, 100) for name in PLACES)]
)
@pytest.mark.filterwarnings("ignore")  # of Pillow, about sizes that are refused then
def test_no_mutant_of_any_format_is_wrong_unsaid(fuzz, name, n):
    assert {*FORMATS, *PLACES} == fuzz.FORMATS.keys()
    counts, bad = fuzz.fuzz(name, n, seed=1)
    assert not bad
    assert counts["refused"] + counts["as before"] == n
    assert counts["refused"] > 0.3 * n


@pytest.mark.parametrize(
    "raised",
    [
        OverflowError,
        IndexError,
        RecursionError,
        UnicodeError,
        MemoryError,
        struct.error,
        zlib.error,
        KeyError,
        AssertionError,
    ],
)
@pytest.mark.parametrize("format_", FORMATS_READ, ids=lambda format_: format_.name)
def test_whatever_a_reader_raises_is_the_error_of_its_case(tmp_path, monkeypatch, format_, raised):
    def broken(*_, **__):
        raise raised("broken")

    (tmp_path / "a").write_bytes(b"1")
    changed = replace(format_, is_it=lambda _: True, read=broken, read_label=broken)
    monkeypatch.setattr(registry, "FORMATS", (changed,))
    for read in (read_scan, read_label):
        with pytest.raises(DataError, match=r"(IO_DAMAGED|IO_MEMORY): .*\(a\)") as caught:
            read(open_tree(tmp_path), "a")
        assert isinstance(caught.value.__cause__, raised)


def test_whatever_is_raised_for_a_slice_is_the_error_of_its_case(tmp_path, monkeypatch):
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM")
    for raised in (OverflowError, RecursionError, MemoryError, struct.error):
        monkeypatch.setattr(image, "read_series", Mock(side_effect=raised("broken")))
        with pytest.raises(DataError, match=r"(IO_DAMAGED|IO_MEMORY): .*\(a.dcm\)"):
            read_case_image(open_tree(tmp_path), Case("a", (("a.dcm",),)))


def test_fuzzing_would_tell_of_a_reader_that_believes_all(fuzz, monkeypatch):
    def trusting(data):
        return Scan(np.frombuffer(data[:200], np.uint8)[None])

    monkeypatch.setitem(fuzz.FORMATS, "png", (fuzz.FORMATS["png"][0], trusting))
    _, bad = fuzz.fuzz("png", 200, seed=1)
    assert {found for found, _, _ in bad} == {"WRONG"}
