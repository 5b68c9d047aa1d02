"""DICOM labels: RTSTRUCT contours and SEG segments, drawn on the grid of their image.

Source: DICOM PS3.3, C.8.8.6 (ROI contours), C.8.20.2 (segmentation).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from skimage.draw import polygon2mask

from data_prep.dicom import parse
from data_prep.dicom_pixels import pixels_of
from data_prep.errors import DataError
from data_prep.findings import Findings
from data_prep.geometry import LPS_TO_RAS
from data_prep.scan import Scan

_OFF_PLANE = 0.1  # of the distance between slices: how far a contour may lie beside its slice
_AGAIN = "export the structures again, on the series they were drawn on"


@dataclass(frozen=True)
class Structure:
    """One drawn structure: its name, and whether each voxel of the image is in it."""

    name: str
    mask: np.ndarray  # (X, Y, Z)


def read_contours(data: bytes, image: Scan, classes: Mapping[str, int], findings: Findings) -> Scan:
    """Draw the contours of an RTSTRUCT file as class numbers, `(1, X, Y, Z)`.

    A voxel is in a structure if its centre lies in an odd number of its contours, so that a
    contour in another is a hole.

    Args:
        data: the file.
        image: the scan they were drawn on.
        classes: names of structures, by lower case, to class numbers.
        findings: names of structures that are no class are noted.

    Raises:
        DataError: DCM_CONTOUR for contours that are not in the image's slices, LBL_OVERLAP.
    """
    one = parse(data)
    names = {int(r.ROINumber): str(r.ROIName) for r in one.get("StructureSetROISequence") or []}
    structures = []
    for roi in one.get("ROIContourSequence") or []:
        name = names.get(int(roi.ReferencedROINumber), "")
        if name.strip().lower() not in classes:
            continue
        mask = np.zeros(image.size, bool)
        contours = roi.get("ContourSequence") or []
        for contour in contours:
            _draw(contour, image, mask, name)
        if contours and not mask.any():
            found = f"{name}: {len(contours)} contours around no centre of a voxel"
            findings.warn("LBL_LOST", found, "look whether the structure is meant")
        structures.append(Structure(name, mask))
    return _merged(structures, sorted(names.values()), image, classes, findings)


def read_segments(data: bytes, image: Scan, classes: Mapping[str, int], findings: Findings) -> Scan:
    """Lay the segments of a DICOM-SEG file on the image's grid, `(1, X, Y, Z)`.

    Raises:
        DataError: DCM_SEGMENT for fractional segments or frames not on the grid, LBL_OVERLAP.
    """
    one = parse(data)
    if one.get("SegmentationType") != "BINARY":
        raise DataError("DCM_SEGMENT", f"type {one.get('SegmentationType')!r}", "save it as BINARY")
    names = {
        int(s.SegmentNumber): str(s.get("SegmentLabel", "")) for s in one.get("SegmentSequence", [])
    }
    frames = pixels_of(one)[..., 0]
    masks = {number: np.zeros(image.size, bool) for number in names}
    shared = one.SharedFunctionalGroupsSequence[0]
    for frame, group in zip(frames, one.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        _lay(frame != 0, group, shared, image, masks[number])
    structures = [Structure(name, masks[n]) for n, name in names.items() if _known(name, classes)]
    return _merged(structures, sorted(names.values()), image, classes, findings)


def _known(name: str, classes: Mapping[str, int]) -> bool:
    return name.strip().lower() in classes


def _draw(contour: Dataset, image: Scan, mask: np.ndarray, name: str) -> None:
    if contour.get("ContourGeometricType") not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
        kind = contour.get("ContourGeometricType")
        raise DataError("DCM_CONTOUR", f"{name!r}: a contour of type {kind!r}", "remove it")
    points = np.array([float(n) for n in contour.ContourData])
    if len(points) % 3 or len(points) < 9 or not np.isfinite(points).all():
        raise DataError("DCM_CONTOUR", f"{name!r}: {len(points)} coordinates", _AGAIN)
    at = _to_voxels(points.reshape(-1, 3), image)
    z = float(np.median(at[:, 2]))
    slice_ = round(z)
    if np.abs(at[:, 2] - slice_).max() > _OFF_PLANE or not 0 <= slice_ < image.size[2]:
        raise DataError("DCM_CONTOUR", f"{name!r}: a contour at slice {z:.4g}, in none", _AGAIN)
    if (at[:, :2] < -0.5 - 1).any() or (at[:, :2] > np.array(image.size[:2]) + 0.5).any():
        raise DataError("DCM_CONTOUR", f"{name!r}: a contour outside of the image", _AGAIN)
    mask[:, :, slice_] ^= polygon2mask(image.size[:2], at[:, :2])


def _lay(frame: np.ndarray, group: Dataset, shared: Dataset, image: Scan, mask: np.ndarray) -> None:
    def of(sequence: str) -> Dataset:
        return (group.get(sequence) or shared.get(sequence))[0]

    origin = np.array(of("PlanePositionSequence").ImagePositionPatient, float)
    cosines = np.array(of("PlaneOrientationSequence").ImageOrientationPatient, float).reshape(2, 3)
    rows, columns = (float(mm) for mm in of("PixelMeasuresSequence").PixelSpacing)
    i, j = np.indices(frame.shape)  # row, column
    places = origin + j[..., None] * columns * cosines[0] + i[..., None] * rows * cosines[1]
    at = _to_voxels(places.reshape(-1, 3), image)
    whole = np.rint(at).astype(int)
    if np.abs(at - whole).max() > _OFF_PLANE or (whole < 0).any() or (whole >= image.size).any():
        raise DataError("DCM_SEGMENT", "a frame that is not on the image's grid", _AGAIN)
    mask[tuple(whole[frame.ravel()].T)] = True


def _to_voxels(places: np.ndarray, image: Scan) -> np.ndarray:
    """Return the voxel indices `(n, 3)` of points in LPS millimetres."""
    homogeneous = np.column_stack([places, np.ones(len(places))]) @ LPS_TO_RAS.T
    return np.linalg.solve(image.affine, homogeneous.T).T[:, :3]


def _merged(
    structures: list[Structure],
    names: list[str],
    image: Scan,
    classes: Mapping[str, int],
    findings: Findings,
) -> Scan:
    unused = [name for name in names if not _known(name, classes)]
    if not structures:
        raise DataError(
            "DCM_STRUCTURES",
            f"none of {len(names)} structures is a class: {names[:8]}",
            "name them: dataset.structures: {name: class number}",
        )
    if unused:
        findings.note("DCM_UNUSED", f"{len(unused)} structures are no class: {unused[:8]}")
    label = np.zeros(image.size, np.uint8 if max(classes.values()) < 256 else np.uint16)
    for structure in structures:
        number = classes[structure.name.strip().lower()]
        overlap = structure.mask & (label != 0) & (label != number)
        if overlap.any():
            raise DataError(
                "LBL_OVERLAP",
                f"{int(overlap.sum())} voxels of {structure.name!r} are in another class too",
                "export structures that do not overlap",
            )
        label[structure.mask] = number
    return Scan(label[None], image.affine, image.codes)
