"""Texts beside the voxels of a file take no more memory than there is."""

import struct
import zlib

import nibabel as nib
import numpy as np
import pytest

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import memory_within
from data_prep.files.png import array_to_png
from data_prep.formats.images_2d import read_picture
from data_prep.formats.metaimage import read_metaimage
from data_prep.formats.nifti import read_nifti

LITTLE, ENOUGH = 1e8, 1e9  # bytes of memory
LONG = b"a\0" + bytes(8_000_000)


def png_with(kind, content):
    data = array_to_png(np.arange(64, dtype=np.uint8).reshape(8, 8))
    chunk = struct.pack(">I", len(content)) + kind + content
    chunk += struct.pack(">I", zlib.crc32(kind + content))
    return data[:33] + chunk + data[33:]  # behind IHDR


@pytest.mark.parametrize("kind", [b"tEXt", b"prVt"])  # a text, and what a program adds
def test_chunks_of_a_png(kind):
    data = png_with(kind, LONG)
    with memory_within(LITTLE), pytest.raises(DataError, match="IO_MEMORY"):
        read_picture(data)
    with memory_within(ENOUGH):
        assert read_picture(data).array.sum() == 63 * 32
    with memory_within(LITTLE):
        assert read_picture(png_with(kind, LONG[:100_000])).array.sum() == 63 * 32


def test_extensions_of_a_nifti():
    image = nib.Nifti1Image(np.ones((2, 3, 4), np.uint8), np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", LONG))
    data = image.to_bytes()
    with memory_within(LITTLE), pytest.raises(DataError, match="IO_MEMORY"):
        read_nifti(data)
    with memory_within(ENOUGH):
        assert read_nifti(data).array.sum() == 24


@pytest.mark.parametrize("lines", [100, 300_000])
def test_lines_of_a_metaimage(lines):
    told = "".join(f"A{n} = 1\n" for n in range(lines))
    head = "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\n"
    head += "BinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
    head += "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 1\n"
    data = (head + told + "ElementDataFile = LOCAL\n").encode() + bytes([1] * 24)
    if lines == 100:
        assert read_metaimage(data).array.sum() == 24
        return
    with pytest.raises(DataError, match="HDR_DAMAGED: no ElementDataFile in the header"):
        read_metaimage(data)
