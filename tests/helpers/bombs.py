"""Small files that unpack to gigabytes."""

import bz2
import io
import lzma
import struct
import zipfile
import zlib
from functools import cache

import numpy as np
from bad_sets import gz, mask, nifti, noise, patched, png
from volume_files import MHA, NRRD

MB = 1 << 20
MEMORY = 0.5  # GB allowed
MOST = 1.0  # GB taken: what is imported takes 0.45


def zeros(packer, size=768 * MB, before=b""):
    """Return that many zeros, packed piece by piece."""
    piece = bytes(16 * MB)
    packed = [packer.compress(before)] if before else []
    packed += [packer.compress(piece) for _ in range(size // len(piece))]
    return b"".join(packed) + packer.flush()


def gzipped(before=b"", size=768 * MB):
    return zeros(zlib.compressobj(1, zlib.DEFLATED, 31), size, before)


@cache
def zlibbed():
    return zeros(zlib.compressobj(1))


def holes(path, start=b"", size=3000 * MB):
    """A file that declares its size and takes no room on the disk."""
    path.write_bytes(start)
    with path.open("r+b") as file:
        file.truncate(size)


SMALL, LARGE = noise(), [np.int16(n) for n in (1000, 1000, 400)]


def npy_head():
    """The start of an array of 800 MB."""
    buffer = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": (800, 1000, 1000)}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


NPY_HEAD = npy_head()


def npz(content, declared=None, name="a.npy"):
    """An `.npz` of one member, which perhaps declares another size than it has."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(name, "w") as member:
            for piece in content:
                member.write(piece)
        if declared:
            archive.infolist()[0].file_size = declared
    return buffer.getvalue()


def large(*start):
    return (*start, *[bytes(16 * MB)] * 48)


VOLUMES = {
    "declared.nii.gz": lambda path: path.write_bytes(gzipped(patched(42, *LARGE)[:352])),
    "surplus.nii.gz": lambda path: path.write_bytes(gzipped(nifti(SMALL))),
    "offset.nii.gz": lambda path: path.write_bytes(gzipped(patched(108, np.float32(7e8)))),
    "holes.nii": lambda path: holes(path, nifti(SMALL)),
    "holes.nii.gz": lambda path: holes(path, gz(nifti(SMALL))),
    "declared.nrrd": lambda path: path.write_bytes(
        NRRD.replace(b"raw", b"gzip").replace(b"4 5 6", b"1000 1000 400") + gzipped()
    ),
    "surplus.nrrd": lambda path: path.write_bytes(NRRD.replace(b"raw", b"gzip") + gzipped()),
    "bzip2.nrrd": lambda path: path.write_bytes(
        NRRD.replace(b"raw", b"bzip2") + zeros(bz2.BZ2Compressor())
    ),
    "declared.mha": lambda path: path.write_bytes(
        MHA.replace(b"Data = False", b"Data = True").replace(b"4 5 6", b"1000 1000 400") + zlibbed()
    ),
    "surplus.mha": lambda path: path.write_bytes(
        MHA.replace(b"Data = False", b"Data = True") + zlibbed()
    ),
    "declared.npz": lambda path: path.write_bytes(npz(large(NPY_HEAD))),
    "lying.npz": lambda path: path.write_bytes(npz(large(NPY_HEAD), 4000)),
    "holes.npy": lambda path: holes(path, NPY_HEAD),
}


def png_of(side, packed, *extra):
    """A PNG of `side` squared grey pixels, those packed, and other chunks."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = (b"IHDR", head), *extra, (b"IDAT", packed), (b"IEND", b"")
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff_of(packed, compression, side=24, tile=0):
    """A TIFF of one strip or tile of grey bytes, packed already."""
    fields = {256: side, 257: side, 258: 8, 259: compression, 262: 1, 277: 1}
    fields |= {322: tile, 323: tile, 324: 8, 325: len(packed)} if tile else {}
    fields |= {} if tile else {273: 8, 278: side, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, n) for tag, n in sorted(fields.items()))
    entries = struct.pack("<H", len(fields)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + entries


ROWS = zlib.compress(bytes(24 * 25))
PICTURES = {
    "declared.png": lambda path: path.write_bytes(png_of(12_000, zlibbed())),
    "surplus.png": lambda path: path.write_bytes(png_of(24, zlibbed())),
    "text.png": lambda path: path.write_bytes(png_of(24, ROWS, (b"zTXt", b"a\0\0" + zlibbed()))),
    "profile.png": lambda path: path.write_bytes(png_of(24, ROWS, (b"iCCP", b"a\0\0" + zlibbed()))),
    "deflate.tif": lambda path: path.write_bytes(tiff_of(zlibbed(), 8)),
    "lzma.tif": lambda path: path.write_bytes(tiff_of(zeros(lzma.LZMACompressor()), 34925)),
    "packbits.tif": lambda path: path.write_bytes(tiff_of(b"\x81\0" * 6_000_000, 32773)),
    "tile.tif": lambda path: path.write_bytes(tiff_of(zlibbed(), 8, tile=32_000)),
    "declared.tif": lambda path: path.write_bytes(tiff_of(zlibbed(), 8, 27_000)),
    "holes.png": lambda path: holes(path, png(mask())),
}
