"""Rows of the catalogue: headers other than NIfTI's, and what folders tell of labels and parts."""

import io
import json

import numpy as np
import tifffile
from bad_sets import AFFINE, Pictures, Series, Volumes, blob, gz, mask, nifti, noise, picture, png
from dicom_files import STORED, encode, new_slice, series, structures

_UID = "1.2.3.64"
_STACK = noise().transpose(2, 1, 0).astype(np.uint16)  # z, y, x


def nrrd(array, scale=1, fields=(), axes=3):
    """Bytes of a volume, or of its first slice, on the grid of the others."""
    array = array if axes == 3 else array[..., 0]
    sides = np.diag(AFFINE)[:axes] * scale
    vectors = " ".join(f"({','.join(map(str, row))})" for row in np.diag(sides))
    space = "space: right-anterior-superior" if axes == 3 else "space dimension: 2"
    lines = [
        f"NRRD0004\ntype: {'uchar' if array.dtype == np.uint8 else 'short'}\ndimension: {axes}",
        f"sizes: {' '.join(map(str, array.shape))}\n{space}\nspace directions: {vectors}",
        f"space origin: ({','.join(str(n * scale) for n in AFFINE[:axes, 3])})\nendian: little",
        *("encoding: raw", *fields),
    ]
    return "\n".join(lines).encode() + b"\n\n" + array.tobytes(order="F")


def mha(array, scale=1, fields=(), axes=3):
    """Bytes of a volume, or of its first slice, on the grid of the others."""
    array = array if axes == 3 else array[..., 0]
    turn, place = np.diag([-1, -1, 1])[:axes, :axes], AFFINE[:axes, 3] * (-1, -1, 1)[:axes] * scale
    lines = [
        f"ObjectType = Image\nNDims = {axes}\nBinaryData = True",
        f"TransformMatrix = {' '.join(map(str, turn.ravel()))}",
        f"Offset = {' '.join(map(str, place))}",
        f"ElementSpacing = {' '.join(map(str, np.diag(AFFINE)[:axes] * scale))}",
        *fields,
        f"DimSize = {' '.join(map(str, array.shape))}",
        f"ElementType = MET_{'UCHAR' if array.dtype == np.uint8 else 'SHORT'}",
        "ElementDataFile = LOCAL\n",
    ]
    return "\n".join(lines).encode() + array.tobytes(order="F")


def segments(name="foreground", value=1, extent="3 5 3 6 4 7"):
    """A `.seg.nrrd` of one segment."""
    keys = {"ID": "Segment_1", "Name": name, "LabelValue": value, "Layer": 0, "Extent": extent}
    return nrrd(blob(), fields=[f"Segment0_{key}:={told}" for key, told in keys.items()])


