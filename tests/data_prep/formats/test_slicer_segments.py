"""Segments that a NRRD header names are of the class they are called by, in every case."""

import numpy as np
import pytest
from volume_files import NRRD

from data_prep.checks.run import check
from data_prep.core.config import DataConfig, Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.files.file_tree import open_tree
from data_prep.formats.nrrd import read_nrrd
from data_prep.layouts import find_layout
from data_prep.reading.case import read_case

TWO = {"background": 0, "liver": 1, "tumour": 2}
ONE = {"background": 0, "foreground": 1}
LIVER, TUMOUR = np.s_[0:2, 0:3, 0:4], np.s_[2:4, 1:5, 3:6]
IMAGE = NRRD + np.arange(120, dtype=np.int16).tobytes()


def seg_nrrd(segments, layers=1, old=False):
    """A file of `(name, value, layer, voxels)`; `old` as before Slicer 4.11."""
    array = np.zeros((layers, 4, 5, 6), np.int16)
    keys = []
    for n, (name, value, layer, where) in enumerate(segments):
        array[layer][where] = value
        keys += [f"Segment{n}_Name:={name}", f"Segment{n}_ID:=Segment_{n}"]
        if not old:
            keys += [f"Segment{n}_LabelValue:={value}", f"Segment{n}_Layer:={layer}"]
    header = NRRD.replace(b"key:=value\n", "".join(f"{key}\n" for key in keys).encode())
    if layers > 1:
        header = header.replace(b"dimension: 3", b"dimension: 4")
        header = header.replace(b"sizes: 4 5 6", b"sizes: %d 4 5 6" % layers)
        header = header.replace(b"space directions: (", b"space directions: none (")
    return header + array.tobytes(order="F")


def read(written, label, labels=TWO, accept=(), **told):
    tree = open_tree(written({"images/a.nrrd": IMAGE, "labels/a.seg.nrrd": label}))
    (case,) = find_layout(tree).cases
    findings = Findings(accept)
    _, scan = read_case(tree, case, Rules(("image",), labels, accept=accept, **told), findings)
    return scan.array[0], [(f.level, f.code) for f in findings.found]


def want(liver=1, tumour=2):
    array = np.zeros((4, 5, 6), int)
    array[LIVER], array[TUMOUR] = liver, tumour
    return array


@pytest.mark.parametrize(
    ("label", "labels", "told", "codes"),
    [
        (seg_nrrd([("Liver", 1, 0, LIVER), ("tumour", 2, 0, TUMOUR)]), TWO, {}, []),
        (
            seg_nrrd([("tumour", 1, 0, TUMOUR), ("liver", 2, 0, LIVER)]),
            TWO,
            {},
            [("note", "LBL_BY_NAME")],
        ),
        (
            seg_nrrd([("tumour", 7, 1, TUMOUR), ("liver", 7, 0, LIVER)], layers=2),
            TWO,
            {},
            [("note", "LBL_BY_NAME")],
        ),
        (
            seg_nrrd([("liver", 1, 0, LIVER), ("tumour", 1, 1, TUMOUR)], layers=2, old=True),
            TWO,
            {},
            [("note", "LBL_BY_NAME")],
        ),
        (seg_nrrd([("Segment_1", 1, 0, LIVER), ("Segment_2", 2, 0, TUMOUR)]), TWO, {}, []),
        (
            seg_nrrd([("Leber", 2, 0, LIVER), ("Krebs", 1, 0, TUMOUR)]),
            TWO,
            {"structures": {"leber": 1, "krebs": 2}},
            [("note", "LBL_BY_NAME")],
        ),
        (
            seg_nrrd([("Leber", 5, 0, LIVER), ("Krebs", 4, 0, TUMOUR)]),
            TWO,
            {"label_map": {5: 1, 4: 2}},
            [],
        ),
    ],
)
def test_a_name_is_one_class_whatever_its_value(written, label, labels, told, codes):
    array, found = read(written, label, labels, **told)
    np.testing.assert_array_equal(array, want())
    assert found == codes


