"""DICOM structures and segments: drawn as they say, told apart, and lost to no border unsaid."""

import numpy as np
import pytest
from dicom_files import box, segments, series, structures
from pydicom.sequence import Sequence

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.layouts import find_layout
from data_prep.reading.label import read_case_label

RULES = Rules(("CT",), {"background": 0, "tumour": 1, "organ": 2})


def test_contours_fill_the_voxels_inside_and_leave_holes(write_tree):
    contours = [
        ("Tumour", box(2, 1, 7, 1, 5)),
        ("Tumour", box(2, 3, 5, 2, 4)),  # inside the first: a hole
        ("Tumour", box(3, 0, 2, 0, 2)),
        ("Tumour", box(3, 5, 7, 3, 5)),
        ("organ", box(7, 2, 4, 2, 4)),
        ("BODY", box(7, 0, 8, 0, 6)),
    ]
    tree = write_tree(ct=series(), rt=[structures(contours)], junk=[b"hello"])
    layout, findings = find_layout(tree), Findings()
    assert (layout.name, [c.id for c in layout.cases]) == ("dicom", ["ct"])
    assert [f.code for f in layout.findings] == ["DCM_OTHER"]
    label = read_case_label(tree, layout.cases[0], RULES, findings=findings).array[0]
    want = np.zeros((8, 6, 10), int)
    want[1:7, 1:5, 2] = 1
    want[3:5, 2:4, 2] = 0
    want[0:2, 0:2, 3] = want[5:7, 3:5, 3] = 1
    want[2:4, 2:4, 7] = 2
    np.testing.assert_array_equal(label, want)
    (unused,) = findings.found
    assert str(unused) == "note DCM_UNUSED (rt/00): 1 structures are no class: ['BODY']"
    assert str(unused.for_records()) == "note DCM_UNUSED (rt/00): 1 structures are no class: [...]"


@pytest.mark.parametrize(
    ("contours", "message"),
    [
        ([("tumour", box(2.5, 1, 7, 1, 5))], r"DCM_CONTOUR: 'tumour': a contour at slice 2.5"),
        ([("tumour", box(12, 1, 7, 1, 5))], "DCM_CONTOUR: 'tumour': a contour at slice 12"),
        ([("tumour", box(2, 1, 20, 1, 5))], "DCM_CONTOUR: 'tumour': a contour outside"),
        (
            [("other", box(2, 1, 7, 1, 5))],
            r"DCM_STRUCTURES: none of 1 structures is a class: \['other'\]",
        ),
        (
            [("tumour", box(2, 1, 7, 1, 5)), ("organ", box(2, 6, 8, 1, 5))],
            "LBL_OVERLAP: 4 voxels of 'organ' are in another class",
        ),
    ],
)
def test_contours_that_fit_no_voxels_are_refused(write_tree, contours, message):
    tree = write_tree(ct=series(), rt=[structures(contours)])
    with pytest.raises(DataError, match=message):
        read_case_label(tree, find_layout(tree).cases[0], RULES)


def twice(sequence, number="ROINumber"):
    """Give the last item the number of the first."""

    def change(one):
        first, last = one[sequence][0], one[sequence][-1]
        setattr(last, number, getattr(first, number))

    return change


def renamed(one):
    """Call all structures or segments alike."""
    for item in one.get("StructureSetROISequence") or []:
        item.ROIName = "Tumour "
    for item in one.get("SegmentSequence") or []:
        item.SegmentLabel = "Tumour"


def undeclared(one):
    one.ROIContourSequence[-1].ReferencedROINumber = 7


def without_contours(one):
    del one.ROIContourSequence[-1]


def without_points(one):
    one.ROIContourSequence[-1].ContourSequence = Sequence()


APART = [("tumour", box(2, 1, 7, 1, 5)), ("organ", box(4, 1, 7, 1, 5))]
TOUCHING = [("tumour", box(2, 1, 7, 1, 5)), ("organ", box(2, 4, 8, 1, 5))]
SAME = [("tumour", box(2, 1, 7, 1, 5)), ("organ", box(2, 1, 7, 1, 5))]


