"""DICOM labels: RTSTRUCT contours and SEG segments, drawn on the grid of their image.

Source: DICOM PS3.3, C.8.8.6 (ROI contours), C.8.20.2 (segmentation).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from data_prep.core.errors import DataError, named_errors
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.formats.dicom.drawing import Contour, fill
from data_prep.formats.dicom.frame import Place, place_of, renamed_in
from data_prep.formats.dicom.gaps import tell_gaps
from data_prep.formats.dicom.groups import Part, check_parts, groups_of, part_of, value_of
from data_prep.formats.dicom.one_image import tell_renamed
from data_prep.formats.dicom.references import References, Source, sources_of, to_voxels
from data_prep.formats.dicom.segment_frames import frames_of
from data_prep.formats.dicom.series import parse
from data_prep.formats.header_fields import agreed
from data_prep.formats.structure_names import check_names, plain

_OFF = 0.1  # voxels: how far rounding may bring a point from where it is to be
_BORDER = 1  # voxels beside the image in which a contour may still lie, which it loses there
_AGAIN = "export the structures again, on the series they were drawn on"
_MEANT = "look whether the structure is meant"


@dataclass(frozen=True)
class Structure:
    """One drawn structure: its name, and whether each voxel of the image is in it."""

    name: str
    mask: np.ndarray  # (X, Y, Z)


def read_drawn(
    kind: Literal["contours", "segments"],
    files: Iterable[tuple[str, bytes]],
    image: Scan,
    source: Source,
    classes: Mapping[str, int],
    findings: Findings,
) -> Scan:
    """Draw the structures of one or several files as class numbers, `(1, X, Y, Z)`.

    Args:
        kind: what the files hold.
        files: their names and bytes.
        image: the scan they were drawn on.
        source: what its files say of what labels refer to.
        classes: names of structures, by lower case, to class numbers.
        findings: names of structures that are no class are noted.

    Raises:
        DataError: as `_contours`, `_segments` and `check_parts`; HDR_CONFLICT for structures of
            one name that overlap; DCM_STRUCTURES if none is a class; LBL_OVERLAP, unless accepted;
            LBL_NEAR as `check_names`.
    """
    read = _contours if kind == "contours" else _segments
    structures: list[Structure] = []
    names: list[str] = []
    parts: list[Part | None] = []
    for file, data in files:
        since = len(findings.found)
        with named_errors(file):
            one = parse(data)
            tell_renamed([renamed_in(one)], "files", findings)
            drawn, called = read(one, image, source, classes, findings)
        findings.place(since, file=file)
        structures += drawn
        names += called
        parts.append(part_of(one))
    check_parts(parts, findings)
    return _merged(structures, sorted(names), image, classes, findings)


def _contours(
    one: Dataset, image: Scan, source: Source, classes: Mapping[str, int], findings: Findings
) -> tuple[list[Structure], list[str]]:
    """Draw the contours of an RTSTRUCT; return them with the names of all structures.

    Raises:
        DataError: DCM_REJECTED, unless accepted; DCM_CONTOUR for contours that are not in the
            image's slices; DCM_PATIENTS,
            DCM_REFERENCE for a label of another series; DCM_LOST for one of slices that are not
            there, unless accepted; DCM_CROSSING as `fill`; HDR_CONFLICT for numbers that do not
            tell structures apart; LBL_LOST if no structure holds a voxel of the image.
    """
    if str(one.get("ApprovalStatus") or "").upper() == "REJECTED":
        found = "its reviewer rejected these contours (ApprovalStatus)"
        findings.ask("DCM_REJECTED", found, "give those that were approved")
    references = References(one, source, image)
    rois, drawn = one.get("StructureSetROISequence") or [], one.get("ROIContourSequence") or []
    names = _once(((int(roi.ROINumber), str(roi.ROIName)) for roi in rois), "ROI")
    contours = _once(
        ((int(item.ReferencedROINumber), item.get("ContourSequence") or []) for item in drawn),
        "the item of contours of ROI",
    )
    _check_declared(contours, names, "contours of ROI")
    classed = {number: name for number, name in names.items() if _known(name, classes)}
    for roi in rois:
        if int(roi.ROINumber) in classed:
            references.check_frame(roi, f"{roi.ROIName!r}", "ReferencedFrameOfReferenceUID")
    structures = [
        Structure(name, _filled(contours.get(number) or [], image, references, name, findings))
        for number, name in classed.items()
    ]
    references.tell(findings)
    if any(map(contours.get, classed)) and not any(one.mask.any() for one in structures):
        found = f"no voxel of the image is in any of {len(structures)} structures"
        raise DataError("LBL_LOST", found, _AGAIN)
    return structures, [*names.values()]


def _segments(
    one: Dataset, image: Scan, source: Source, classes: Mapping[str, int], findings: Findings
) -> tuple[list[Structure], list[str]]:
    """Lay the segments of a DICOM-SEG on the image's grid; return them with all names.

    Raises:
        DataError: DCM_SEGMENT for an unknown type or frames not on the grid; DCM_PLACE,
            HDR_SPACING as `place_of`; DCM_PATIENTS, DCM_REFERENCE, HDR_CONFLICT as `_contours`,
            and for two frames of a segment in one place.
    """
    references = References(one, source, image)
    segments = one.get("SegmentSequence") or []
    names = _once(
        ((int(part.SegmentNumber), str(part.get("SegmentLabel", ""))) for part in segments),
        "segment",
    )
    groups = groups_of(one)
    shared = next(iter(one.get("SharedFunctionalGroupsSequence") or []), Dataset())
    masks = {number: np.zeros(image.size, bool) for number in names}
    frames = frames_of(one, names, findings)
    _check_declared((frame.number for frame in frames), names, "a frame of segment")
    placed = [place_of(partial(value_of, one, group)) for group in groups]
    places = [tuple(np.round(place.position, 3).tolist()) for place in placed]
    pairs = [(frame.number, places[frame.index]) for frame in frames]
    _once(((pair, None) for pair in pairs), "a frame, (segment, place),")
    at = to_voxels(np.array([place.position for place in placed]), image)
    across = int(np.ptp(at, axis=0).argmax())  # the axis that frames follow each other along
    drawn: dict[int, set[int]] = defaultdict(set)
    for frame in frames:
        group, place = groups[frame.index], at[frame.index]
        if frame.mask.any():
            _lay(frame.mask, placed[frame.index], image, masks[frame.number])
        drawn[frame.number].add(round(place[across]))
        what = f"a frame of {names[frame.number]!r}"
        references.check_slice(sources_of(group, shared), place[2], what)
    references.tell(findings)
    structures = []
    for number, name in names.items():
        if _known(name, classes):
            structures.append(Structure(name, masks[number]))
            tell_gaps(masks[number], across, drawn[number], name, "frame", findings)
            if not masks[number].any():
                findings.warn("DCM_EMPTY", f"{name!r} is declared and is nowhere", _MEANT)
    return structures, [*names.values()]


def _once(pairs: Iterable[tuple[Any, Any]], what: str) -> dict[Any, Any]:
    """Return what belongs to each number; HDR_CONFLICT if one is there twice."""
    pairs = list(pairs)
    for number, times in Counter(number for number, _ in pairs).items():
        if times > 1:
            raise DataError("HDR_CONFLICT", f"{what} {number} is there {times} times", _AGAIN)
    return dict(pairs)


def _check_declared(numbers: Iterable[int], declared: Collection[int], what: str) -> None:
    for number in numbers:
        if number not in declared:
            raise DataError("HDR_CONFLICT", f"{what} {number}, which is not declared", _AGAIN)


def _known(name: str, classes: Mapping[str, int]) -> bool:
    return plain(name) in classes


def _filled(
    contours: Sequence[Dataset],
    image: Scan,
    references: References,
    name: str,
    findings: Findings,
) -> np.ndarray:
    """Return whether each voxel of the image is in the contours, see `fill`, `(X, Y, Z)`."""
    width, height, depth = image.size
    mask = np.zeros((width + 2 * _BORDER, height + 2 * _BORDER, depth), bool)
    by_slice = defaultdict(list)
    points_alone = 0
    for contour in contours:
        if _is_no_area(contour):
            points_alone += 1
            continue
        slice_, points = _placed(contour, image, name)
        references.check_slice(contour.get("ContourImageSequence") or [], slice_, repr(name))
        xor = contour.ContourGeometricType == "CLOSEDPLANAR_XOR"
        by_slice[slice_].append(Contour(points + _BORDER, xor))
    for slice_, drawn in by_slice.items():
        where = f"{name!r} in slice {slice_}"
        mask[:, :, slice_] = fill(drawn, mask.shape[:2], where, findings)
    if points_alone:
        found = f"{name!r}: {points_alone} of {len(contours)} contours are of one or two points, "
        findings.note("DCM_POINTS", f"{found}and are not drawn")
    inside = mask[_BORDER:-_BORDER, _BORDER:-_BORDER]
    cells, left = int(mask.sum()), int(inside.sum())
    if not contours:
        findings.warn("DCM_EMPTY", f"{name!r} is declared and has no contours", _MEANT)
    elif not cells:
        found = f"{name}: {len(contours)} contours around no centre of a voxel"
        findings.warn("LBL_LOST", found, _MEANT)
    elif left < cells:
        found = f"{name}: {cells - left} of {cells} voxels in its contours are not in the image"
        findings.warn("LBL_LOST", found, _AGAIN)
    tell_gaps(inside, 2, by_slice, name, "contour", findings)
    return inside


def _is_no_area(contour: Dataset) -> bool:
    """Tell contours of one or two points, which have a place and nothing in them."""
    return len(_numbers_of(contour)) in (3, 6)


def _placed(contour: Dataset, image: Scan, name: str) -> tuple[int, np.ndarray]:
    """Return the slice of a contour, and its points in voxels, `(n, 2)`."""
    if contour.get("ContourGeometricType") not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
        kind = contour.get("ContourGeometricType")
        raise DataError("DCM_CONTOUR", f"{name!r}: a contour of type {kind!r}", "remove it")
    moved = [float(n) for n in contour.get("ContourOffsetVector") or []]
    if any(moved):
        found = f"{name!r}: a contour that is to be moved by {moved}"
        raise DataError("DCM_CONTOUR", found, "export contours where they lie")
    points = _numbers_of(contour)
    if len(points) % 3 or len(points) < 9 or not np.isfinite(points).all():
        raise DataError("DCM_CONTOUR", f"{name!r}: {len(points)} coordinates", _AGAIN)
    said = contour.get("NumberOfContourPoints")
    agreed({"NumberOfContourPoints": said, "points of the contour": len(points) // 3})
    at = to_voxels(points.reshape(-1, 3), image)
    z = float(np.median(at[:, 2]))
    slice_ = round(z)
    if np.abs(at[:, 2] - slice_).max() > _OFF or not 0 <= slice_ < image.size[2]:
        raise DataError("DCM_CONTOUR", f"{name!r}: a contour at slice {z:.4g}, in none", _AGAIN)
    edge = 0.5 + _BORDER + _OFF
    if (at[:, :2] < -edge).any() or (at[:, :2] > np.array(image.size[:2]) - 1 + edge).any():
        raise DataError("DCM_CONTOUR", f"{name!r}: a contour outside of the image", _AGAIN)
    return slice_, at[:, :2]


def _numbers_of(contour: Dataset) -> np.ndarray:
    """Return the coordinates, without an object of pydicom's for each, which takes 500 bytes."""
    element = contour.get_item("ContourData")
    if isinstance(element, RawDataElement) and element.value:
        return np.array(element.value.rstrip(b" \0").split(b"\\")).astype(float)
    return np.array([float(n) for n in contour.ContourData])