def test_a_name_that_tells_nothing_else_is_the_one_class(written):
    array, found = read(written, seg_nrrd([("lesion", 1, 0, LIVER)]), ONE)
    np.testing.assert_array_equal(array, want(tumour=0))
    assert found == [("note", "LBL_SEGMENT")]


def test_beside_the_one_class_by_name_nothing_is_it_by_its_value(written):
    label = seg_nrrd([("GTV", 1, 0, LIVER), ("Heart", 1, 1, TUMOUR)], layers=2)
    array, found = read(written, label, {"background": 0, "GTV": 1})
    np.testing.assert_array_equal(array, want(tumour=0))
    assert found == [("note", "DCM_UNUSED")]


def gtv(written, *names, **told):
    """A check of a set whose cases name their only segment so, in each another voxel more."""
    files = {}
    for n, name in enumerate(names):
        image = NRRD + (np.arange(120, dtype=np.int16) * (n + 1)).tobytes()
        where = np.s_[0:2, 0:3, 0 : 2 + n]
        label = seg_nrrd([(name, 1, 0, where)])
        files |= {f"images/{n}.nrrd": image, f"labels/{n}.seg.nrrd": label}
    settings = {"labels": {"background": 0, "GTV": 1}, **told}
    checked = check(written(files), DataConfig(**settings))
    errors = [(error.code, error.case) for error in checked.errors]
    return errors, [f.level for f in checked.findings if f.code == "LBL_SEGMENT" and not f.case]


@pytest.mark.parametrize(
    ("names", "told", "errors", "levels"),
    [
        (("Heart", "GTV", "gtv"), {}, [("LBL_SEGMENT", "0")], []),
        (("Heart", "GTV", "gtv"), {"accept": ("LBL_SEGMENT",)}, [], []),
        (("Heart", "GTV", "GTV"), {"label_map": {1: 1}}, [], []),
        (("Tumour", "GTV", "GTV"), {"structures": {"tumour": 1}}, [], []),
        (("Segment_1", "GTV", "GTV"), {}, [], []),
        (("lesion", "lesion", "Lesion 2"), {}, [], []),
        (("Heart", "lesion", "lesion"), {}, [], ["warning"]),
        (("Heart", "lesion", "lesion"), {"accept": ("LBL_SEGMENT",)}, [], ["note"]),
    ],
    ids=str,
)
def test_a_name_that_other_cases_contradict_is_refused(written, names, told, errors, levels):
    assert gtv(written, *names, **told) == (errors, levels)


def test_what_is_no_class_by_name_and_value_is_left_out(written):
    label = seg_nrrd([("liver", 1, 0, LIVER), ("BODY", 9, 0, TUMOUR)])
    array, found = read(written, label)
    np.testing.assert_array_equal(array, want(tumour=0))
    assert found == [("warning", "LBL_MISSING"), ("note", "DCM_UNUSED")]


UNNAMED = [("liver", 1, 0, LIVER), ("Lesion", 2, 0, TUMOUR)]


