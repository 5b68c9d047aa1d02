"""Tables of names beside a label, whoever wrote them, are held to the classes; others are not."""

import json

import nibabel as nib
import numpy as np
import pytest
from volume_files import NRRD

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.formats.nrrd import read_nrrd

CLASSES = {"background": 0, "liver": 1, "tumour": 2}
RIGHT, SWAPPED = {1: "liver", 2: "tumour"}, {1: "tumour", 2: "liver"}
MORE = {0: "background", 1: "liver", 2: "tumour", 5: "kidney"}
PLACE = read_nrrd(NRRD + bytes(240)).affine


def rows(form, head=""):
    return lambda table: head + "".join(form.format(v, name) for v, name in table.items())


def in_json(key="", *, by_name=False):
    def make(table):
        told = (
            {name: v for v, name in table.items()}
            if by_name
            else {str(v): n for v, n in table.items()}
        )
        return json.dumps({"Space": "x", key: told} if key else told)

    return make


def objects(key, value, name):
    return lambda table: json.dumps({key: [{value: v, name: n} for v, n in table.items()]})


def xml(table):
    labels = "".join(f'<Label Key="{v}">{name}</Label>' for v, name in table.items())
    return f"<LabelTable>{labels}</LabelTable>"


COLUMNS = rows("{},{}\n", "value,name\n")
TABS = rows("{}\t{}\n", "index\tname\n")
# What is a table for sure, by its head, key or name.
FORMS = {
    "{}_ColorTable.csv": [rows("{},{},255,0,0\n", "LabelValue,Name,Color_R,Color_G,Color_B\n")],
    "{}.csv": [COLUMNS, rows('"{}";"{}"\n', "Label;Name\n"), rows("{},{}\n", "# mine\nid,label\n")],
    "{}.tsv": [TABS, rows("{}\t{}\tx\t#ff0000\n", "index\tname\tabbreviation\tcolor\n")],
    "{}.json": [in_json("labels"), in_json("labels", by_name=True), in_json("LabelMap"),
                in_json("classes"), objects("categories", "id", "name"),
                objects("segments", "labelValue", "name")],
    "{}_labels.json": [in_json(), in_json(by_name=True)],
    "{}.xml": [xml],
    "{}_labels.txt": [rows("{} {}\n"), rows("{}: {}\n"), rows('{} 255 0 0 1 1 1 "{}"\n')],
    "{}_ColorTable.ctbl": [rows("{} {} 255 0 0 255\n", "# Color\n")],
}  # fmt: skip
# What is one if it names nothing but classes.
UNSURE = {
    "{}.json": [in_json(), in_json(by_name=True)],
    "{}.txt": [rows("{} {}\n"), rows("{}, {}\n"), rows("{} {} 255 0 0 255\n")],
    "{}.csv": [rows("{},{}\n")],
}
SURE = [(name, form) for name, several in FORMS.items() for form in several]
ALL = [*SURE, *((name, form) for name, several in UNSURE.items() for form in several)]


def label(n):
    array = np.zeros((4, 5, 6), np.uint8)
    array[0:2, 0:3, 0 : 3 + n], array[3, 3:5, 4:6] = 1, 2
    return nib.Nifti1Image(array, PLACE).to_bytes()


def pairs(number=3):
    images = {f"images/c{n}.nrrd": NRRD + (np.arange(120, dtype=np.int16) * (n + 1)).tobytes()
              for n in range(number)}  # fmt: skip
    return images | {f"labels/c{n}.nii": label(n) for n in range(number)}


def found_in(root):
    findings = check(root, DataConfig(labels=CLASSES)).findings
    return [(f.level, f.case) for f in findings if f.code == "LBL_SEGMENT"]


def of_each(name, form, *tables):
    return {f"labels/{name.format(f'c{n}')}": form(t).encode() for n, t in enumerate(tables)}


@pytest.mark.parametrize(("name", "form"), ALL)
def test_a_table_that_swaps_classes_is_refused_and_one_that_fits_is_silent(written, name, form):
    assert found_in(written(pairs() | of_each(name, form, RIGHT, SWAPPED))) == [("error", "c1")]


@pytest.mark.parametrize(("name", "form"), SURE)
def test_a_table_of_more_names_than_classes_is_read_and_not_told_as_unused(written, name, form):
    tables = (MORE, MORE, MORE | {1: "kidney", 2: "liver", 5: "tumour"})
    root = written(pairs() | of_each(name, form, *tables))
    assert found_in(root) == [("error", "c2")]
    assert "LAY_UNUSED" not in {f.code for f in check(root, DataConfig(labels=CLASSES)).findings}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("labels.csv", COLUMNS),
        ("labels.tsv", TABS),
        ("labels.json", in_json()),
        ("labels.txt", rows("{} {}\n")),
        ("ColorTable.ctbl", rows("{} {} 9 9 9 9\n")),
        ("label_map.json", in_json(by_name=True)),
        ("labels.txt", lambda table: "\n".join(["background", *table.values()])),
        ("labels.txt", lambda table: "\n".join(["__ignore__", "_background_", *table.values()])),
    ],
)  # fmt: skip
def test_a_table_in_the_folder_of_labels_is_of_all(written, name, form):
    right = pairs() | {f"labels/{name}": form(RIGHT).encode()}
    assert not found_in(written(right))
    swapped = pairs() | {f"labels/{name}": form(SWAPPED).encode()}
    assert found_in(written(swapped)) == [("error", f"c{n}") for n in range(3)]


