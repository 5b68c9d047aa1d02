"""Small files that unpack to gigabytes: refused within the memory allowed, as no other case is."""

import io
import json
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
import tifffile
from bad_sets import Pictures, Series, Volumes, blob, gz, nifti, noise
from bombs import (
    MB,
    MEMORY,
    MOST,
    NPY_HEAD,
    PICTURES,
    SMALL,
    VOLUMES,
    gzipped,
    holes,
    large,
    npz,
    tiff_of,
    zeros,
)
from dicom_files import STORED, box, encode, new_slice, structures
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import check_size, memory_within
from data_prep.files.file_tree import open_tree
from data_prep.formats.dicom.series import parse, read_series
from data_prep.formats.images_2d import read_picture
from sdunet.vae.data.sources import read_source

# Checks the set, and prints the memory taken at most and the errors.
CODE = """
import json, re, sys
from pathlib import Path
from data_prep.checks.run import check
from data_prep.core.config import DataConfig
checked = check(sys.argv[1], DataConfig(**eval(sys.argv[2])), max_ram=float(sys.argv[3]))
# Not getrusage, which counts the memory of the process that started this one, too.
peak = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1e6
print(json.dumps([peak, sorted(checked.facts), [(e.case, e.code) for e in checked.errors]]))
"""


def deflated(slice_, size=768 * MB):
    """A slice whose data set is deflated, with zeros after it."""
    plain = encode(slice_)
    start = 144 + int.from_bytes(plain[140:144], "little")
    slice_.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = encode(slice_)
    head = head[: 144 + int.from_bytes(head[140:144], "little")]
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return head + zeros(packer, size, plain[start:])


def encapsulated(slice_, frame, syntax):
    slice_.file_meta.TransferSyntaxUID = syntax
    slice_.PixelData = encapsulate([frame])
    slice_["PixelData"].VR = "OB"
    slice_["PixelData"].is_undefined_length = True
    return encode(slice_)


def jpeg_2000(rows, columns):
    """The start of a codestream of that size."""
    size = struct.pack(">HH8IH3B", 47, 0, columns, rows, 0, 0, columns, rows, 0, 0, 1, 7, 1, 1)
    return b"\xff\x4f\xff\x51" + size[:2] + size[2:] + b"\xff\xd9"


def jpeg_of(side):
    buffer = io.BytesIO()
    Image.new("L", (side, side)).save(buffer, "JPEG")
    return buffer.getvalue()


def last(number):
    return new_slice(9, STORED[9], series=f"1.2.99.{number}")


def runs():
    head = struct.pack("<16I", 2, 64, 64 + 6_000_000, *[0] * 13)
    return head + b"\x81\0" * 6_000_000


SLICES = {
    "deflated": lambda path: path.write_bytes(deflated(last(0))),
    "runs": lambda path: path.write_bytes(encapsulated(last(1), runs(), RLELossless)),
    "jpeg": lambda path: path.write_bytes(encapsulated(last(2), jpeg_of(9000), JPEGBaseline8Bit)),
    "jpeg2000": lambda path: path.write_bytes(
        encapsulated(last(3), jpeg_2000(60_000, 60_000), JPEG2000Lossless)
    ),
    "holes": lambda path: holes(path, encode(last(4))),
}


def peak_and_findings(path, config=None):
    """Check the set by itself, and return the memory taken (GB), cases used and errors."""
    command = [sys.executable, "-c", CODE, path, repr(config or {}), MEMORY]
    done = subprocess.run([str(part) for part in command], capture_output=True, check=True)
    peak, used, errors = json.loads(done.stdout)
    return peak, set(used), dict(errors)


def assert_all_refused(path, bombs, config=None):
    peak, used, errors = peak_and_findings(path, config)
    assert peak < MOST
    assert used == {"good_0", "good_1", "good_2", "bad"}
    assert bombs <= errors.keys(), errors
    return errors


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_many_small_contours_are_counted_before_they_are_made(syntax):
    one = structures([("tumour", box(2, 1, 7, 1, 5)[:3])])
    one.ROIContourSequence[0].ContourSequence = [*one.ROIContourSequence[0].ContourSequence] * 1000
    one.file_meta.TransferSyntaxUID = syntax
    data = encode(one)
    with memory_within(4e6), pytest.raises(DataError, match="IO_MEMORY: it needs about"):
        parse(data)
    with memory_within(5e6):
        parse(data)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("change", ["numbers", "items"])
