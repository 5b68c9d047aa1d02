"""Columns and keys of other names tell the split if all is understood; else they are named."""

import pytest
from bad_sets import blob, gz, nifti, noise
from listed_sets import pairs, table

from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout

TOLD = ("train", "train", "train", "test")
BOTH = [None, "test", "test", None]


PATIENTS = (
    *("Pat_ID", "PatID", "patid", "Pat. ID", "Pt ID", "ptid", "subj_id", "Participant Number"),
    *("Patientennummer", "Patienten-ID", "paciente", "volunteer", "donor", "mouse", "specimen"),
    *("slide", "slide_id", "wsi", "StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber"),
    *(
        "accession",
        "Study",
        "video",
        "subject_label",
        "RID",
        "record_id",
        "Proband",
        "animal",
        "Patient No.",
        "study_id",
        "Hospital Number",
        "Center-Patient-ID",
        "Site patient number",
        "image_patient_id",
    ),
)
NO_PATIENTS = {
    "sex": ("M", "M", "F", "F"),
    "age": ("65", "65", "71", "80"),
    "patient_age": ("65", "65", "71", "80"),
    "Patient Position": ("HFS", "HFS", "HFP", "FFS"),
    "scanner": ("S1", "S1", "S2", "S3"),
    "scanner_id": ("S1", "S1", "S2", "S3"),
    "center_no": ("1", "1", "2", "3"),
    "SOPClassUID": ("1.2", "1.2", "1.3", "1.4"),
    "slice_number": ("1", "2", "1", "3"),
    "rater_id": ("r1", "r1", "r2", "r3"),
    "score": ("1", "1", "2", "3"),
    **dict.fromkeys(("race_code", "ward_id", "polyp_number", "file_no"), ("1", "1", "2", "3")),
    "date": ("2020-01-01", "2020-01-01", "2020-02-01", "2020-03-01"),
    "modality": ("T1", "T1", "T2", "FLAIR"),
    "donor": ("yes", "yes", "no", "no"),
    "specimen": ("0.5", "0.5", "1.5", "2.5"),
    "Pat_ID": ("1", "2", "3", "4"),
    "study": ("ADNI1", "ADNI1", "ADNI2", "ADNI2"),
    "volume": ("120", "120", "130", "140"),
    "pathology": ("a", "a", "b", "c"),
    "pattern": ("a", "a", "b", "c"),
}


def listing(kind, column, values):
    if kind == "csv":
        return table(f"image,label,{column}", *values)
    records = [
        {"image": f"i/{n}.png", "label": f"m/{n}.png", column: value}
        for n, value in zip("abcd", values, strict=True)
    ]
    return {**pairs(["{}"], "abcd", "i", "m"), "list.json": {"training": records}}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        *((name, TOLD) for name in ("set", "Dataset", "cohort", "phase", "data_split")),
        ("is_test", ("False", "False", "0", "True")),
        ("test", ("no", "no", "no", "yes")),
        *((name, ("0", "0", "0", "1")) for name in ("is_holdout", "use_for_test", "inTestSet")),
        *((name, ("n", "n", "n", "y")) for name in ("is_val", "val", "validation")),
        *((name, ("1", "1", "1", "0")) for name in ("is_train", "train", "is_training")),
        *(("is_test", ("", "", "", mark)) for mark in ("x", "✓", "*")),
        ("training", ("X", "X", "X", "")),
        *(("is_test", (no, no, no, yes)) for no, yes in (("nein", "ja"), ("FALSCH", "WAHR"))),
        *(("is_test", (no, no, no, yes)) for no, yes in (("non", "oui"), ("no", "sí"))),
        ("set", ("Training set", "Training set", "training", "held out")),
        ("train_or_test", TOLD),
        *((name, ("n", "n", "n", "y")) for name in ("Test?", "Is Test?", "test set (y/n)")),
        ("is_test", ("0", "0", "0", "-1")),
        ("is_train", ("-1", "-1", "-1", "0")),
    ],
)
@pytest.mark.parametrize("listed", ["csv", "json"])
def test_a_column_of_another_name_tells_the_split_if_all_is_understood(
    written, column, values, listed
):
    layout = find_layout(open_tree(written(listing(listed, column, values))))
    assert {case.id: case.split for case in layout.cases} == dict.fromkeys("abc") | {"d": "test"}
    noted = [f for f in layout.findings if f.code != "SPLIT_VALIDATION"]
    may_be_another = column in ("test", "val", "validation", "Test?")
    assert [(f.level, f.code) for f in noted] == [("note", "LAY_COLUMNS")] * may_be_another