@pytest.mark.parametrize(
    ("contours", "change", "message"),
    [
        (APART, twice("StructureSetROISequence"), "HDR_CONFLICT: ROI 1 is there 2 times"),
        (
            APART,
            twice("ROIContourSequence", "ReferencedROINumber"),
            "HDR_CONFLICT: the item of contours of ROI 1 is there 2 times",
        ),
        (APART, undeclared, "HDR_CONFLICT: contours of ROI 7, which is not declared"),
        (TOUCHING, renamed, "HDR_CONFLICT: 2 structures are called 'tumour', and overlap"),
        (
            [("tumour", box(3, 1.6, 1.9, 1.6, 1.9))],
            lambda one: None,
            "LBL_LOST: no voxel of the image is in any of 1 structures",
        ),
    ],
)
def test_structures_that_cannot_be_told_apart_are_refused(write_tree, contours, change, message):
    one = structures(contours)
    change(one)
    tree = write_tree(ct=series(), rt=[one])
    with pytest.raises(DataError, match=message):
        read_case_label(tree, find_layout(tree).cases[0], RULES)


@pytest.mark.parametrize(
    ("contours", "change", "cells", "said"),
    [
        (APART, lambda one: None, {1: 24, 2: 24}, []),
        (APART, renamed, {1: 48}, ["note DCM_TOGETHER (rt/00): 2 structures are called 'tumour'"]),
        (SAME, renamed, {1: 24}, ["note DCM_TOGETHER (rt/00): 2 structures are called 'tumour'"]),
        (
            APART,
            without_contours,
            {1: 24},
            ["warning DCM_EMPTY (rt/00): 'organ' is declared and has no contours"],
        ),
        (
            APART,
            without_points,
            {1: 24},
            ["warning DCM_EMPTY (rt/00): 'organ' is declared and has no contours"],
        ),
        (APART[:1], without_points, {}, ["warning DCM_EMPTY (rt/00): 'tumour' is declared"]),
        ([("tumour", box(2, 0, 8, 0, 6))], lambda one: None, {1: 48}, []),  # the whole slice
        (
            [("tumour", box(2, 1, 7, 1, 5)), ("tumour", box(2, 1, 7, 1, 5)[::-1])],
            lambda one: None,
            {1: 24},
            ["note DCM_COPY (rt/00): 'tumour' in slice 2: a contour that is there twice"],
        ),
        (
            [("tumour", box(2, -1, 3, 1, 5))],
            lambda one: None,
            {1: 12},
            ["warning LBL_LOST (rt/00): tumour: 4 of 16 voxels in its contours are not in the"],
        ),
        (
            [("tumour", box(2, 5, 9, 4, 7))],
            lambda one: None,
            {1: 6},
            ["warning LBL_LOST (rt/00): tumour: 6 of 12 voxels in its contours are not in the"],
        ),
    ],
)
def test_what_structures_lack_is_told(write_tree, contours, change, cells, said):
    one, findings = structures(contours), Findings()
    change(one)
    tree = write_tree(ct=series(), rt=[one])
    label = read_case_label(tree, find_layout(tree).cases[0], RULES, findings=findings).array
    numbers, counts = np.unique(label[label != 0], return_counts=True)
    assert dict(zip(numbers.tolist(), counts.tolist(), strict=True)) == cells
    assert len(findings.found) == len(said)
    assert all(str(f).startswith(s) for f, s in zip(findings.found, said, strict=True))


CROSSING = [("tumour", box(2, 1, 4, 1, 5)), ("tumour", box(2, 3, 7, 1, 5))]


def test_contours_of_a_structure_that_overlap_are_taken_together(write_tree):
    tree, findings = write_tree(ct=series(), rt=[structures(CROSSING)]), Findings()
    (case,) = find_layout(tree).cases
    assert read_case_label(tree, case, RULES, findings=findings).array.sum() == 12 + 16 - 4
    (found,) = findings.found
    assert (found.level, found.code) == ("warning", "DCM_CROSSING")
    assert "'tumour' in slice 2: two contours with 4 voxels in common" in found.found


OUTLINE = box(2, 0, 8, 0, 6)
CUT = np.vstack([OUTLINE[:3], OUTLINE[3] + (1.1, 0, 0), OUTLINE[3] - (0, 0.9, 0)])  # by one corner


