"""Datasets that say two things at once: which one is meant is never guessed."""

import io
import os

import numpy as np
import pytest
from bad_sets import Pictures, Volumes, blob, gz, mask, nifti, noise, picture, png

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.planning.splits import read_folds, read_groups
from sdunet.segmentation.evaluation.evaluate import evaluate

IMAGE, LABEL = gz(nifti(noise())), gz(nifti(blob()))
CLASSES = {"0": "background", "1": "organ"}
NNUNET = {
    "dataset.json": {"channel_names": {"0": "MR"}, "labels": {"background": 0, "organ": 1}},
    **{f"imagesTr/{i}_0000.nii.gz": gz(nifti(noise(n))) for n, i in enumerate("ab")},
    **{f"labelsTr/{i}.nii.gz": LABEL for i in "ab"},
}
LISTED = {
    "dataset.json": {
        "labels": CLASSES,
        "training": [{"image": f"i/{i}.nii.gz", "label": f"l/{i}.nii.gz"} for i in "ab"],
    },
    **{f"i/{i}.nii.gz": gz(nifti(noise(n))) for n, i in enumerate("ab")},
    **{f"l/{i}.nii.gz": LABEL for i in "ab"},
}
FOLDERS = {
    **{f"images/{i}.png": png(picture(n)) for n, i in enumerate("ab")},
    **{f"masks/{i}.png": png(mask()) for i in "ab"},
}
FILES = {name: data for name, data in LISTED.items() if name != "dataset.json"}
OBJECTS = {
    f"{i}/{kind}/{i}.png": png(mask() if kind == "masks" else picture(n))
    for n, i in enumerate("ab")
    for kind in ("images", "masks")
}


def described(**changes):
    return {"dataset.json": LISTED["dataset.json"] | changes}


def record(**changes):
    first, second = LISTED["dataset.json"]["training"]
    return described(training=[first | changes, second])


def table(*rows):
    return {"cases.csv": "\n".join(rows).encode()}