def in_bids(*named):
    files = {}
    for n in range(2):
        scan = NRRD + (np.arange(120, dtype=np.int16) * (n + 1)).tobytes()
        files[f"sub-{n}/anat/sub-{n}_T1w.nrrd"] = scan
        files[f"derivatives/x/sub-{n}/anat/sub-{n}_atlas-A_dseg.nii"] = label(n)
    return files | {name: form(table).encode() for name, form, table in named}


@pytest.mark.parametrize(
    "name", ["derivatives/x/{}dseg.tsv", "{}dseg.tsv", "derivatives/{}dseg.json"]
)
@pytest.mark.parametrize("entity", ["", "atlas-A_"])
def test_a_table_of_bids_is_of_the_labels_below(written, name, entity):
    form = TABS if name.endswith("tsv") else in_json("LabelMap")
    root = written(in_bids((name.format(entity), form, SWAPPED)))
    assert found_in(root) == [("error", f"sub-{n}_T1w") for n in range(2)]


def test_the_nearest_table_of_bids_stands(written):
    far = ("derivatives/x/dseg.tsv", TABS, SWAPPED)
    own = [(f"derivatives/x/sub-{n}/anat/sub-{n}_atlas-A_dseg.tsv", TABS, RIGHT) for n in (0, 1)]
    assert found_in(written(in_bids(far, own[0]))) == [("error", "sub-1_T1w")]
    assert not found_in(written(in_bids(far, *own)))
    assert not found_in(written(in_bids(("derivatives/x/atlas-B_dseg.tsv", TABS, SWAPPED))))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c0.json", '{"tumour": 1}'),
        ("c0.json", '{"liver": 2, "kidneys": 1}'),
        ("c0.json", '{"liver": 2, "tumour": 2}'),
        ("c0.json", '{"labels": {"liver": 0, "tumour": 1}}'),
        ("c0.json", '{"labels": {"liver": false, "tumour": true}}'),
        ("c0.json", '{"labels": ["tumour", "liver"]}'),
        ("c0.json", '{"structures": {"liver": 2, "lesion": 1}}'),
        ("c0.json", '{"shapes": [{"label": "tumour", "id": 1}], "liver": 2}'),
        ("c0.json", '{"PatientID": "1", "SeriesNumber": 2, "stage": "tumour"}'),
        ("c0.csv", "label,name,volume_ml\n1,tumour,9\n2,liver,8\n"),
        ("c0.csv", "Segment,Volume\ntumour,1\nliver,2\n"),
        ("c0.csv", ",name\n1,tumour\n2,liver\n"),
        ("c0.csv", 'value,name\n1,"tumour, in the liver"\n2,"liver, whole"\n'),
        ("c0.tsv", "index\tonset\n1\t2\n"),
        ("c0.txt", "1 tumour\n2 cysts\n"),
        ("c0.txt", "2 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.1 0.1\n"),
        ("c0.txt", "tumour\nliver\n"),
        ("c0.xml", "<annotation><object><name>tumour</name></object></annotation>"),
        ("labels.csv", "case,label\nc0,tumour\nc1,liver\n"),
        ("labels.csv", "id,label\n0,liver\n1,tumour\n2,tumour\n"),
        ("c0.txt", "1 a" + " " * 100_000 + "b"),
        ("c0.json", "[" * 100_000),
        ("c0.csv", 'value,name\n1,"'),
    ],
)
def test_what_is_no_table_of_names_says_nothing(written, name, text):
    assert not found_in(written(pairs() | {f"labels/{name}": text.encode()}))


def test_a_table_of_names_that_tells_a_split_as_well_is_told(written):
    def form(split):
        return lambda table: json.dumps(
            {"labels": {str(v): n for v, n in table.items()}, "split": split}
        )

    splits = ("train", "train", "test")
    files = {f"labels/c{n}.json": form(split)(RIGHT).encode() for n, split in enumerate(splits)}
    findings = check(written(pairs() | files), DataConfig(labels=CLASSES)).findings
    assert [(f.level, f.file) for f in findings if f.code == "LAY_UNUSED"] == [
        ("warning", "labels/c0.json")
    ]