@pytest.mark.parametrize(
    ("column", "values", "level"),
    [
        ("cohort", ("train", "train", "B", "test"), "warning"),
        ("set", ("train", "", "", "test"), "warning"),
        ("is_test", ("False", "", "", "True"), "warning"),
        ("purpose", TOLD, "warning"),
        ("is_test", ("", "", "", "1"), "warning"),
        ("test", ("", "", "", "held out"), "warning"),
        ("is_val", ("kyllä", "ei", "ei", "ei"), "warning"),
        ("data_split", ("A", "A", "A", "B"), "warning"),
        ("split_2", TOLD, "warning"),
        ("is_test", ("0.1", "0.2", "0", "1"), "warning"),
        ("is_test", ("-1", "0", "0", "1"), "warning"),
        ("is_test", ("x", "x", "x", "x"), "warning"),
        ("is_test", ("", "", "", ""), "note"),
        *((name, ("yes", "yes", "yes", "no"), "warning") for name in ("valid", "is_valid")),
        ("valid", ("yes", "yes", "yes", "yes"), "note"),
        ("val", ("7.5", "7", "7", "8"), "note"),
        ("TR", ("2000", "2000", "2000", "2500"), "note"),
        ("TR", ("2", "2", "2", "3"), "note"),
        *((name, ("P1", "P1", "P2", "P3"), "warning") for name in PATIENTS),
        ("family_id", ("1", "1", "2", "3"), "warning"),
        *((name, values, "note") for name, values in NO_PATIENTS.items()),
        ("cohort", ("development", "development", "dev", "external test"), "warning"),
        ("exclude", ("no", "no", "yes", "no"), "warning"),
        ("Use", ("1", "1", "1", "0"), "warning"),
        ("rejected", ("0", "0", "0", "1"), "warning"),
        ("status", ("ok", "ok", "excluded", "ok"), "warning"),
        ("qc", ("pass", "pass", "fail", "pass"), "warning"),
        ("QC status", ("ok", "", "Failed", "unclear"), "warning"),
        ("qc_pass", ("1", "1", "0", "1"), "warning"),
        ("qc", ("pass", "pass", "pass", "pass"), "note"),
        ("qc", ("fail", "fail", "fail", "fail"), "note"),
        ("therapy", ("pass", "pass", "fail", "pass"), "note"),
        ("outer_fold", ("0", "0", "1", "1"), "warning"),
        ("cv", ("1", "2", "1", "2"), "warning"),
        ("PatientName", ("A", "A", "B", "C"), "warning"),
        ("mrn", ("7", "7", "8", "8"), "warning"),
        ("mrn", ("6", "7", "8", "9"), "note"),
        ("cv", ("0.5", "0.5", "0.75", "1"), "note"),
        ("fold_change", ("0", "0", "1", "1"), "note"),
        ("keep", ("x", "x", "", "x"), "note"),
        ("exclude", ("no", "no", "no", "no"), "note"),
        ("cohort", ("A", "A", "B", "B"), "note"),
        ("test", ("7.5", "8.1", "9", "8"), "note"),
        ("remark", ("", "", "a test", "test"), "note"),
        ("test", ("pos", "neg", "neg", "pos"), "note"),
        ("test", ("2020-01-01", "2020-02-01", "2020-02-01", "2020-03-01"), "note"),
        ("evaluation", ("good", "good", "bad", "good"), "note"),
        ("evaluation", ("A", "A", "A", "held out"), "warning"),
        ("treatment_status", ("failed", "responded", "failed", "responded"), "note"),
        ("graft", ("rejected", "rejected", "kept", "kept"), "note"),
        ("margin_status", ("rejected", "ok", "ok", "ok"), "note"),
        ("tumour control", ("fail", "ok", "ok", "ok"), "note"),
        ("image_status", ("ok", "ok", "rejected", "ok"), "warning"),
        ("quality control", ("ok", "ok", "fail", "ok"), "warning"),
        ("Comment", ("", "", "excluded", ""), "warning"),
    ],
)
@pytest.mark.parametrize("listed", ["csv", "json"])
def test_a_column_that_may_tell_a_split_is_warned_of_by_name(
    written, column, values, level, listed
):
    layout = find_layout(open_tree(written(listing(listed, column, values))))
    assert [case.split for case in layout.cases] == [None] * 4
    (finding,) = layout.findings
    assert (finding.level, finding.code) == (level, "LAY_COLUMNS")
    assert repr(column) in finding.found