@pytest.mark.parametrize(
    ("contours", "found"),
    [
        ([("tumour", [*OUTLINE] * 3)], "a contour that crosses itself"),
        ([("tumour", OUTLINE), ("tumour", CUT)], "47 voxels in common"),
        ([("tumour", OUTLINE), ("tumour", box(2, 0.6, 8, 0, 6))], None),  # a wall of one voxel
    ],
)
def test_contours_drawn_twice_are_refused_and_holes_are_not(write_tree, contours, found):
    tree = write_tree(ct=series(), rt=[structures(contours)])
    (case,) = find_layout(tree).cases
    if found is None:
        assert read_case_label(tree, case, RULES).array.sum() == 6
    else:
        with pytest.raises(DataError, match=f"DCM_CROSSING: 'tumour' in slice 2: .*{found}"):
            read_case_label(tree, case, RULES)


def test_contours_that_are_meant_to_cross_are_read(write_tree):
    one = structures(CROSSING)
    for contour in one.ROIContourSequence[0].ContourSequence:
        contour.ContourGeometricType = "CLOSEDPLANAR_XOR"
    tree = write_tree(ct=series(), rt=[one])
    assert read_case_label(tree, find_layout(tree).cases[0], RULES).array.sum() == 20


def test_contours_that_are_to_be_moved_are_refused(write_tree):
    one = structures([("tumour", box(4, 1, 7, 1, 5))])
    (contour,) = one.ROIContourSequence[0].ContourSequence
    contour.ContourOffsetVector = [0, 0, 0]
    tree = write_tree(ct=series(), rt=[one])
    assert read_case_label(tree, find_layout(tree).cases[0], RULES).array.any()
    contour.ContourOffsetVector = [0, 0, 2]
    tree = write_tree(ct=series(), rt=[one])
    with pytest.raises(DataError, match=r"DCM_CONTOUR: 'tumour': .* to be moved by .*2.0"):
        read_case_label(tree, find_layout(tree).cases[0], RULES)


def test_segments_lie_on_the_grid_of_their_series(write_tree):
    tree = write_tree(ct=series(), seg=[segments()])
    label = read_case_label(tree, find_layout(tree).cases[0], RULES).array[0]
    want = np.zeros((8, 6, 10), int)
    want[2:5, 1:3, 2] = want[0, 0, 3] = 1
    want[7, 5, 5] = 2
    np.testing.assert_array_equal(label, want)


def test_segments_beside_the_grid_are_refused(write_tree):
    tree = write_tree(ct=series(), seg=[segments(turn=True)])
    with pytest.raises(DataError, match="DCM_SEGMENT: a frame that is not on the image's grid"):
        read_case_label(tree, find_layout(tree).cases[0], RULES)


def of_all_frames(sequence, name, value, shape=(6, 8)):
    """Say something else of all frames, which hold as many pixels."""

    def change(one):
        setattr(one.SharedFunctionalGroupsSequence[0][sequence][0], name, value)
        one.Rows, one.Columns = shape
        one.PixelData = np.ones((3, *shape), np.uint8).tobytes()

    return change


def without_measures(one):
    del one.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence


SPACING = "PixelMeasuresSequence", "PixelSpacing"
DIRECTIONS = "PlaneOrientationSequence", "ImageOrientationPatient"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_all_frames(*SPACING, [1.4, 1.8], (3, 4)), "DCM_SEGMENT: a frame whose pixels lie"),
        (of_all_frames(*SPACING, [2.1, 0.9], (2, 8)), "DCM_SEGMENT: a frame whose pixels lie"),
        (of_all_frames(*SPACING, [0.7, 1.8], (1, 1)), "DCM_SEGMENT: a frame whose pixels lie"),
        (of_all_frames(*SPACING, [0, 0]), "HDR_SPACING: spacing"),
        (of_all_frames(*SPACING, [0.7, 0]), "HDR_SPACING: spacing"),
        (of_all_frames(*SPACING, [-0.7, 0.9]), "HDR_SPACING: spacing"),
        (of_all_frames(*DIRECTIONS, [2, 0, 0, 0, 2, 0], (3, 4)), "DCM_PLACE: directions"),
        (of_all_frames(*DIRECTIONS, [1, 0, 0, 1, 0, 0], (2, 3)), "DCM_PLACE: directions"),
        (without_measures, "DCM_PLACE: no PixelSpacing in PixelMeasuresSequence of a frame"),
    ],
)
def test_segments_of_other_pixels_than_the_image_are_refused(write_tree, change, message):
    one = segments()
    change(one)
    tree = write_tree(ct=series(), seg=[one])
    with pytest.raises(DataError, match=message):
        read_case_label(tree, find_layout(tree).cases[0], RULES)


