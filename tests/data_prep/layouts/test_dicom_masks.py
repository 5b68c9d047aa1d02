"""Series of DICOM whose labels are other files: masks beside them, or named by a list."""

import numpy as np
import pytest
from bad_sets import gz, nifti, png
from dicom_files import STORED, box, encode, new_slice, segments, series, structures

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.findings import Findings
from data_prep.core.geometry import LPS_TO_RAS
from data_prep.core.scan import Scan
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.preprocessing.grid import fit_label
from data_prep.reading.case import read_case

IDS = ("p1", "p2")
LABEL = np.zeros((8, 6, 10), np.uint8)
LABEL[2:5, 1:4, 3:6] = 1
AFFINE = LPS_TO_RAS @ np.array([[0.9, 0, 0, 5], [0, 0.7, 0, -7], [0, 0, 2.0, 11], [0, 0, 0, 1]])


def slices(folder, uid, count=10, **changes):
    changed = {"StudyInstanceUID": f"1.{uid}", "PatientID": f"P{uid}", **changes}
    stack = series(count, series=f"1.2.{uid}", **changed)
    for one in stack:
        one.PixelData = ((np.frombuffer(one.PixelData, np.uint16) + 7 * uid) % 4000).tobytes()
    return {f"{folder}/s{n:02}.dcm": encode(one) for n, one in enumerate(stack)}


def two_series(where="{}", **changes):
    return {
        k: v for n, i in enumerate(IDS) for k, v in slices(where.format(i), n, **changes).items()
    }


def mask(label=LABEL, affine=AFFINE):
    return gz(nifti(label, affine))


@pytest.mark.parametrize(
    ("series_in", "mask_in"),
    [
        ("{}", "{}/mask.nii.gz"),
        ("{}/ct", "{}/label.nii.gz"),
        ("{}/ct", "{}/labels/x.nii.gz"),
        ("images/{}", "labels/{}.nii.gz"),
        ("images/{}", "out/{}_seg.nii.gz"),
        ("images/{}/ct", "masks/{}.nii.gz"),
    ],
)
def test_a_mask_is_that_of_the_series_it_lies_by_or_is_called_as(written, series_in, mask_in):
    files = two_series(series_in) | {mask_in.format(id_): mask() for id_ in IDS}
    root = written(files)
    checked = check(root, DataConfig())
    assert [case.labels for case in checked.layout.cases] == [(mask_in.format(i),) for i in IDS]
    assert len(checked.facts) == 2
    tree = open_tree(root)
    _, label = read_case(tree, checked.layout.cases[0], checked.rules, Findings())
    np.testing.assert_array_equal(label.array[0], LABEL)


@pytest.mark.parametrize("mask_in", ["labels/{}.nii.gz", "labels/mf.nii.gz"])
def test_a_mask_of_one_file_is_called_as_it_or_as_the_folder_it_is_alone_in(written, mask_in):
    (content,) = slices("x", 0, 1).values()
    files = {"images/c0/mf.dcm": content, mask_in.format("c0"): mask()}
    (case,) = find_layout(open_tree(written(files))).cases
    assert case.labels == (mask_in.format("c0"),)
    (other,) = slices("x", 1, 1).values()
    layout = find_layout(open_tree(written(files | {"images/c0/other.dcm": other})))
    assert len(layout.cases) == ("mf" in mask_in)


@pytest.mark.parametrize(
    ("series_in", "masks"),
    [
        ("{}", ["{}/scan.nii.gz"]),  # the series itself, as something else
        ("{}", ["{}/preview.png"]),
        ("all/{}/ct", ["masks/ct.nii.gz"]),  # called as both
        ("all/{}", ["all/mask.nii.gz"]),  # beside both
    ],
)
def test_what_is_no_mask_or_fits_several_series_is_no_label(written, series_in, masks):
    files = two_series(series_in) | {m.format(id_): mask() for id_ in IDS for m in masks}
    layout = find_layout(open_tree(written(files)))
    assert not layout.cases
    assert [error.code for error in layout.problems] == ["PAIR_NO_LABEL"] * 2
    assert [f.code for f in layout.findings] == ["DCM_OTHER"]


def test_several_masks_of_a_series_are_an_error(written):
    files = two_series() | {f"{id_}/mask_{n}.nii.gz": mask() for id_ in IDS for n in (1, 2)}
    layout = find_layout(open_tree(written(files)))
    assert [error.code for error in layout.problems] == ["PAIR_DUPLICATE"] * 2


def drawn_on(number, kind="RTSTRUCT"):
    """A label of the series of that number, as DICOM has it."""
    one = structures([("organ", box(z, 2, 4, 1, 3)) for z in (3, 4)], referenced=f"1.2.{number}")
    if kind == "SEG":
        one = segments()
        one.ReferencedSeriesSequence[0].SeriesInstanceUID = f"1.2.{number}"
    one.StudyInstanceUID, one.PatientID = f"1.{number}", f"P{number}"
    return encode(one)