@pytest.mark.parametrize(
    ("cells", "level"),
    [
        (("1,0", "1,0", "0,1", "0,1"), "warning"),
        (("x,", "x,", ",x", ",x"), "warning"),
        (("0.5,0.6", "1,0.7", "0.9,0", "0,1"), "note"),  # scores
    ],
)
def test_columns_of_a_fold_each_are_warned_of_together(written, cells, level):
    root = written(table("image,label,fold_0,fold_1", *cells))
    (finding,) = find_layout(open_tree(root)).findings
    assert (finding.level, finding.code) == (level, "LAY_COLUMNS")
    assert "'fold_0', 'fold_1'" in finding.found


PARTED = ("train", "train", "Validation", "held out")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        *((name, PARTED) for name in ("group", "Group", "site", "patient", "Subject ID")),
        ("group", ("derivation", "derivation", "validation", "validation")),
        ("group", ("training set 1", "training set 1", "training set 2", "test set 1")),
        ("site", ("Trainingsdatensatz", "Trainingsdatensatz", "Testdatensatz", "Testdatensatz")),
        ("patient", ("train", "train", "train", "external test")),
    ],
)
@pytest.mark.parametrize("listed", ["csv", "json"])
def test_groups_that_are_parts_of_a_split_are_refused(written, column, values, listed):
    with pytest.raises(DataError, match=rf"LAY_COLUMNS: '{column}' tells groups.*call it split"):
        find_layout(open_tree(written(listing(listed, column, values))))


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        (("train", "train", "test", "B"), True),
        (("A", "A", "test", "B"), False),
        (("TS", "TS", "BA", "KL"), False),
        (("TR", "TR", "TS", "TS"), True),
        (("training 1", "training 1", "validation 1", "B"), True),
        (("discovery", "discovery", "replication", "replication"), True),
        (("Test hospital", "Test hospital", "St. Mary", "St. Mary"), False),
        (("train_p1", "train_p2", "test_p3", "val_p4"), False),
        (("train1", "train1", "x", "y"), False),
        (("control", "control", "treated", "treated"), False),
    ],
)
@pytest.mark.parametrize("listed", ["csv", "json"])
def test_groups_of_which_some_are_parts_are_warned_of(written, values, warned, listed):
    layout = find_layout(open_tree(written(listing(listed, "group", values))))
    assert [case.group for case in layout.cases] == [*values]
    assert [(f.level, f.code) for f in layout.findings] == [("warning", "LAY_COLUMNS")] * warned


def test_families_are_told_of_beside_patients_whom_they_hold(written):
    rows = ("p1,f1", "p2,f1", "p3,f2", "p4,f3")
    (told,) = find_layout(open_tree(written(table("image,label,patient,family", *rows)))).findings
    assert (told.level, told.code) == ("warning", "LAY_COLUMNS")
    assert "'family'" in told.found