def _lay(frame: np.ndarray, place: Place, image: Scan, mask: np.ndarray) -> None:
    """Set the voxels of a frame, whose steps must each be one voxel, along two axes.

    Raises:
        DataError: DCM_SEGMENT.
    """
    rows, columns = place.spacing
    i, j = np.indices(frame.shape)[..., None]  # row, column
    places = place.position + j * columns * place.axes[0] + i * rows * place.axes[1]
    at = to_voxels(places.reshape(-1, 3), image)
    corners = place.position + np.vstack([np.zeros(3), place.axes * [[columns], [rows]]])
    corner, *beside = to_voxels(corners, image)
    steps = np.array(beside) - corner
    along = np.abs(np.rint(steps))
    if (along.sum(axis=1) != 1).any() or along[0] @ along[1]:
        found = f"a frame whose pixels lie {steps.round(2).tolist()} voxels of the image apart"
        raise DataError("DCM_SEGMENT", found, _AGAIN)
    whole = np.rint(at).astype(int)
    if np.abs(at - whole).max() > _OFF or (whole < 0).any() or (whole >= image.size).any():
        raise DataError("DCM_SEGMENT", "a frame that is not on the image's grid", _AGAIN)
    mask[tuple(whole[frame.ravel()].T)] = True


def _merged(
    structures: list[Structure],
    names: list[str],
    image: Scan,
    classes: Mapping[str, int],
    findings: Findings,
) -> Scan:
    findings.held.update(name.strip().lower() for name in names)
    unused = [name for name in names if not _known(name, classes)]
    check_names(names, classes, findings)
    if not structures:
        raise DataError(
            "DCM_STRUCTURES",
            f"none of {len(names)} structures is a class: {names[:8]}",
            "name them: dataset.structures: {name: class number}",
        )
    if unused:
        findings.note("DCM_UNUSED", f"{len(unused)} structures are no class: {unused[:8]}")
    _check_alike(structures, findings)
    label = np.zeros(image.size, np.uint8 if max(classes.values()) < 256 else np.uint16)
    for structure in structures:
        number = classes[plain(structure.name)]
        overlap = structure.mask & (label != 0) & (label != number)
        if overlap.any():
            found = f"{int(overlap.sum())} voxels of {structure.name!r} are in another class too"
            findings.ask("LBL_OVERLAP", found, "export structures that do not overlap")
        np.maximum(label, number, out=label, where=structure.mask, casting="unsafe")
    return image.holding(label[None])


def _check_alike(structures: list[Structure], findings: Findings) -> None:
    """Take structures of one name together where they cannot be two versions of one.

    Raises:
        DataError: HDR_CONFLICT if they can: they overlap, and are not the same.
    """
    by_name = defaultdict(list)
    for structure in structures:
        by_name[plain(structure.name)].append(structure.mask)
    for name, (first, *others) in by_name.items():
        held = first.copy()
        for mask in others:
            if (held & mask).any() and not (first == mask).all():
                found = f"{1 + len(others)} structures are called {name!r}, and overlap"
                raise DataError("HDR_CONFLICT", found, "keep the one that is meant")
            held |= mask
        if others:
            found = f"{1 + len(others)} structures are called {name!r}, taken together"
            findings.note("DCM_TOGETHER", found)