def problems_in(root, **options):
    return [(e.case, e.code) for e in find_layout(open_tree(root), **options).problems]


@pytest.mark.parametrize("kind", ["RTSTRUCT", "SEG"])
@pytest.mark.parametrize(
    "mask_in",
    ["{}/mask.nii.gz", "{}/gt/x.nii.gz", "labels/{}.nii.gz", "out/{}_seg.nrrd", "rater2/{}.nii.gz"],
)
def test_a_series_with_a_label_of_dicom_and_a_mask_is_labelled_twice(written, kind, mask_in):
    drawn = {"p1/drawn.dcm": drawn_on(0, kind)}
    root = written(two_series() | drawn | {mask_in.format(id_): mask() for id_ in IDS})
    layout = find_layout(open_tree(root))
    (error,) = layout.problems
    assert (error.case, error.code) == ("p1", "PAIR_DUPLICATE")
    assert "p1/drawn.dcm" in error.found
    assert mask_in.format("p1") in error.found
    assert [case.id for case in layout.cases] == ["p2"]
    # Of images alone nothing is asked about labels.
    assert problems_in(root, need_labels=False) == []
    assert len(find_layout(open_tree(root), need_labels=False).cases) == 2


@pytest.mark.parametrize("first", ["p1/mask.nii.gz", "labels/p1.nii.gz"])
@pytest.mark.parametrize(
    "second",
    [
        *("p1/mask2.nii.gz", "p1/mask_old.nii.gz", "p1/labels2/x.nii.gz", "labels2/p1.nii.gz"),
        *("labels_b/p1.nii.gz", "labels/p1_seg2.nii.gz", "segmentations/p1.nrrd"),
    ],
)
def test_a_second_mask_is_one_wherever_it_lies(written, first, second):
    others = {"p2/mask.nii.gz": mask(), "labels/p3.nii.gz": mask()}
    root = written(two_series() | slices("p3", 3) | others | {first: mask(), second: mask()})
    assert problems_in(root) == [("p1", "PAIR_DUPLICATE")]


@pytest.mark.parametrize(
    "beside",
    [
        *("p1/scan.nii.gz", "images/p1.nii.gz", "p1/dose.nii.gz", "p1/mask_preview.png"),
        *("p1/dose.dcm", "p2/mask.nii.gz", "labels/other.nii.gz"),
    ],
)
def test_what_is_no_mask_of_a_series_drawn_on_leaves_its_label(written, beside):
    dose = new_slice(0, STORED[0], series="7.7", Modality="RTDOSE", PatientID="P0")
    files = {f"{id_}/drawn.dcm": drawn_on(n) for n, id_ in enumerate(IDS)}
    if beside.startswith("p2"):
        del files["p2/drawn.dcm"]
    content = {"png": png(STORED[0] > 9), "dcm": encode(dose)}.get(beside[-3:], mask())
    layout = find_layout(open_tree(written(two_series() | files | {beside: content})))
    assert not layout.problems
    assert {case.id: case.kind for case in layout.cases}["p1"] == "contours"
    assert len(layout.cases) == 2


def test_a_list_tells_which_label_of_several_is_meant(written):
    files = two_series("ct/{}") | {"ct/p1/drawn.dcm": drawn_on(0), "ct/p1/mask.nii.gz": mask()}
    files |= {f"lab/{id_}.nii.gz": mask() for id_ in IDS}
    rows = "".join(f"ct/{id_}/,lab/{id_}.nii.gz\n" for id_ in IDS)
    layout = find_layout(open_tree(written(files | {"l.csv": b"image,label\n" + rows.encode()})))
    assert not layout.problems
    assert [case.labels for case in layout.cases] == [(f"lab/{id_}.nii.gz",) for id_ in IDS]


def test_a_picture_masks_a_single_slice(written):
    drawn = np.zeros((6, 8), np.uint8)  # rows, columns
    drawn[1:3, 4:7] = 1
    files = two_series(count=1) | {f"{id_}/mask.png": png(drawn) for id_ in IDS}
    root = written(files)
    checked = check(root, DataConfig())
    case = checked.layout.cases[0]
    image, label = read_case(open_tree(root), case, checked.rules, Findings())
    assert image.size == label.size == (8, 6, 1)
    np.testing.assert_array_equal(label.array[0, :, :, 0].T, drawn)


def test_a_list_names_folders_of_series(written):
    files = two_series("ct/{}") | {f"lab/{id_}.nii.gz": mask() for id_ in IDS}
    rows = "".join(f"ct/{id_}/,lab/{id_}.nii.gz\n" for id_ in IDS)
    checked = check(written(files | {"list.csv": b"image,label\n" + rows.encode()}), DataConfig())
    assert sorted(checked.facts) == [*IDS]
    assert checked.layout.channels == ("CT",)
    assert {len(case.scans[0]) for case in checked.layout.cases} == {10}