@pytest.mark.parametrize(
    ("column", "values", "split", "told"),
    [
        ("is_test", ("n/a", "n/a", "x"), [None, None, "test"], []),
        ("is_test", ("nein", "nein", "ja"), [None, None, "test"], []),
        ("is_test", ("0", "0", "-1"), [None, None, "test"], []),
        ("is_test", ("0.1", "0.5", "1"), [None] * 3, ["'is_test'"]),
        ("valid", ("yes", "yes", "no"), [None] * 3, ["'valid'"]),
        ("is_test", ("n/a", "n/a", "1"), [None] * 3, ["'is_test'"]),
        ("group", ("train", "train", "test"), [None] * 3, ["'group'"]),
        ("family_id", ("1", "1", "2"), [None] * 3, ["'family_id'"]),
        ("fold_idx", ("0", "0", "1"), [None] * 3, ["'fold_idx'"]),
        ("sex", ("M", "M", "F"), [None] * 3, []),
    ],
)
def test_what_a_table_of_subjects_tells_is_read_or_told(written, column, values, split, told):
    files = {}
    rows = [f"participant_id\t{column}"]
    for number, value in enumerate(values, 1):
        files[f"sub-{number}/anat/sub-{number}_T1w.nii.gz"] = gz(nifti(noise(number)))
        name = f"derivatives/x/sub-{number}/anat/sub-{number}_dseg.nii.gz"
        files[name] = gz(nifti(blob()))
        rows.append(f"sub-{number}\t{value}")
    layout = find_layout(open_tree(written(files | {"participants.tsv": "\n".join(rows).encode()})))
    assert [case.split for case in layout.cases] == split
    assert all(f.level == "warning" for f in layout.findings)
    assert [name for name in told if name in layout.findings[0].found] == told
    assert len(layout.findings) == len(told)


def test_ids_that_differ_by_blanks_are_one_case_twice(written):
    files = table("image,label,id", "a", "a ", " b", "c")
    layout = find_layout(open_tree(written(files)))
    assert [case.id for case in layout.cases] == ["b", "c"]
    assert [error.code for error in layout.problems] == ["PAIR_DUPLICATE"]


@pytest.mark.parametrize(
    ("columns", "rows", "split"),
    [
        ("train,val,test", ("1,0,0", "1,0,0", "0,1,0", "0,0,1"), [None, None, "test", "test"]),
        ("is_test,is_val", ("0,0", "0,0", "0,1", "1,0"), [None, None, "test", "test"]),
        (
            "set,split",
            ("train,train", "dev,val", "test,test", "train,"),
            [None, *["test"] * 2, None],
        ),
        ("is_test,split", ("0,train", "0,val", "1,test", "0,"), BOTH),
        ("is_test,fold", ("0,0", "0,1", "1,", "0,1"), [0, 1, "test", 1]),
        ("valid,train", ("0,1", "1,0", "1,0", "0,1"), BOTH),
        ("valid,split", ("0,train", "1,val", "1,val", "0,"), BOTH),
    ],
)
def test_columns_that_agree_tell_the_split_together(written, columns, rows, split):
    layout = find_layout(open_tree(written(table(f"image,label,{columns}", *rows))))
    assert [case.split for case in layout.cases] == split
    assert not [f for f in layout.findings if f.code == "LAY_COLUMNS"]


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("is_test,is_train", ("0,1", "0,1", "1,1", "1,0")),
        ("set,split", ("train,train", "train,train", "train,test", "test,train")),
        ("is_test,split", ("0,train", "0,train", "0,test", "1,train")),
        ("set,cohort", ("train,train", "train,test", "test,test", "test,test")),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_columns_that_contradict_each_other_are_refused(written, columns, rows, kind):
    files = table(f"image,label,{columns}", *rows)
    if kind == "json":
        (name,) = [n for n in files if n.endswith(".csv")]
        head, *lines = files.pop(name).decode().splitlines()
        records = [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]
        files["list.json"] = {"training": records}
    with pytest.raises(DataError, match=r"LAY_(CSV|JSON|LIST): .*do not agree about case"):
        find_layout(open_tree(written(files)))


def test_a_list_of_images_that_are_elsewhere_is_named(written):
    files = pairs(["{}"], "abcd", "images", "masks")
    files["metadata.csv"] = b"image,patient\na.png,p1\nb.png,p1\n"
    with pytest.raises(DataError, match=r"LAY_CSV: it lists images, and none of 2 is there \(meta"):
        find_layout(open_tree(written(files)))


