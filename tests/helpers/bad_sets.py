"""Small raw datasets with one bad case each, built by code."""

import gzip
import io
import struct
import zlib
from typing import ClassVar

import nibabel as nib
import numpy as np
import tifffile
from dicom_files import box, encode, series, structures
from PIL import Image

RANDOM = np.random.default_rng(0)
SIZE = (10, 11, 12)
AFFINE = np.diag([1.5, 2.0, 3.0, 1.0])
AFFINE[:3, 3] = 5, -7, 11


def noise(seed=9, size=SIZE):
    """Grey values of no structure, another one for every seed."""
    return np.random.default_rng(seed).integers(1, 900, size).astype(np.int16)


def blob(size=SIZE, number=1):
    """A block of one class in the middle."""
    label = np.zeros(size, np.uint8)
    label[tuple(slice(n // 3, 2 * n // 3) for n in size)] = number
    return label


def nifti(array, affine=AFFINE, codes=(1, 1), kind=nib.Nifti1Image, **header):
    """Bytes of a volume."""
    image = kind(array, affine)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    for name, value in header.items():
        image.header[name] = value
    return image.to_bytes()


def patched(start, *values, array=None):
    """Bytes of a volume with header fields overwritten from byte `start`."""
    data = bytearray(nifti(noise() if array is None else array))
    packed = b"".join(v.tobytes() for v in values)
    data[start : start + len(packed)] = packed
    return bytes(data)


def gz(data):
    """The same, gzipped."""
    return gzip.compress(data, mtime=0)


def flipped(data, at, bit=1):
    """The bytes with one bit turned."""
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def png(array, **options):
    """Bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", **options)
    return buffer.getvalue()


def jpeg(array, **options):
    """Bytes of a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def tiff(*pages, **options):
    """Bytes of a TIFF of these pages."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=options.pop("bigtiff", False)) as writer:
        for page in pages:
            writer.write(page, contiguous=False, metadata=None, **options)
    return buffer.getvalue()


def palette(indices, colours=(0, 0, 0, 255, 0, 0)):
    """Bytes of a PNG whose pixels are indices of colours."""
    picture = Image.fromarray(indices, "P")
    picture.putpalette(list(colours))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def huge_png(side):
    """A PNG that declares `side` squared pixels and holds none."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class Volumes:
    """NIfTI folder pairs: `good_0` to `good_2`, and `bad`, good until something is planted."""

    config: ClassVar[dict] = {}
    image_suffix = label_suffix = ".nii.gz"

    def __init__(self, root):
        self.root = root
        for i in range(3):
            self.write(f"images/good_{i}.nii.gz", gz(nifti(noise(i))))
            self.write(f"labels/good_{i}.nii.gz", gz(nifti(blob())))
        self.image(gz(nifti(noise())))
        self.label(gz(nifti(blob())))

    def write(self, name, data):
        """Write a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def image(self, data, suffix=None):
        """Plant the image of the bad case."""
        self._plant("images", data, suffix or self.image_suffix)

    def label(self, data, suffix=None):
        """Plant the label of the bad case."""
        self._plant("labels", data, suffix or self.label_suffix)

    def _plant(self, folder, data, suffix):
        for old in (self.root / folder).glob("bad.*"):
            old.unlink()
        self.write(f"{folder}/bad{suffix}", data)


def picture(seed=9):
    """Grey pixels of no structure."""
    return np.random.default_rng(seed).integers(1, 255, (24, 20)).astype(np.uint8)


def mask(number=1):
    """A disc in the middle."""
    rows, columns = np.indices((24, 20))
    return ((np.hypot(rows - 12, columns - 10) < 6) * number).astype(np.uint8)


class Pictures(Volumes):
    """PNG folder pairs of the same names."""

    image_suffix = label_suffix = ".png"

    def __init__(self, root):
        self.root = root
        for i in range(3):
            self.write(f"images/good_{i}.png", png(picture(i)))
            self.write(f"labels/good_{i}.png", png(mask()))
        self.image(png(picture()))
        self.label(png(mask()))


class Series(Volumes):
    """CT series with contours: folders `good_0` to `good_2`, and `bad`."""

    config: ClassVar[dict] = {"labels": {"background": 0, "tumour": 1}, "channels": ("CT",)}

    def __init__(self, root):
        self.root = root
        for name in ("good_0", "good_1", "good_2", "bad"):
            self.slices(series(series=_uid(name)), name)

    def slices(self, slices, name="bad"):
        """Plant the slices of a case, datasets or bytes, and a contour on them."""
        for old in (self.root / name).glob("*"):
            old.unlink()
        for i, one in enumerate(slices):
            if not isinstance(one, bytes):
                one.PatientID, one.StudyInstanceUID = f"PATIENT-{name}", f"{_uid(name)}.1"
                if name != "bad":  # pixels of its own, as copies are told
                    own = np.random.default_rng([i, *name.encode()])
                    pixels = own.integers(0, 3000, (one.Rows, one.Columns))
                    one.PixelData = pixels.astype(np.uint16).tobytes()
                one = encode(one)
            self.write(f"{name}/{i:02}.dcm", one)
        labels = structures([("tumour", box(2, 1, 7, 1, 5))], _uid(name))
        labels.PatientID, labels.StudyInstanceUID = f"PATIENT-{name}", f"{_uid(name)}.1"
        self.write(f"{name}/rt.dcm", encode(labels))


def _uid(name):
    """The SeriesInstanceUID of a case of `Series`."""
    return f"1.2.{len(name)}.{name[-1:].encode().hex()}"


def box_of_ids(size):
    """Ids of three blocks, uint32, of which two touch."""
    ids = np.zeros(size, np.uint32)
    middle = tuple(slice(3, n - 3) for n in size[1:])
    for number, first in enumerate((2, 8, 17), start=1):
        ids[(slice(first, first + 6), *middle)] = number
    return ids