ROW_A, ROW_B = "i/a.nii.gz,l/a.nii.gz", "i/b.nii.gz,l/b.nii.gz"
BY_CASE = [
    # Several files for one case.
    ("image gz", FOLDERS, {"images/a.tif": png(picture())}, "PAIR_DUPLICATE"),
    ("label", FOLDERS, {"masks/a.tif": png(mask())}, "PAIR_DUPLICATE"),
    ("nnunet image", NNUNET, {"imagesTr/a_0000.nii": nifti(noise())}, "PAIR_DUPLICATE"),
    ("nnunet label", NNUNET, {"labelsTr/a.nii": nifti(blob())}, "PAIR_DUPLICATE"),
    ("nnunet channel", NNUNET, {"imagesTr/a_0001.nii.gz": IMAGE}, "CH_COUNT"),
    ("object", OBJECTS, {"a/masks/a.tif": png(mask())}, "PAIR_DUPLICATE"),
    # One file for several cases.
    ("mask of two", LISTED, record(label="l/b.nii.gz"), "PAIR_SHARED"),
    ("image of two", FILES, table("id,image,label", f"a,{ROW_A}", "b,i/a.nii.gz,l/b.nii.gz"),
     "PAIR_SHARED"),
    ("mask is image", LISTED, record(label="i/a.nii.gz"), "PAIR_SHARED"),
    ("mask is another's image", LISTED, record(label="./i/b.nii.gz"), "PAIR_SHARED"),
    ("channel of two", LISTED, record(image=["i/a.nii.gz", "i/b.nii.gz"]), "PAIR_SHARED"),
    ("row twice", FILES, table("image,label", ROW_A, ROW_A, ROW_B), "PAIR_DUPLICATE"),
    ("id twice", FILES, table("id,image,label", f"a,{ROW_A}", f"A,{ROW_B}"), "PAIR_DUPLICATE"),
    # Folds that are none.
    ("half a fold", LISTED, record(fold=0.5), "LAY_FOLD"),
    ("fold true", LISTED, record(fold=True), "LAY_FOLD"),
    ("fold -1", LISTED, record(fold=-1), "LAY_FOLD"),
    ("fold in words", LISTED, record(fold="one"), "LAY_FOLD"),
    ("fold half in a table", FILES, table("image,label,fold", f"{ROW_A},0.5", f"{ROW_B},1"),
     "LAY_FOLD"),
    ("split in words", FILES, table("image,label,split", f"{ROW_A},first", f"{ROW_B},1"),
     "LAY_FOLD"),
    ("split and fold", FILES, table("image,label,split,fold", f"{ROW_A},test,1", f"{ROW_B},,1"),
     "LAY_FOLD"),
    ("more cells", FILES, table("image,label,fold", f"{ROW_A},0,1", f"{ROW_B},1"), "LAY_FOLD"),
    # One image in two lists.
    ("hidden test", LISTED, described(test=["i/a.nii.gz"]), "SPLIT_LEAK"),
    ("hidden test, record", LISTED, described(testing=[{"image": "./i/a.nii.gz"}]), "SPLIT_LEAK"),
    ("hidden validation", LISTED, described(validation=[{"image": ["i/a.nii.gz"]}]), "SPLIT_LEAK"),
    ("test", LISTED, described(test=LISTED["dataset.json"]["training"][:1]), "PAIR_DUPLICATE"),
    # Files that are listed and not there.
    ("listed image", LISTED, record(image="i/x.nii.gz"), "PAIR_NO_IMAGE"),
    ("listed label", LISTED, record(label="l/x.nii.gz"), "PAIR_NO_LABEL"),
    ("listed test", LISTED, described(test=["i/a_test.nii.gz"]), "PAIR_NO_IMAGE"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "more", "code"), [row[1:] for row in BY_CASE], ids=[row[0] for row in BY_CASE]
)
def test_case_that_contradicts_itself_is_named(written, files, more, code):
    layout = find_layout(open_tree(written(files | more)))
    of_a = [p.code for p in layout.problems if (p.case or "").lower()[:1] in ("a", "x", "i")]
    assert code in of_a, layout.problems
    assert "a" not in {case.id for case in layout.cases} or code == "PAIR_NO_IMAGE"


WHOLE = [
    ("key twice", {"dataset.json": b'{"training": [], "training": []}'}, "LAY_JSON.*'training'"),
    ("key twice inside", {"dataset.json":
     b'{"training": [{"image": "i/a.nii.gz", "image": "i/b.nii.gz"}]}'}, "LAY_JSON.*'image'"),
    ("unnamed list", {"a.json": b'{"training": [], "x": 1, "x": 2}'}, "LAY_JSON.*'x'"),
    ("class twice", described(labels={"0": "b", "2": "a", "1": "a"}), "LAY_JSON.*'a'"),
    ("number twice", described(labels={"0": "b", "1": "a", "01": "c"}), "LAY_JSON.*1 is given tw"),
    ("number of ignore", described(labels={"background": 0, "a": 1, "ignore": 1}),
     "LAY_JSON.*1 is given twice"),
    ("class 1.5", described(labels={"background": 0, "a": 1.5}), "LAY_JSON.*1.5"),
    ("class true", described(labels={"background": 0, "a": True}), "LAY_JSON.*True"),
    ("channel twice", described(modality={"0": "CT", "00": "MR"}), "LAY_JSON.*0 is given twice"),
    ("channel missing", described(modality={"0": "CT", "2": "MR"}), "LAY_JSON.*numbered"),
    ("two names of channels", described(modality={"0": "CT"}, channel_names={"0": "MR"}),
     "LAY_JSON.*differ"),
    ("count 1.5", described(numTraining=1.5), "LAY_JSON.*1.5"),
    ("column twice", table("image,label,image", f"{ROW_A},i/b.nii.gz"), "LAY_CSV.*'image'"),
    ("column twice but for case", table("image,Label,label", f"{ROW_A},x"), "LAY_CSV.*'label'"),
    ("latin", {"cases.csv": "image,label\nä,ü\n".encode("latin-1")}, "LAY_CSV.*UTF-8"),
    ("two tables", {**table("image,label", ROW_A), "b.csv": f"image,label\n{ROW_B}".encode()},
     "LAY_LISTS: .*b.csv, cases.csv"),
    ("table beside a list", {**described(), **table("image,label", ROW_A)},
     "LAY_LISTS: .*dataset.json, cases.csv"),
    ("table beside nnunet", {**NNUNET, **table("image,label", ROW_A)},
     "LAY_LISTS: .*dataset.json, cases.csv"),
    ("list beside a list", {**described(), "folds/list.json": LISTED["dataset.json"]},
     "LAY_LISTS: .*dataset.json, folds/list.json"),
    ("list of another name", described(train=LISTED["dataset.json"]["training"]),
     "LAY_JSON.*'train' of images"),
    ("two lists", {f"{n}.json": {"training": []} for n in "ab"}, "LAY_LISTS"),
    ("two sets", {f"{n}/dataset.json": {"training": []} for n in "ab"}, "LAY_LISTS"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "message"), [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE]
)
def test_list_that_contradicts_itself_is_refused(written, more, message):
    root = written({**FILES, **more})
    with pytest.raises(DataError, match=message):
        find_layout(open_tree(root))