def test_a_list_in_json_names_them_and_their_structures(written):
    drawn = structures([("organ", box(z, 2, 4, 1, 3)) for z in (3, 4)], referenced="1.2.0")
    drawn.StudyInstanceUID, drawn.PatientID = "1.0", "P0"
    record = {"image": "ct/p1", "label": "drawn.dcm"}
    told = {"training": [record], "labels": {"0": "background", "1": "organ"}}
    files = two_series("ct/{}") | {"drawn.dcm": encode(drawn), "list.json": told}
    checked = check(written(files), DataConfig())
    assert [case.kind for case in checked.layout.cases] == ["contours"]
    assert sorted(checked.facts) == ["p1"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ct/p1/s03.dcm": encode(new_slice(3, STORED[3], "1.2.0"))[:200]}, "DCM_LOST"),
        (slices("ct/p1/more", 9), "PAIR_DUPLICATE"),
    ],
)
def test_a_folder_that_is_no_whole_single_series_is_an_error(written, change, code):
    files = two_series("ct/{}") | {"m.nii.gz": mask()} | change
    root = written(files | {"list.csv": b"image,label\nct/p1,m.nii.gz\n"})
    layout = find_layout(open_tree(root))
    assert [(error.case, error.code) for error in layout.problems] == [("p1", code)]


def test_a_folder_that_is_not_there_is_named(written):
    files = two_series("ct/{}") | {"m.nii.gz": mask()}
    root = written(files | {"list.csv": b"image,label\nct/p7,m.nii.gz\n"})
    assert [e.code for e in find_layout(open_tree(root)).problems] == ["PAIR_NO_IMAGE"]


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2), (2, 0, 1)], ids=str)
@pytest.mark.parametrize("flips", [(1, 1, 1), (1, -1, 1), (-1, -1, -1)], ids=str)
def test_a_label_of_turned_axes_lies_on_the_same_voxels(axes, flips):
    turned, affine = LABEL.transpose(axes), AFFINE[:, [*axes, 3]].copy()
    for axis, way in enumerate(flips):
        if way < 0:
            turned = np.flip(turned, axis)
            affine[:, 3] += affine[:, axis] * (turned.shape[axis] - 1)
            affine[:, axis] *= -1
    image, findings = Scan(np.zeros((1, *LABEL.shape)), AFFINE), Findings()
    label = fit_label(image, Scan(turned[None], affine), findings)
    np.testing.assert_array_equal(label.array[0], LABEL)
    assert (label.affine == AFFINE).all() or np.allclose(label.affine, AFFINE)
    moved = axes != (0, 1, 2) or flips != (1, 1, 1)
    assert [f.code for f in findings.found] == ["GEO_TURNED"] * moved


def test_masks_that_are_2d_images_a_slice_are_told_of_and_work_as_one_volume(written):
    files = two_series("{}/T2SPIR/DICOM_anon")
    drawn = {
        f"{i}/T2SPIR/Ground/IMG-{z:03}.png": png(LABEL[..., z].T) for i in IDS for z in range(10)
    }
    layout = find_layout(open_tree(written(files | drawn)))
    assert [error.code for error in layout.problems] == ["PAIR_NO_LABEL"] * 2
    assert "if the 10 2D images in p1/T2SPIR/Ground/ are its masks" in layout.problems[0].found
    others = written(files | drawn | {f"{i}/T2SPIR/DICOM_anon/mask.nii.gz": mask() for i in IDS})
    assert len(find_layout(open_tree(others)).cases) == 2


def test_folders_that_are_copies_of_one_series_are_told(written):
    once = two_series()
    copies = {f"copy_{n}_{name}": data for name, data in once.items() for n in (1, 2)}
    found = find_layout(open_tree(written(once | copies)), need_labels=False).findings
    told = [(f.level, f.found) for f in found if f.code == "DCM_COPY"]
    begin = "3 folders hold copies of its files: copy_1_{0}, copy_2_{0}, {0}"
    assert told == [("warning", begin.format(folder)) for folder in IDS]


@pytest.mark.parametrize("folder_of", ["p{n}/s{n:02}.dcm", "p/s{n:02}.dcm"])
def test_a_series_in_several_folders_or_with_a_slice_twice_is_no_copy(written, folder_of):
    stack = series(10, series="1.2.3")
    files = {folder_of.format(n=n): encode(one) for n, one in enumerate(stack)}
    files["p/again.dcm" if "p/s" in folder_of else "p0/again.dcm"] = encode(stack[0])
    found = find_layout(open_tree(written(files)), need_labels=False).findings
    assert [f for f in found if f.code == "DCM_COPY"] == []
