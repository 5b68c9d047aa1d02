"""What tables call the values of a label, in its header or beside it, is held to the classes."""

import json

import nibabel as nib
import numpy as np
import pytest
from volume_files import NRRD

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.formats.label_tables.in_header import in_xml
from data_prep.formats.nrrd import read_nrrd
from data_prep.prepared.prepare import prepare

CLASSES = {"background": 0, "liver": 1, "spleen": 2}
RIGHT, SWAPPED = {1: "liver", 2: "spleen"}, {2: "liver", 1: "spleen"}
SIZE = (4, 5, 6)
PLACE = read_nrrd(NRRD + bytes(240)).affine
_LABELLED = '<Label Key="{}" Red="1"><![CDATA[{}]]></Label>'
_GROUPS = "org.mitk.multilabel.segmentation.labelgroups"


def xml(table):
    several = "".join(_LABELLED.format(value, name) for value, name in table.items())
    return (
        f'<?xml version="1.0"?><CaretExtension><LabelTable>{several}</LabelTable></CaretExtension>'
    )


def nifti(array, code=None, table=None):
    image = nib.Nifti1Image(array, PLACE)
    if table:
        extension = nib.nifti1.Nifti1Extension(code, xml(table).encode())
        image.header.extensions.append(extension)
    return image.to_bytes()


def workbench(array, table):
    return {".nii": nifti(array, 30, table)}


def total_segmentator(array, table):
    return {".nii": nifti(array, 0, table)}


def mitk(array, table):
    labels = [{"value": value, "name": name} for value, name in table.items()]
    told = f"{_GROUPS}:={json.dumps([{'labels': labels}])}\n".encode()
    header = NRRD.replace(b"key:=value\n", told)
    return {".nrrd": header + array.astype(np.int16).tobytes(order="F")}


def dcmqi(array, table):
    several = [[{"labelID": value, "SegmentLabel": name}] for value, name in table.items()]
    told = json.dumps({"segmentAttributes": several})
    return {".nii": nifti(array), ".json": told.encode()}


def dcmqi_by_code(array, table):
    several = [
        {
            "labelID": value,
            "SegmentLabel": f"Segment_{value}",
            "SegmentedPropertyTypeCodeSequence": {"CodeMeaning": name},
        }
        for value, name in table.items()
    ]
    told = json.dumps({"segmentAttributes": [several]})
    return {".nii": nifti(array), ".json": told.encode()}


def itk_snap(array, table):
    rows = ['    0     0    0    0        0  0  0    "Clear Label"']
    rows += [f'    {v}   255    0    0        1  1  1    "{name}"' for v, name in table.items()]
    return {".nii": nifti(array), "_labels.txt": "\n".join(["# ITK-SnAP", *rows]).encode()}


IN_HEADER = [workbench, total_segmentator, mitk]
BESIDE = [dcmqi, dcmqi_by_code, itk_snap]


def label(n, values=(1, 2)):
    array = np.zeros(SIZE, np.uint8)
    array[0:2, 0:3, 0 : 3 + n], array[3, 3:5, 4:6] = values
    return array


def of_tables(written, make, *tables, truth=False):
    """A set in which a table comes with each label; of `truth`, numbers are those of the names."""
    files = {}
    for n, table in enumerate(tables):
        image = NRRD + (np.arange(120, dtype=np.int16) * (n + 1)).tobytes()
        files[f"images/c{n}.nrrd"] = image
        values = (2, 1) if truth and table == SWAPPED else (1, 2)
        for end, content in make(label(n, values), table).items():
            files[f"labels/c{n}{end}"] = content
    return written(files)


def found_in(root, **settings):
    settings = {"labels": CLASSES, **settings}
    checked = check(root, DataConfig(**settings))
    codes = ("LBL_SEGMENT", "LBL_BY_NAME", "HDR_CONFLICT", "SET_UNUSED")
    return [(f.level, f.code, f.case) for f in checked.findings if f.code in codes]


@pytest.mark.parametrize("make", IN_HEADER)
def test_values_are_those_of_the_names_in_a_header(written, tmp_path, make):
    root = of_tables(written, make, RIGHT, SWAPPED, RIGHT, truth=True)
    dataset, problems = prepare(root, tmp_path / "out", DataConfig(labels=CLASSES))
    assert not problems
    for n in range(3):
        counts = np.bincount(np.asarray(dataset.arrays(f"c{n}")[1]).ravel(), minlength=3)
        np.testing.assert_array_equal(counts, np.bincount(label(n).ravel()))
    assert found_in(root) == [("note", "LBL_BY_NAME", "c1")]


@pytest.mark.parametrize("make", BESIDE)
def test_tables_beside_that_swap_classes_are_refused(written, make):
    root = of_tables(written, make, RIGHT, SWAPPED, RIGHT)
    assert found_in(root) == [("error", "LBL_SEGMENT", "c1")]
    assert found_in(root, accept=("LBL_SEGMENT",)) == [("note", "LBL_SEGMENT", "c1")]