@pytest.mark.parametrize("chosen", ["dataset.json", "cases.csv"])
def test_of_several_lists_the_one_given_is_taken(written, chosen):
    root = written({**LISTED, **table("image,label,id", ROW_A + ",from_table")})
    layout = find_layout(open_tree(root / chosen))
    assert layout.listed_in == chosen
    ids = ["a", "b"] if chosen == "dataset.json" else ["from_table"]
    assert [case.id for case in layout.cases] == ids


@pytest.mark.parametrize(
    ("files", "more", "found"),
    [
        (LISTED, described(numTraining=3), "numTraining 3 declared, 2 found"),
        (LISTED, described(numTest=1), "numTest 1 declared, 0 found"),
        (
            LISTED | {"i/t.nii.gz": IMAGE},
            described(numTest=0, test=["i/t.nii.gz"]),
            "numTest 0 declared, 1 found",
        ),
        (NNUNET, {"dataset.json": NNUNET["dataset.json"] | {"numTraining": 5}}, "numTraining 5"),
        (LISTED, described(numValidation=2), "numValidation 2 declared, 0 found"),
        (
            LISTED | {"i/t.nii.gz": IMAGE},
            described(numValidation=2, validation=[{"image": "i/t.nii.gz"}]),
            "numValidation 2 declared, 1 found",
        ),
    ],
)
def test_numbers_declared_are_held_to_those_found(written, tmp_path, files, more, found):
    root = written(files | more)
    checked = check(root, DataConfig())
    (error,) = [f for f in checked.findings if f.code == "SET_COUNT"]
    assert found in error.found
    assert sorted(checked.facts) == ["a", "b"]
    assert not find_layout(open_tree(root), need_labels=False).problems


def test_ending_declared_is_held_to_the_files(written):
    files = NNUNET | {"dataset.json": NNUNET["dataset.json"] | {"file_ending": ".nrrd"}}
    checked = check(written(files), DataConfig())
    assert [(e.code, e.file) for e in checked.errors] == [("LAY_JSON", "dataset.json")]
    assert "file_ending '.nrrd' declared, imagesTr/a_0000.nii.gz found" in checked.errors[0].found
    assert sorted(checked.facts) == ["a", "b"]


