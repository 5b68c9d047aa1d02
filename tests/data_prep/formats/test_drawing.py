"""Contours are filled by one rule on every grid; edges through centres draw their voxels."""

import numpy as np
import pytest
from dicom_files import box, segments, series, structures
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from skimage.draw import polygon2mask

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.dicom.drawing import EDGE, Contour, fill
from data_prep.layouts import find_layout
from data_prep.reading.label import read_case_label

SIZE = (12, 10)
RULES = Rules(("CT",), {"background": 0, "tumour": 1, "organ": 2})


def rectangle(left, right, top, bottom):
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)


def filled(*points, findings=None):
    contours = [Contour(np.array(p, float)) for p in points]
    return fill(contours, SIZE, "'x' in slice 0", findings or Findings())


def cells(*ranges):
    want = np.zeros(SIZE, bool)
    for (left, right), (top, bottom) in ranges:
        want[left : right + 1, top : bottom + 1] = True
    return want


@pytest.mark.parametrize("noise", [0, 1e-13, 1e-6, 1e-2])
@pytest.mark.parametrize("seed", range(4))
def test_edges_through_centres_draw_their_voxels_whatever_the_last_digits(noise, seed):
    random = np.random.default_rng(seed)
    points = rectangle(2, 7, 3, 6)
    found = filled(points + random.uniform(-noise, noise, points.shape))
    np.testing.assert_array_equal(found, cells(((2, 7), (3, 6))))


def test_slanted_edges_through_centres_draw_their_voxels():
    want = np.zeros(SIZE, bool)
    i, j = np.indices(SIZE)
    want[np.abs(i - 5) + np.abs(j - 4) <= 3] = True
    np.testing.assert_array_equal(filled([[2, 4], [5, 1], [8, 4], [5, 7]]), want)


def test_structures_of_one_voxel_in_width_are_drawn_whole():
    np.testing.assert_array_equal(filled([[2, 3], [8, 3], [8, 3], [2, 3]]), cells(((2, 8), (3, 3))))


def test_holes_traced_through_the_voxels_around_them_keep_those():
    ring = cells(((1, 9), (1, 8))) & ~cells(((4, 6), (4, 5)))
    np.testing.assert_array_equal(filled(rectangle(1, 9, 1, 8), rectangle(3, 7, 3, 6)), ring)
    outer, inner = rectangle(1, 9, 1, 8), rectangle(3, 7, 3, 6)[::-1]
    keyhole = np.vstack([outer, outer[:1], np.roll(inner, 1, 0), inner[-1:]])
    np.testing.assert_array_equal(filled(keyhole), ring)


@pytest.mark.parametrize("seed", range(5))
def test_any_other_contour_is_filled_as_before(seed):
    angles = np.sort(np.random.default_rng(seed).uniform(0, 2 * np.pi, 9))
    points = np.column_stack([5.3 + 4 * np.cos(angles), 4.6 + 4 * np.sin(angles)])
    differ = filled(points) ^ polygon2mask(SIZE, points)
    steps = np.roll(points, -1, axis=0) - points
    for cell in np.argwhere(differ):  # which only voxels on an edge may do
        across = (
            steps[:, 0] * (cell - points)[:, 1] - steps[:, 1] * (cell - points)[:, 0]
        ) / np.hypot(*steps.T)
        assert np.abs(across).min() < 2 * EDGE


def test_contours_that_overlap_are_united_and_holes_in_them_stay():
    findings = Findings()
    one, other, hole = (rectangle(*corners) for corners in (
        (0.5, 6.5, 0.5, 8.5), (4.5, 10.5, 0.5, 8.5), (2.5, 8.5, 3.5, 5.5)
    ))  # fmt: skip
    found = filled(one, other, findings=findings)
    np.testing.assert_array_equal(found, cells(((1, 10), (1, 8))))
    assert [(f.level, f.code) for f in findings.found] == [("warning", "DCM_CROSSING")]
    around = rectangle(0.5, 10.5, 0.5, 8.5)
    want = cells(((1, 10), (1, 8))) & ~cells(((3, 8), (4, 5)))
    np.testing.assert_array_equal(filled(around, hole), want)


def test_a_contour_that_goes_round_twice_counts_once():
    findings = Findings()
    points = rectangle(1.5, 7.5, 2.5, 6.5)
    found = filled(np.vstack([points, points]), findings=findings)
    np.testing.assert_array_equal(found, cells(((2, 7), (3, 6))))
    assert [f.code for f in findings.found] == ["DCM_COPY"]


def test_an_area_unlike_that_of_the_voxels_is_told():
    findings = Findings()
    filled(rectangle(0.5, 8.5, 0.5, 6.5)[[0, 2, 1, 3]], findings=findings)
    assert [(f.level, f.code) for f in findings.found] == [("warning", "DCM_AREA")]
    assert "a contour has the area of" in findings.found[0].found


