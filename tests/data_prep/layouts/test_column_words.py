"""Columns of folds and of whose a case is are known by any word of their names, or by values."""

import pytest
from listed_sets import pairs, table

from data_prep.core.values.tokens import tokens_of
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.layouts.lists.in_vain import parts_told

FOLDS = (
    *("fold_idx", "fold5", "fold1", "kfold5", "kfold_5", "5fold", "5-fold", "cv5", "fold_nr"),
    *("foldnum", "fold_assignment", "assigned_fold", "fold_2023", "fold_5cv", "seed_fold"),
    *(
        "fold_k",
        "n_fold",
        "fold_group",
        "trainsplit",
        "assignedFold",
        "cross-validation fold",
        "xval",
        "Falte",
    ),
    *("my_split", "split2", "partition_id", "subset_no", "outer_fold", "cv"),
)
PATIENTS = (
    *("ID_patient", "idPatient", "n_patient", "patient_idx", "case_patient", "hash_patient"),
    *(
        "patientID_anon",
        "código_paciente",
        "id_paciente",
        "ID_sujet",
        "usubjid",
        "originalpatientid",
        "Patientin",
    ),
    *("site_patient_id", "patient_of_scan", "patient2", "video_id", "clip_id", "sequence_id"),
    *("volume_id", "volume_nr", "stack_name", "idVideo", "videoid", "slide_nr", "animal_id"),
    *("eye_id", "specimen_name", "sequence_index", "family_no", "StudyInstanceUID"),
)
BY_VALUES = ("video", "clip_file", "sequence", "volume", "stack", "patient_of_origin", "sample_id")
SHARED = ("1", "1", "2", "3")
NAMED = ("p1", "p1", "q2", "r3")
MEASURED = ("0.5", "0.5", "1.5", "2")


def both(columns, values):
    return [(column, values) for column in columns]


OTHERS = [
    *both(
        (
            *("patient_age", "patient_sex", "patient gender", "patient_weight", "patientHeight"),
            *("patient_size", "Patient Position", "patient_orientation", "patient_status"),
            *("patient_comments", "patient_group", "treatment_group_of_patient", "subject_height"),
            *("patient_ethnicity", "patient_count", "n_patients", "number_of_patients"),
            *("num_subjects", "patient_race_code", "donor_site_id", "SOPClassUID", "slices"),
            *(
                "patterns",
                "impatient",
                "videos",
                "num_video",
                "volume_ml",
                "tumor_volume",
                "video_codec",
            ),
        ),
        SHARED,
    ),
    *both(("patient_age", "patient_weight", "patient_stage", "video_codec"), NAMED),
    *both(("volume", "video", "sequence", "stack", "patient_bmi_kg"), SHARED),
    ("patient_dose", ("50mg", "50mg", "60mg", "70mg")),
    *both(("fold_change", "cv", "volume", "split_ratio", "fold", "folds"), MEASURED),
    *both(("fold_change", "fold_score", "manifold", "scaffold_no", "cv_risk"), SHARED),
    *both(("partition_coefficient", "cell_subset", "split_ratio"), MEASURED),
    ("cv_event", ("0", "0", "1", "1")),
    ("sequence_name", ("*tfl3d1", "*tfl3d1", "T2w", "FLAIR")),
    ("sequence_id", ("T1", "T1", "T2", "FLAIR")),
    ("eye", ("L", "L", "R", "R")),
    ("eye_id", ("1", "1", "2", "2")),
    ("volume_id", ("1", "2", "3", "4")),
    ("fold_idx", ("1", "1", "1", "1")),
    ("is_test_positive", ("yes", "no", "no", "no")),
    ("covid_test", ("yes", "no", "no", "no")),
]


def level(column, values):
    (finding,) = parts_told("columns", {column: values}, "x.csv")[1]
    assert repr(column) in finding.found
    return finding.level


@pytest.mark.parametrize("column", [*FOLDS, *PATIENTS])
def test_a_word_of_a_name_that_tells_folds_or_patients_is_warned_of(column):
    assert level(column, SHARED) == "warning"


@pytest.mark.parametrize("column", BY_VALUES)
def test_words_that_may_be_of_anything_are_judged_by_values(column):
    assert level(column, NAMED) == "warning"


@pytest.mark.parametrize("column", ["is_validation_case", "final_eval", "isTestCase", "test_flag"])
def test_columns_of_yes_and_no_that_may_ask_about_a_part_are_warned_of(column):
    assert level(column, ("0", "0", "0", "1")) == "warning"


@pytest.mark.parametrize(
    "values", [("0", "1", "", "1"), ("a", "a", "b", "b"), ("0", "1", "test", "1")]
)
def test_folds_may_be_letters_or_missing(values):
    assert level("fold_idx", values) == "warning"


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("label2", ("a.png", "b.png", "", ""), "warning"),
        ("Mask_2", ("a.nii.gz",) * 4, "warning"),
        ("image3", ("a.png", "b.png", "c.png", "d.png"), "warning"),
        ("label2", SHARED, "note"),
        ("image_count", SHARED, "note"),
        ("label2", ("", "", "", ""), "note"),
    ],
)
def test_a_second_label_or_image_is_warned_of(column, values, told):
    assert level(column, values) == told


@pytest.mark.parametrize(("column", "values"), OTHERS)
def test_what_patients_folds_and_volumes_have_is_no_group(column, values):
    assert level(column, values) == "note"


@pytest.mark.parametrize("column", ["fold_idx", "id_paciente", "sequence_id"])
@pytest.mark.parametrize("where", ["csv", "json", "beside"])
def test_lists_and_tables_beside_are_judged_alike(written, column, where):
    files = pairs(["{}"], "abcd")
    records = [
        {"image": f"images/{name}.png", "label": f"masks/{name}.png", column: value}
        for name, value in zip("abcd", SHARED, strict=True)
    ]
    if where == "csv":
        files = table(f"image,label,{column}", *SHARED)
    elif where == "json":
        files["list.json"] = {"training": records}
    else:
        rows = (f"{name},{value},x/{name}" for name, value in zip("abcd", SHARED, strict=True))
        files["metadata.csv"] = "\n".join((f"frame_id,{column},frame_path", *rows)).encode()
    (finding,) = find_layout(open_tree(written(files))).findings
    code = "LAY_UNUSED" if where == "beside" else "LAY_COLUMNS"
    assert (finding.level, finding.code) == ("warning", code)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PatientID5", ["patient", "id", "5"]),
        ("idPatient", ["id", "patient"]),
        ("código-paciente", ["codigo", "paciente"]),
        ("5fold.CVFold", ["5", "fold", "cv", "fold"]),
        ("患者 ID", ["患者", "id"]),
        ("환자_번호", ["환자", "번호"]),
        ("__", []),
    ],
)
def test_a_name_is_parted_wherever_its_letters_change(name, words):
    assert tokens_of(name) == words