def test_values_of_dicom_are_counted_before_they_are_made(change, packed):
    one = structures([("tumour", box(2, 1, 7, 1, 5))])
    if change == "numbers":
        one.ROIContourSequence[0].ContourSequence[0].ContourData = ["1"] * 30_000
    else:
        one.ROIContourSequence = [Dataset() for _ in range(3000)]
    data = deflated(one, size=0) if packed else encode(one)
    with memory_within(1e6), pytest.raises(DataError, match="IO_MEMORY"):
        parse(data)
    with memory_within(1e8):
        parse(data)


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "bombs"), [(Volumes, VOLUMES), (Pictures, PICTURES)], ids=["volumes", "pictures"]
)
def test_files_that_unpack_to_gigabytes_are_refused(tmp_path, kind, bombs):
    planted = kind(tmp_path / "set")
    for name, plant in bombs.items():
        id_ = name.replace(".", "_")
        suffix = name[name.index(".") :]
        plant(planted.root / f"images/{id_}{suffix}")
        planted.write(
            f"labels/{id_}{kind.label_suffix}", next(planted.root.glob("labels/bad.*")).read_bytes()
        )
    errors = assert_all_refused(planted.root, {name.replace(".", "_") for name in bombs})
    assert {errors[name] for name in errors if "holes" in name} == {"IO_MEMORY"}


@pytest.mark.long
def test_slices_that_unpack_to_gigabytes_are_refused(tmp_path):
    planted = Series(tmp_path / "set")
    for number, (name, plant) in enumerate(SLICES.items()):
        for z in range(9):
            one = new_slice(z, STORED[z], series=f"1.2.99.{number}")
            planted.write(f"{name}/{z:02}.dcm", encode(one))
        plant(planted.root / f"{name}/09.dcm")
        planted.write(
            f"{name}/rt.dcm",
            (planted.root / "bad/rt.dcm")
            .read_bytes()
            .replace(b"1.2.3.64", f"1.2.99.{number}".encode().ljust(8, b"\0")),
        )
    assert_all_refused(planted.root, set(SLICES), Series.config)


METHODS = {"deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


@pytest.mark.long
def test_members_of_archives_that_unpack_to_gigabytes_are_refused(tmp_path):
    planted = Volumes(tmp_path / "set")
    label = (planted.root / "labels/bad.nii.gz").read_bytes()
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in planted.root.rglob("*.nii.gz"):
            archive.write(file, file.relative_to(planted.root))
        for name, method in METHODS.items():
            member = zipfile.ZipInfo(f"images/{name}.nii")
            member.compress_type = method
            with archive.open(member, "w") as stream:
                for piece in large(nifti(SMALL)):
                    stream.write(piece)
            archive.writestr(f"labels/{name}.nii.gz", label)
            if name != "deflate":  # the others lie
                archive.getinfo(member.filename).file_size = len(nifti(SMALL))
        with archive.open("images/lying.nii", "w") as stream:
            stream.write(nifti(SMALL))
        archive.writestr("labels/lying.nii.gz", label)
        archive.getinfo("images/lying.nii").file_size = 4000
        archive.writestr("images/unknown.nii", nifti(SMALL))
        archive.writestr("labels/unknown.nii.gz", label)
        archive.getinfo("images/unknown.nii").compress_type = 9  # Deflate64
    errors = assert_all_refused(path, {*METHODS, "lying", "unknown"})
    assert errors.pop("deflate") == "IO_MEMORY"
    assert errors.pop("unknown") == "IO_MEMBER"
    assert set(errors.values()) == {"IO_CRC"}


def test_headers_of_a_tar_are_bounded_too(tmp_path):
    path = tmp_path / "set.tar"
    member = tarfile.TarInfo("a")
    member.type, member.size = tarfile.XHDTYPE, 3000 * MB
    holes(path, member.tobuf())
    with pytest.raises(DataError, match="IO_ARCHIVE: a header of"):
        check(path, DataConfig())


def test_list_that_would_fill_memory_once_parsed_is_refused(tmp_path):
    Volumes(tmp_path / "set")
    (tmp_path / "set/dataset.json").write_text("[" + "[]," * 10_000_000 + "[]]")
    with pytest.raises(DataError, match=r"IO_MEMORY.*\(dataset.json\)"):
        check(tmp_path / "set", DataConfig(), max_ram=MEMORY)


def test_good_files_are_still_read_with_little_memory(tmp_path):
    planted = Volumes(tmp_path / "set")
    array = np.random.default_rng(0).integers(0, 900, (60, 60, 60)).astype(np.int16)
    planted.image(gz(nifti(array)))
    planted.label(gz(nifti(blob(array.shape))))
    assert set(check(planted.root, DataConfig(), max_ram=0.01).facts) >= {"bad"}
    checked = check(planted.root, DataConfig(), max_ram=0.002)
    assert [(error.case, error.code) for error in checked.errors] == [("bad", "IO_MEMORY")]


@pytest.mark.parametrize("syntax", [RLELossless, DeflatedExplicitVRLittleEndian])
def test_compressed_slices_are_read_as_plain_ones(syntax):
    one = new_slice(0, STORED[0])
    if syntax == RLELossless:
        one.compress(syntax)
        data = encode(one)
    else:
        plain = encode(one)
        start = 144 + int.from_bytes(plain[140:144], "little")
        one.file_meta.TransferSyntaxUID = syntax
        head = encode(one)
        head = head[: 144 + int.from_bytes(head[140:144], "little")]
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = head + packer.compress(plain[start:]) + packer.flush()
    scan = read_series([("a", data)], Findings())
    np.testing.assert_array_equal(scan.array[0, ..., 0], STORED[0].T.astype(np.int32) - 1024)


def test_run_lengths_of_a_strip_are_read():
    rows = bytes([256 - 23, 7]) * 12 + bytes([23, *range(24)]) * 12
    want = np.vstack([np.full((12, 24), 7), np.tile(np.arange(24), (12, 1))])
    np.testing.assert_array_equal(read_picture(tiff_of(rows, 32773)).array[0], want)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, *METHODS.values()])