def label_of(write_tree, accept=(), **files):
    tree, findings = write_tree(ct=series(), **files), Findings(accept)
    (case,) = find_layout(tree).cases
    return read_case_label(tree, case, RULES, findings=findings).array[0], findings.found


def test_contours_of_one_or_two_points_are_left_out_with_a_note(write_tree):
    few = [("tumour", box(2, 1, 7, 1, 5)[:n]) for n in (1, 2)]
    one = structures([("tumour", box(3, 1, 7, 1, 5)), *few])
    one.ROIContourSequence[0].ContourSequence[1].ContourGeometricType = "POINT"
    label, found = label_of(write_tree, rt=[one])
    assert label.sum() == 24
    assert "2 of 3 contours are of one or two points" in str(found[0])


def apart(name, **where):
    return structures([(name, box(2, 1, 7, 1, 5) if not where else box(2, **where))])


def numbered(files):
    for number, one in enumerate(files):
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.9.{number}"
    return files


def test_several_files_of_a_series_are_taken_together(write_tree):
    files = [apart("tumour", left=1, right=3, top=1, bottom=5),
             apart("organ", left=4, right=7, top=1, bottom=5)]  # fmt: skip
    label, found = label_of(write_tree, rt=numbered(files))
    assert np.bincount(label.ravel()).tolist()[1:] == [8, 12]
    assert not found


def test_classes_that_overlap_are_refused_or_by_priority(write_tree):
    files = numbered([apart("organ"), apart("tumour", left=2, right=3, top=2, bottom=3)])
    with pytest.raises(DataError, match="LBL_OVERLAP: 1 voxels"):
        label_of(write_tree, rt=files)
    label, _ = label_of(write_tree, {"LBL_OVERLAP"}, rt=files)
    assert np.bincount(label.ravel()).tolist()[1:] == [0, 24]  # the higher number stays


def test_two_versions_of_a_structure_in_several_files_are_refused(write_tree):
    files = numbered([apart("tumour"), apart("tumour", left=2, right=8, top=1, bottom=5)])
    with pytest.raises(DataError, match="HDR_CONFLICT: 2 structures are called 'tumour'"):
        label_of(write_tree, rt=files)


def test_labels_of_two_kinds_of_a_series_are_refused(write_tree):
    layout = find_layout(write_tree(ct=series(), rt=[apart("tumour")], seg=[segments()]))
    assert [e.code for e in layout.problems] == ["PAIR_DUPLICATE"]


def test_structures_that_name_no_series_belong_to_that_of_their_images(write_tree):
    slices = series()
    one, image = apart("tumour"), Dataset()
    del one.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
    image.ReferencedSOPInstanceUID = slices[2].SOPInstanceUID
    one.ROIContourSequence[0].ContourSequence[0].ContourImageSequence = Sequence([image])
    layout = find_layout(write_tree(ct=slices, rt=[one]))
    assert [(c.id, c.labels) for c in layout.cases] == [("ct", ("rt/00",))]
    assert not layout.problems


def as_label_map():
    """The segments as one frame a slice, each voxel the number of its segment."""
    one = segments()
    frames = np.frombuffer(one.PixelData, np.uint8).reshape(3, 6, 8)
    one.SegmentationType = "LABELMAP"
    one.PixelData = (frames * np.array([2, 2, 1], np.uint8)[:, None, None]).tobytes()
    for group in one.PerFrameFunctionalGroupsSequence:
        del group.SegmentIdentificationSequence
    return one


def as_fractions():
    one = segments()
    frames = np.frombuffer(one.PixelData, np.uint8).reshape(3, 6, 8) * 100
    frames = np.where(frames == 0, 49, frames)
    frames[0, 1, 2] = 50
    one.SegmentationType, one.MaximumFractionalValue = "FRACTIONAL", 100
    one.SegmentationFractionalType = "PROBABILITY"
    one.PixelData = frames.astype(np.uint8).tobytes()
    return one


@pytest.mark.parametrize(("make", "codes"), [(as_label_map, []), (as_fractions, ["DCM_FRACTIONS"])])
def test_every_type_of_segmentation_holds_the_same_voxels(write_tree, make, codes):
    want, _ = label_of(write_tree, seg=[segments()])
    found, findings = label_of(write_tree, seg=[make()])
    np.testing.assert_array_equal(found, want)
    assert [f.code for f in findings if f.code != "DCM_SKIPPED"] == codes


@pytest.mark.parametrize(
    ("make", "changes", "code"),
    [
        (as_label_map, {"SegmentationType": "OTHER"}, "DCM_SEGMENT: type 'OTHER'"),
        (as_fractions, {"MaximumFractionalValue": 99}, "DCM_SEGMENT: fractions up to 100"),
        (as_label_map, {"PixelData": bytes([7]) * 144}, r"HDR_CONFLICT: values \[7\], of no"),
    ],
)
def test_segmentations_that_contradict_themselves_are_refused(write_tree, make, changes, code):
    one = make()
    for name, value in changes.items():
        setattr(one, name, value)
    with pytest.raises(DataError, match=code):
        label_of(write_tree, seg=[one])
