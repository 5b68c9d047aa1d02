"""Tables of BIDS beside that of subjects say of cases what no layout reads, and are named."""

from itertools import product

import pytest
from bad_sets import blob, gz, nifti, noise

from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout

SUBJECTS = [f"sub-{n}" for n in range(4)]
OUT = ("0", "0", "1", "n/a")
TELLING = {
    "exclude": (OUT, ()),
    "excluded": (("n/a", "n/a", "yes", "n/a"), ()),
    "qc": (("pass", "pass", "fail", "pass"), ()),
    "patient_id": ("ABAC", ("groups",)),
    "family": (("f1", "f2", "f1", "n/a"), ("groups",)),
    "mother_id": (("m1", "m2", "m1", "m3"), ("groups",)),
    "split": (("train", "train", "test", "test"), ("split",)),
}
SILENT = {
    "acq_time": [f"2009-06-1{n}T13:45:30" for n in (1, 1, 2, 2)],
    "age": ("9", "9", "8", "n/a"),
    "sex": "MMFF",
    "handedness": "RRLL",
    "patient_id": "ABCD",  # as the subjects
    "exclude": "0000",
}


def scan_and_label(entities, seed):
    folder, name = "/".join(entities), "_".join(entities)
    return {
        f"{folder}/anat/{name}_T1w.nii.gz": gz(nifti(noise(seed))),
        f"derivatives/x/{folder}/anat/{name}_dseg.nii.gz": gz(nifti(blob())),
    }


def of_scans(column, values):
    """A table of each subject, which tells of a scan that is no case, too."""
    files = {}
    for n, (subject, value) in enumerate(zip(SUBJECTS, values, strict=True)):
        rows = [f"filename\t{column}", f"func/{subject}_bold.nii.gz\tn/a"]
        rows.append(f"anat/{subject}_T1w.nii.gz\t{value}")
        files |= scan_and_label([subject], n)
        files[f"{subject}/{subject}_scans.tsv"] = "\n".join(rows).encode()
    return files


def of_sessions(column, values):
    """Two subjects of two sessions each."""
    files = {}
    for n, (subject, session) in enumerate(product(SUBJECTS[:2], ("ses-1", "ses-2"))):
        files |= scan_and_label([subject, session], n)
        name = f"{subject}/{subject}_sessions.tsv"
        rows = files.get(name, f"session_id\t{column}".encode()).decode()
        files[name] = f"{rows}\n{session}\t{values[n]}".encode()
    return files


def of_subjects(column, values, name="participants.tsv"):
    files = {}
    rows = [f"participant_id\tage\t{column}"]
    for n, (subject, value) in enumerate(zip(SUBJECTS, values, strict=True)):
        files |= scan_and_label([subject], n)
        rows.append(f"{subject}\t{n}\t{value}")
    return files | {name: "\n".join(rows).encode()}


def found_in(root):
    findings = find_layout(open_tree(root), need_labels=True).findings
    return [(f.level, f.code, getattr(f, "about", ())) for f in findings]


@pytest.mark.parametrize("make", [of_scans, of_sessions])
@pytest.mark.parametrize("column", TELLING)
def test_tables_of_one_subject_each_are_judged_as_one_table(written, make, column):
    values, about = TELLING[column]
    assert found_in(written(make(column, values))) == [("warning", "LAY_UNUSED", about)]


@pytest.mark.parametrize("make", [of_scans, of_sessions])
@pytest.mark.parametrize("column", [name for name in SILENT if name != "patient_id"])
def test_usual_columns_of_scans_and_sessions_are_silent(written, make, column):
    assert not found_in(written(make(column, SILENT[column])))


def test_patients_that_are_the_subjects_are_silent(written):
    assert not found_in(written(of_scans("patient_id", SILENT["patient_id"])))
    assert not found_in(written(of_sessions("patient_id", "AABB")))


def test_scans_that_are_no_case_are_left_out_in_peace(written):
    files = of_scans("exclude", "0000")
    files = {
        name: data.replace(b"bold.nii.gz\tn/a", b"bold.nii.gz\t1") for name, data in files.items()
    }
    assert not found_in(written(files))


@pytest.mark.parametrize("column", ["twin_pair", "mother_id", "father_id", "sibling_id", "family"])
def test_families_are_a_warning_in_the_table_of_subjects(written, column):
    found = found_in(written(of_subjects(column, ("f1", "f1", "f2", "f2"))))
    assert found == [("warning", "LAY_COLUMNS", ("groups",))]


@pytest.mark.parametrize(
    ("column", "values", "noted"),
    [
        ("same_as", ("n/a", "sub-0", "n/a", "n/a"), True),
        ("repeat_of", ("n/a", "n/a", "sub-1", "n/a"), True),
        ("batch", "AABB", True),
        ("sex", "MMFF", False),
        ("handedness", "RRLL", False),
        ("species", ("mus", "rattus", "mus", "mus"), False),
        ("mmse", ("29", "29", "27", "n/a"), False),
        ("mother_education", ("12", "12", "9", "9"), False),
        ("comments", ("", "", "moved", "n/a"), False),
    ],
)
def test_columns_of_subjects_that_join_some_or_name_others_are_noted(
    written, column, values, noted
):
    found = found_in(written(of_subjects(column, values)))
    assert found == [("note", "LAY_COLUMNS", ())] * noted


@pytest.mark.parametrize(
    "folder", ["derivatives/x", "phenotype", "code", "sourcedata", "sub-0", ""]
)
def test_the_table_of_subjects_is_read_where_it_belongs_and_told_elsewhere(written, folder):
    name = f"{folder}/participants.tsv".lstrip("/")
    split = ("train", "train", "train", "test")
    root = written(of_subjects("split", split, name))
    layout = find_layout(open_tree(root), need_labels=True)
    elsewhere = [("warning", "LAY_UNUSED", ("split",))] if folder else []
    assert found_in(root) == elsewhere
    assert [case.split for case in layout.cases] == [None] * 3 + [None if folder else "test"]