@pytest.mark.parametrize(
    ("label", "told", "message"),
    [
        (seg_nrrd(UNNAMED), {}, "LBL_SEGMENT: segment 'Lesion' has value 2, that of class tumour"),
        (
            seg_nrrd([("Krebs", 1, 0, TUMOUR), ("Leber", 2, 0, LIVER)]),
            {},
            "LBL_SEGMENT: segment 'Krebs' has value 1, that of class liver",
        ),
        (seg_nrrd([("Krebs", 9, 0, TUMOUR)]), {}, "LBL_UNKNOWN: segment 'Krebs' has value 9"),
        (
            seg_nrrd([("liver", 1, 0, LIVER), ("Tumours", 2, 0, TUMOUR)]),
            {},
            r"LBL_NEAR: \['Tumours'\]",
        ),
        (
            seg_nrrd([("liver", 2, 0, LIVER)]),
            {"label_map": {2: 2}},
            "HDR_CONFLICT: segment 'liver' is class 1, its value 2 in label_map class 2",
        ),
        (
            seg_nrrd([("liver", 1, 0, LIVER), ("tumour", 1, 1, LIVER)], layers=2),
            {},
            "LBL_OVERLAP: 24 voxels of 'tumour' are in another class",
        ),
        (
            seg_nrrd([("liver", 1, 0, LIVER), ("tumour", 1, 0, TUMOUR)]),
            {},
            "HDR_CONFLICT: 2 segments have value 1 of layer 0",
        ),
        (
            seg_nrrd([("liver", 1, 0, LIVER)]).replace(b"Layer:=0", b"Layer:=1"),
            {},
            "HDR_CONFLICT: segment 0 is value 1 of layer 1, of 1",
        ),
        (
            seg_nrrd([("liver", 1, 0, LIVER)]).replace(b"LabelValue:=1", b"LabelValue:=2"),
            {},
            "HDR_CONFLICT: voxels of value 1, which no segment has",
        ),
        (
            seg_nrrd([("liver", 1, 0, LIVER)]).replace(b"LabelValue:=1", b"LabelValue:=x"),
            {},
            "HDR_DAMAGED: segment 0 is told by",
        ),
    ],
)
def test_names_and_values_that_contradict_each_other_are_refused(written, label, told, message):
    with pytest.raises(DataError, match=message):
        read(written, label, **told)


def test_values_of_other_names_count_where_that_is_accepted(written):
    array, _ = read(written, seg_nrrd(UNNAMED), accept=("LBL_SEGMENT",))
    np.testing.assert_array_equal(array, want())


def test_a_key_that_is_there_twice_is_refused():
    label = seg_nrrd([("liver", 1, 0, LIVER)]).replace(b"Segment0_ID", b"Segment0_Name")
    with pytest.raises(DataError, match="HDR_CONFLICT: 'Segment0_Name' is there twice"):
        read_nrrd(label)


def with_extents(*extents, **of_file):
    told = "".join(f"Segment{n}_Extent:={extent}\n" for n, extent in enumerate(extents))
    segments = [("Liver", 1, 0, LIVER), ("tumour", 2, 0, TUMOUR)]
    label = seg_nrrd(segments, **of_file)
    return label.replace(b"Segment0_Name", told.encode() + b"Segment0_Name", 1)


@pytest.mark.parametrize(
    ("extents", "warned"),
    [
        (("0 1 0 2 0 3", "2 3 1 4 3 5"), 0),  # just around each
        (("0 3 0 4 0 5", "0 3 0 4 0 5"), 0),  # the whole file, as of a shared layer
        (("0 1 0 2 0 3",), 0),  # one that is told of one segment alone
        (("0 1 0 2 0 3", "2 3 1 4 3 4"), 1),  # a slice of the second is outside
        (("0 -1 0 -1 0 -1", "2 3 1 4 3 5"), 1),  # told to be nowhere
        (("0 1 0 2 0 3", "2 3 1 4 3 9"), 1),  # beyond the file
        (("-4 1 0 2 0 3", "3 3 1 4 3 5"), 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("layers", [1, 2])
def test_segments_are_held_to_their_extents(written, extents, warned, layers):
    array, codes = read(written, with_extents(*extents, layers=layers))
    assert np.array_equal(array, want())
    assert codes == [("warning", "LBL_EXTENT")] * warned


@pytest.mark.parametrize("extent", ["0 1 0 2 0", "a b c d e f", ""])
def test_an_extent_that_is_none_is_refused(extent):
    with pytest.raises(DataError, match="HDR_DAMAGED: extent"):
        read_nrrd(with_extents(extent))