GOOD = [
    (LISTED, described(numTraining=2.0, numTest=0)),
    (LISTED, described(labels={"background": 0.0, "organ": 1.0})),
    (LISTED, described(labels={"background": "0", "organ": "1.0"})),
    (LISTED, described(modality={"0": "MR"}, channel_names={"0": "MR"})),
    (LISTED, described(training=[r | {"fold": float(n)} for n, r in
     enumerate(LISTED["dataset.json"]["training"])])),
    (LISTED, {"notes.json": {"x": 1}, "ages.csv": b"a\n1\n"}),
    (LISTED, {"i/t.nii.gz": IMAGE} |
     described(numValidation=1, validation=[{"image": "i/t.nii.gz", "split": "val"}])),
    (NNUNET, {"dataset.json": NNUNET["dataset.json"] | {"numTraining": 2}}),
    (NNUNET, {"dataset.json": NNUNET["dataset.json"] | {"file_ending": ".nii.gz"}}),
    (LISTED, {"i/t.nii.gz": IMAGE} | described(test=["i/t.nii.gz"])),
    (FILES, table("id,image,label,fold", f"a,{ROW_A},0.0", f"b,{ROW_B},1.0")),
    (FILES, table(",image,label,split,fold", f"0,{ROW_A},train,0", f"1,{ROW_B},training,1")),
    (FILES, {"cases.csv": f"image,label\n{ROW_A}\n\n{ROW_B}\n".encode("utf-16")}),
    (FILES, {"cases.csv": f"image,label\n{ROW_A}\n{ROW_B}\n".encode("utf-8-sig")}),
    (OBJECTS, {"a/masks/b.png": png(np.eye(24, 20, dtype=np.uint8))}),
]  # fmt: skip


@pytest.mark.parametrize(("files", "more"), GOOD)
def test_what_agrees_is_used_without_a_word(written, files, more):
    checked = check(written(files | more), DataConfig())
    assert sorted(checked.facts) == ["a", "b"]
    assert {f.level for f in checked.findings} <= {"note"}, checked.findings


def test_validation_and_test_of_a_table_are_kept_apart(written):
    rows = table("image,label,split", f"{ROW_A},val", f"{ROW_B},")
    layout = find_layout(open_tree(written({**FILES, **rows})))
    assert [(case.id, case.split) for case in layout.cases] == [("a", "test"), ("b", None)]


@pytest.mark.parametrize("key", ["test", "testing", "validation"])
@pytest.mark.parametrize("label", [{}, {"label": "l/b.nii.gz"}])
@pytest.mark.parametrize("told", [{"split": "train"}, {"fold": 1}, {"subset": "tr", "fold": None}])
def test_records_of_a_list_kept_apart_that_say_otherwise_are_named(written, key, label, told):
    training = LISTED["dataset.json"]["training"][:1]
    apart = [{"image": "i/b.nii.gz"} | label | told]
    layout = find_layout(
        open_tree(written({**LISTED, **described(training=training, **{key: apart})}))
    )
    assert [(e.code, e.case) for e in layout.problems] == [("LAY_FOLD", "b")]
    assert [case.id for case in (*layout.cases, *layout.apart)] == ["a"]


@pytest.mark.parametrize(
    "told", [{"split": "test"}, {"fold": "validation"}, {"split": "", "fold": None}]
)
def test_records_of_a_list_kept_apart_may_say_so(written, told):
    training = LISTED["dataset.json"]["training"]
    apart = [training[1] | told]
    layout = find_layout(
        open_tree(written({**LISTED, **described(training=training[:1], test=apart)}))
    )
    assert not layout.problems
    assert [(case.id, case.split) for case in layout.cases] == [("a", None), ("b", "test")]


def test_case_without_fold_among_others_is_named(written):
    rows = table("image,label,fold", f"{ROW_A},", f"{ROW_B},1")
    checked = check(written({**FILES, **rows}), DataConfig())
    assert [(e.code, e.case) for e in checked.errors] == [("LAY_FOLD", "a")]


def test_picture_among_volumes_is_named_and_the_volumes_are_used(tmp_path):
    planted = Volumes(tmp_path)
    (tmp_path / "images/bad.nii.gz").unlink()
    (tmp_path / "labels/bad.nii.gz").unlink()
    planted.write("images/bad.png", png(picture()))
    planted.write("labels/bad.png", png(mask()))
    checked = check(tmp_path, DataConfig())
    assert [(e.code, e.case) for e in checked.errors] == [("GEO_MIXED", "bad")]
    assert len(checked.facts) == 3