@pytest.mark.parametrize("make", BESIDE)
def test_tables_beside_are_read_and_not_told_as_unused(written, make):
    found = check(of_tables(written, make, RIGHT, RIGHT), DataConfig(labels=CLASSES)).findings
    assert "LAY_UNUSED" not in {finding.code for finding in found}


def labelme(written, *names):
    files = {}
    for n, several in enumerate(names):
        files[f"c{n}/image.nrrd"] = NRRD + (np.arange(120, dtype=np.int16) * (n + 1)).tobytes()
        files[f"c{n}/label.nii"] = nifti(label(n))
        files[f"c{n}/label_names.txt"] = "\n".join(["_background_", *several]).encode()
    return written(files)


def test_lines_of_labelme_are_values(written):
    root = labelme(written, ("liver", "spleen"), ("spleen", "liver"), ("liver", "spleen", "ribs"))
    assert found_in(root) == [("error", "LBL_SEGMENT", "c1")]


def test_a_table_that_names_some_values_alone_is_refused_in_a_header(written):
    root = of_tables(written, workbench, {2: "liver", 1: "other"}, RIGHT)
    assert found_in(root) == [("error", "LBL_SEGMENT", "c0")]


@pytest.mark.parametrize("make", [*IN_HEADER, *BESIDE])
@pytest.mark.parametrize(
    "tables",
    [
        (RIGHT, RIGHT),
        (RIGHT, {1: "LIVER ", 2: "Spleen", 0: "???", 7: "kidney"}),
        ({1: "Label 1", 2: "Label 2"}, {1: "Segment_2", 2: "Segment_1"}, {1: "???", 2: "1"}),
        ({1: "Leber", 2: "Milz"}, RIGHT, {1: "Leber", 2: "Milz"}),
        ({1: "lesion 1", 2: "lesion 2"}, {1: "lesion 3", 2: "lesion 4"}),
        ({1: "liver", 2: "spleen", 5: "kidney"}, {5: "liver", 1: "liver", 2: "spleen"}),
    ],
    ids=str,
)
def test_names_that_fit_or_say_nothing_are_silent(written, make, tables):
    assert not found_in(of_tables(written, make, *tables))


@pytest.mark.parametrize("make", [workbench, mitk, dcmqi, itk_snap])
def test_cases_that_number_unknown_names_differently_are_told(written, make):
    root = of_tables(written, make, {1: "Leber", 2: "Milz"}, {1: "Milz", 2: "Leber"})
    assert found_in(root) == [("warning", "LBL_SEGMENT", None)]


def test_structures_name_the_values_of_a_table(written):
    root = of_tables(written, workbench, {1: "Leber", 2: "Milz"}, {1: "Milz", 2: "Leber"})
    found = found_in(root, structures={"leber": 1, "milz": 2})
    assert found == [("note", "LBL_BY_NAME", "c1")]


def test_a_map_of_numbers_that_a_table_contradicts_is_refused(written):
    root = of_tables(written, workbench, RIGHT, SWAPPED)
    found = found_in(root, label_map={1: 1, 2: 2})
    assert found == [("error", "HDR_CONFLICT", "c1")]


@pytest.mark.parametrize(
    "content",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><a><LabelTable><Label Key="1">&b;</Label></LabelTable></a>',
        b'<a><LabelTable><Label Key="x">liver</Label></LabelTable></a>',
        b"<a><LabelTable><Label>liver</Label></LabelTable></a>",
        b"<a><LabelTable>",
        b"<a><LabelTable/>" + b" " * (1 << 20) + b"</a>",
    ],
    ids=range(5),
)
def test_a_table_that_cannot_be_read_is_refused(content):
    with pytest.raises(DataError, match="HDR_DAMAGED: table of labels"):
        in_xml(content)


@pytest.mark.parametrize(
    "told", ["{}", "[1]", '[{"labels": [{"name": "a"}]}]', "[", '[{"labels": 1}]']
)
def test_groups_that_cannot_be_read_are_refused(told):
    header = NRRD.replace(b"key:=value\n", f"{_GROUPS}:={told}\n".encode())
    with pytest.raises(DataError, match="HDR_DAMAGED: label groups"):
        read_nrrd(header + bytes(240))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"segmentAttributes": 3}', b"\xff\xfe\x00"]
)
def test_files_beside_that_hold_something_else_say_nothing(written, content):
    def make(array, table):
        return {".nii": nifti(array), ".json": content, "_labels.txt": content}

    assert not found_in(of_tables(written, make, RIGHT, RIGHT))


def test_an_empty_text_of_labelme_says_nothing(written):
    names = {"c0/image.nrrd": NRRD + bytes(240), "c0/label.nii": nifti(label(0))}
    assert not found_in(written({**names, "c0/label_names.txt": b""}))