def stack(array=_STACK, **options):
    """Bytes of a TIFF of pages."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack", **options)
    return buffer.getvalue()


def imagej(array=_STACK, axes="ZYX"):
    """A TIFF as ImageJ tells of it."""
    meta = {"axes": axes, "spacing": 3, "unit": "mm"}
    return stack(array, imagej=True, resolution=(2 / 3, 1 / 2), metadata=meta)


def in_tiff(s, write=imagej, told=None, **options):
    """Plant image and label as stacks, and a JSON beside both."""
    s.image(write(_STACK, **options), ".tif")
    s.label(write(blob().transpose(2, 1, 0), **options), ".tif")
    if told:
        for folder in ("images", "labels"):
            s.write(f"{folder}/bad.json", json.dumps({"spacing": told}).encode())


def drawn(s, half):
    """Plant a contour that leads along edges of voxels, or through their centres."""
    s.slices(series(series=_UID))
    columns, rows = np.array([1, 6, 6, 1]) - half, np.array([1, 1, 4, 4]) - half
    points = np.column_stack([5 + 0.9 * columns, -7 + 0.7 * rows, np.full(4, 15.0)])
    labels = structures([("tumour", points)], _UID)
    labels.PatientID = "PATIENT-bad"
    s.write("bad/rt.dcm", encode(labels))


def coloured():
    """A series with a slice of indices of colours."""
    slices = series(series=_UID)
    palette = {"PhotometricInterpretation": "PALETTE COLOR"}
    slices[4] = new_slice(4, STORED[4], series=_UID, **palette)
    return slices


def listed(s, part):
    """Plant a list of the cases that says which part each belongs to."""
    names = ("good_0", "good_1", "good_2")
    rows = [f"images/{n}.nii.gz,labels/{n}.nii.gz,{n},train" for n in names]
    rows.append(f"images/bad.nii.gz,labels/bad.nii.gz,bad,{part}")
    s.write("cases.csv", "\n".join(["image,label,id,split", *rows, ""]).encode())


def moved(s, folder):
    """Plant the bad case in folders of another part."""
    for kind in ("images", "labels"):
        (s.root / kind / "bad.nii.gz").unlink()
    s.write(f"images_{folder}/bad.nii.gz", gz(nifti(noise())))
    s.write(f"labels_{folder}/bad.nii.gz", gz(nifti(blob())))


def left_over(s):
    """Plant another folder whose files look like labels."""
    for name in ("good_0", "good_1", "good_2", "bad"):
        s.write(f"old/{name}_mask.png", png(mask() * (picture() > 20)))


ROWS = [
    ("H01 nrrd", Volumes, lambda s: s.image(nrrd(noise()), ".nrrd"), "ok", None),
    ("H01 mha", Volumes, lambda s: s.image(mha(noise()), ".mha"), "ok", None),
    ("H02 nrrd", Volumes, lambda s: s.image(nrrd(noise(), 1000, ['space units: "um" "um" "um"']),
     ".nrrd"), "note", "HDR_UNITS"),
    ("H02 mha", Volumes, lambda s: s.image(mha(noise(), 0.1, ["DistanceUnits = cm"]), ".mha"),
     "note", "HDR_UNITS"),
    ("H03 nrrd", Volumes, lambda s: s.image(nrrd(noise(), 1, ['space units: "ell" "ell" "ell"']),
     ".nrrd"), "error", "HDR_UNITS"),
    ("H03 mha", Volumes, lambda s: s.image(mha(noise(), 1, ["DistanceUnits = ell"]), ".mha"),
     "error", "HDR_UNITS"),
    ("H04 nrrd", Volumes, lambda s: s.image(nrrd(noise(), axes=2), ".nrrd"), "error", "GEO_"),
    ("H04 mha", Volumes, lambda s: s.label(mha(blob(), axes=2), ".mha"), "error", "GEO_"),
    ("H05 names", Volumes, lambda s: s.label(segments("spleen"), ".seg.nrrd"), "note",
     "LBL_SEGMENT"),
    ("H05 values", Volumes, lambda s: s.label(segments(value=7), ".seg.nrrd"), "error",
     "HDR_CONFLICT"),
    ("H05 extent", Volumes, lambda s: s.label(segments(extent="3 4 3 6 4 7"), ".seg.nrrd"),
     "warning", "LBL_EXTENT"),
    ("H05 good", Volumes, lambda s: s.label(segments(), ".seg.nrrd"), "ok", None),
    ("H06", Volumes, in_tiff, "ok", None),
    ("H06 json", Volumes, lambda s: in_tiff(s, stack, [3, 2, 1.5]), "ok", None),
    ("H06 two", Volumes, lambda s: in_tiff(s, told=[2, 2, 1.5]), "error", "HDR_CONFLICT"),
    ("H06 none", Volumes, lambda s: in_tiff(s, stack), "error", "GEO_NONE"),
    ("H06 times", Volumes, lambda s: in_tiff(s, axes="TYX"), "error", "IMG_STACK"),
    ("H07", Series, lambda s: s.slices(coloured()), "error", "DCM_COLOR"),
    ("H08 edges", Series, lambda s: drawn(s, 0.5), "ok", None),
    ("H08 centres", Series, lambda s: drawn(s, 0), "ok", None),
    ("H09 word", Volumes, lambda s: listed(s, "sometimes"), "error", "LAY_FOLD"),
    ("H09 test", Volumes, lambda s: listed(s, "test"), "ok", None),
    ("H09 folder", Volumes, lambda s: moved(s, "test"), "ok", None),
    ("H10", Pictures, left_over, "warning", "LAY_UNUSED"),
]  # fmt: skip