@pytest.mark.parametrize(
    ("directions", "corner", "shape", "held"),
    [
        ([1, 0, 0, 0, 1, 0], [5.0, -7.0], (2, 3), np.s_[:3, :2]),  # a part of the image
        ([1, 0, 0, 0, 1, 0], [5.0, -7.0], (1, 1), np.s_[:1, :1]),
        ([-1, 0, 0, 0, 1, 0], [5 + 0.9 * 7, -7.0], (6, 8), np.s_[:, :]),
    ],
)
def test_segments_may_be_a_part_of_the_image_or_turned(write_tree, directions, corner, shape, held):
    one = segments()
    of_all_frames(*DIRECTIONS, directions, shape)(one)
    for group in one.PerFrameFunctionalGroupsSequence:
        place = group.PlanePositionSequence[0].ImagePositionPatient
        group.PlanePositionSequence[0].ImagePositionPatient = [*corner, place[2]]
    tree = write_tree(ct=series(), seg=[one])
    label = read_case_label(tree, find_layout(tree).cases[0], RULES).array[0]
    want = np.zeros((8, 6, 10), int)
    for z, number in ((2, 1), (3, 1), (5, 2)):
        want[(*held, z)] = number
    np.testing.assert_array_equal(label, want)


def of_segment(frame, number):
    def change(one):
        group = one.PerFrameFunctionalGroupsSequence[frame]
        group.SegmentIdentificationSequence[0].ReferencedSegmentNumber = number

    return change


def in_one_place(one):
    groups = one.PerFrameFunctionalGroupsSequence
    place = groups[0].PlanePositionSequence[0].ImagePositionPatient
    groups[1].PlanePositionSequence[0].ImagePositionPatient = place


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (twice("SegmentSequence", "SegmentNumber"), "HDR_CONFLICT: segment 1 is there 2 times"),
        (of_segment(0, 9), "HDR_CONFLICT: a frame of segment 9, which is not declared"),
        (in_one_place, r"HDR_CONFLICT: a frame, \(segment, place\), .* is there 2 times"),
    ],
)
def test_segments_that_cannot_be_told_apart_are_refused(write_tree, change, message):
    one = segments()
    change(one)
    tree = write_tree(ct=series(), seg=[one])
    with pytest.raises(DataError, match=message):
        read_case_label(tree, find_layout(tree).cases[0], RULES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed, "note DCM_TOGETHER (seg/00): 2 structures are called 'tumour', taken together"),
        (of_segment(2, 2), "warning DCM_EMPTY (seg/00): 'organ' is declared and is nowhere"),
    ],
)
def test_what_segments_lack_is_told(write_tree, change, said):
    one, findings = segments(), Findings()
    change(one)
    tree = write_tree(ct=series(), seg=[one])
    label = read_case_label(tree, find_layout(tree).cases[0], RULES, findings=findings).array
    assert (label == 1).sum() == 8
    found = [finding for finding in findings.found if finding.code != "DCM_SKIPPED"]
    assert [str(finding).split(";")[0] for finding in found] == [said]


@pytest.mark.parametrize(("status", "refused"), [
    ("REJECTED", True), ("APPROVED", False), ("UNAPPROVED", False), ("", False),
])  # fmt: skip
def test_contours_that_were_rejected_are_drawn_only_if_that_is_accepted(
    write_tree, status, refused
):
    one = structures([("tumour", box(2, 1, 7, 1, 5))])
    one.ApprovalStatus = status
    tree = write_tree(ct=series(), rt=[one])
    (case,) = find_layout(tree).cases
    accepted = Findings(["DCM_REJECTED"])
    drawn = read_case_label(tree, case, RULES, findings=accepted).array
    assert drawn.sum() == 24
    assert [f.code for f in accepted.found] == ["DCM_REJECTED"] * refused
    if refused:
        with pytest.raises(DataError, match="DCM_REJECTED: its reviewer rejected these contours"):
            read_case_label(tree, case, RULES)