def stacks(planted, turned):
    """Stacks of pages, which do not say how their axes run, without the other cases."""
    for path in [*planted.root.rglob("*.nii.gz")]:
        path.unlink()
    for number, name in enumerate(("a", "b", "c", "d")):
        image, label = noise(number, (24, 20, 6)), blob((24, 20, 6))
        if name in turned:
            image, label = image.T, label.T
        for folder, array in (("images", image), ("labels", label)):
            buffer = io.BytesIO()
            np.save(buffer, np.ascontiguousarray(array))
            planted.write(f"{folder}/{name}.npy", buffer.getvalue())


@pytest.mark.parametrize(("turned", "named"), [("", ""), ("c", "c"), ("cd", "abcd")])
def test_order_of_axes_is_that_of_most_volumes_without_header(tmp_path, turned, named):
    stacks(Volumes(tmp_path), turned)
    checked = check(tmp_path, DataConfig(accept=("GEO_NONE",)))
    assert [(e.code, e.case) for e in checked.errors] == [("GEO_ORDER", id_) for id_ in named]


def test_axes_that_a_header_tells_may_run_in_any_order(tmp_path):
    planted = Volumes(tmp_path)
    size, affine = (24, 20, 6), np.diag([1.0, 1, 3, 1])
    for number in range(3):
        planted.write(f"images/good_{number}.nii.gz", gz(nifti(noise(number, size), affine)))
        planted.write(f"labels/good_{number}.nii.gz", gz(nifti(blob(size), affine)))
    turned = affine[:, [2, 1, 0, 3]]
    planted.image(gz(nifti(noise(9, size).transpose(2, 1, 0), turned)))
    planted.label(gz(nifti(blob(size).transpose(2, 1, 0), turned)))
    assert "bad" in check(tmp_path, DataConfig()).facts


def test_list_that_cannot_be_read_is_told_and_the_rest_is_used(tmp_path):
    Pictures(tmp_path)
    os.mkfifo(tmp_path / "notes.json")
    (tmp_path / "cases.csv").symlink_to("nowhere")
    checked = check(tmp_path, DataConfig())
    assert [(e.code, e.file) for e in checked.errors] == [
        ("IO_UNREADABLE", "cases.csv"),
        ("IO_NOT_FILE", "notes.json"),
    ]
    assert len(checked.facts) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,group,group\na,1,2\n", "'group' is given twice"),
        ("case,group\na,1\na,2\n", "a case twice"),
        ("case,group\na,1,2\n", "SPLIT_GROUPS"),
    ],
)
def test_groups_given_twice_are_refused(tmp_path, text, message):
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_groups(tmp_path / "groups.csv")


def test_case_twice_in_a_fold_is_refused(tmp_path):
    (tmp_path / "splits.json").write_text('[{"train": ["a", "a"], "val": ["b"]}]')
    with pytest.raises(DataError, match=r"SPLIT_FILE: fold 0 .* names a twice"):
        read_folds(tmp_path / "splits.json", {"a": "a", "b": "b"})


def test_structures_that_differ_in_case_only_are_refused(tmp_path):
    Pictures(tmp_path)
    with pytest.raises(DataError, match="LBL_CLASSES: 'liver' is named twice"):
        check(tmp_path, DataConfig(structures={"Liver": 1, "liver": 0}))


def test_probabilities_in_two_files_are_not_taken(tmp_path):
    planted = Volumes(tmp_path / "raw")
    for id_ in ("bad", "good_0", "good_1", "good_2"):
        planted.write(f"../pred/{id_}.nii.gz", LABEL)
        planted.write(f"../pred/probabilities/1/{id_}.nii.gz", gz(nifti(blob().astype("f4"))))
    planted.write("../pred/probabilities/1/bad.nii", nifti(blob().astype("f4")))
    _, problems = evaluate(tmp_path / "pred", tmp_path / "raw", tmp_path / "out")
    assert [(p.code, p.case) for p in problems] == [("PRED_DUPLICATE", "bad")]
