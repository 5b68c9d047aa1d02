"""NRRD and MetaImage files written out by hand."""

import numpy as np

VOLUME = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)  # (X, Y, Z)
NRRD = b"""NRRD0004
# a comment
type: short
dimension: 3
sizes: 4 5 6
space: right-anterior-superior
space directions: (1,0,0) (0,2,0) (0,0,3)
space origin: (0,0,0)
endian: little
encoding: raw
key:=value

"""
MHA = b"""ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
ElementSpacing = 1 2 3
DimSize = 4 5 6
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
VOXELS = VOLUME.tobytes(order="F")


def replaced(header, old, new):
    assert old in header
    return header.replace(old, new) + VOXELS