def test_members_of_every_method_are_read_as_they_were_and_damage_is_told(tmp_path, method):
    content = nifti(noise())
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.nii", content)
        place = archive.getinfo("a.nii").header_offset + 60
    tree = open_tree(tmp_path / "a.zip")
    assert tree.read("a.nii") == content
    assert tree.read("a.nii", 300) == content[:300]
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[place + 400] ^= 4
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="IO_CRC: damaged archive member"):
        open_tree(tmp_path / "a.zip").read("a.nii")


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 7}, {"tile": (16, 16)}])
def test_compressed_strips_and_tiles_are_read_whole(compression, options):
    picture = np.random.default_rng(0).integers(0, 255, (50, 40), np.uint8)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, picture, compression=compression, metadata=None, **options)
    np.testing.assert_array_equal(read_picture(buffer.getvalue()).array[0], picture)


def test_sources_of_density_estimation_are_bounded(tmp_path):
    head = struct.pack(">4I", 0x803, 800, 1000, 1000)
    for name, data in (("train", head), ("t10k", struct.pack(">4I", 0x803, 2, 3, 3))):
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzipped(data, 64 * MB))
    with pytest.raises(DataError, match=r"IO_MEMORY.*train"):
        read_source(tmp_path, max_ram=MEMORY)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(
        gzipped(struct.pack(">4I", 0x803, 2, 3, 3))
    )
    with pytest.raises(DataError, match=r"FILE_DAMAGED: more bytes than declared"):
        read_source(tmp_path, max_ram=MEMORY)
    (tmp_path / "a.npz").write_bytes(npz(large(NPY_HEAD), name="train.npy"))
    with pytest.raises(DataError, match="IO_MEMORY"):
        read_source(tmp_path / "a.npz", max_ram=MEMORY)


@pytest.mark.parametrize(
    ("allowed", "limit"), [(None, 8 << 30), (5e8, 50_000_000), (1e12, 8 << 30)]
)
def test_what_is_too_large_for_any_limit_is_told_the_lower_of_them(allowed, limit):
    with memory_within(allowed), pytest.raises(DataError, match=f"IO_TOO_LARGE: .*limit {limit};"):
        check_size(10**11, 1)


def test_a_size_below_none_is_damage():
    with pytest.raises(DataError, match="IO_DAMAGED: a header of -128 bytes"):
        check_size(-128, 1)