def test_a_list_set_apart_by_tabs_is_read(written):
    files = table("image,label,split", *TOLD)
    files["list.tsv"] = files.pop("list.csv").replace(b",", b"\t")
    found = find_layout(open_tree(written(files))).cases
    assert [case.split for case in found] == [None, None, None, "test"]


@pytest.mark.parametrize(
    ("values", "split"),
    [
        (("Training set", "train set", "Test set", "validation data"), [None, None, *["test"] * 2]),
        (("fold_0", "fold 1", "Fold0", "fold-1"), [0, 1, 0, 1]),
    ],
)
def test_words_for_parts_with_what_people_add_are_understood(written, values, split):
    found = find_layout(open_tree(written(table("image,label,split", *values)))).cases
    assert [case.split for case in found] == split


@pytest.mark.parametrize(
    "key", ["test", "test_ids", "split", "groups", "val_cases", "patients", "cv_ids"]
)
def test_keys_of_a_description_that_may_name_cases_are_warned_of(written, key):
    text = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}, "numTraining": 2}
    files = {f"imagesTr/{n}_0000.nii.gz": gz(nifti(noise(i))) for i, n in enumerate("ab")}
    files |= {f"labelsTr/{n}.nii.gz": gz(nifti(blob())) for n in "ab"}
    quiet = find_layout(open_tree(written(files | {"dataset.json": text})))
    assert not quiet.findings
    told = find_layout(open_tree(written(files | {"dataset.json": text | {key: ["a"]}})))
    assert [(f.level, f.code) for f in told.findings] == [("warning", "LAY_COLUMNS")]
    assert repr(key) in told.findings[0].found


@pytest.mark.parametrize(
    ("value", "warned"),
    [
        (["a"], True),
        (["./imagesTr/a_0000.nii.gz"], True),
        ({"x": ["a"], "y": ["b"]}, True),
        (["a", "b"], False),
        (["c"], False),
        ({"a": 1.5, "b": 2.0}, False),
    ],
)
def test_a_list_that_names_some_cases_is_warned_of_whatever_its_key(written, value, warned):
    text = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}, "odd": value}
    files = {f"imagesTr/{n}_0000.nii.gz": gz(nifti(noise(i))) for i, n in enumerate("ab")}
    files |= {f"labelsTr/{n}.nii.gz": gz(nifti(blob())) for n in "ab"}
    found = find_layout(open_tree(written(files | {"dataset.json": text}))).findings
    assert [f.code for f in found] == ["LAY_COLUMNS"] * warned


@pytest.mark.parametrize("names", [["CT"], "CT"])
def test_names_of_channels_that_are_not_numbered_are_refused(written, names):
    text = {"channel_names": names, "labels": {"background": 0, "a": 1}}
    files = {"imagesTr/a_0000.nii.gz": gz(nifti(noise())), "labelsTr/a.nii.gz": gz(nifti(blob()))}
    with pytest.raises(DataError, match="LAY_JSON: channel_names is"):
        find_layout(open_tree(written(files | {"dataset.json": text})))


@pytest.mark.parametrize("head", ["image,label,", 'image,label," "', "image,label,,"])
def test_a_column_without_a_name_is_told(written, head):
    more = "," * (head.count(",") - 2)
    found = find_layout(open_tree(written(table(head, *(part + more for part in TOLD)))))
    assert [(f.level, f.code) for f in found.findings] == [("warning", "LAY_COLUMNS")]
    assert "number 3, without a name" in found.findings[0].found


def test_a_list_takes_classes_and_channels_from_the_description_beside(written):
    text = {"labels": {"background": 0, "liver": 1}, "channel_names": {"0": "CT"}}
    files = table("image,label,split", *TOLD) | {"dataset.json": text}
    layout = find_layout(open_tree(written(files)))
    assert (layout.name, layout.labels, layout.channels) == ("csv", text["labels"], ("CT",))
    assert not layout.findings
