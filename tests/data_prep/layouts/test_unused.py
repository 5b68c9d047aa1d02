"""Every file of a dataset belongs to a case, or is named; a list that is given is the list."""

import json

import pytest
from bad_sets import mask, picture, png
from dicom_files import encode, series

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.layouts.nnunet import joined_channels

PAIRS = {f"{folder}/{k}.png": png(picture(ord(k))) for folder in ("images", "masks") for k in "ab"}


def layout_of(root, *, need_labels=False):
    return find_layout(open_tree(root), need_labels=need_labels)


def told(layout):
    return {(f.level, f.code) for f in layout.findings}


@pytest.mark.parametrize(
    "name",
    [
        *("c.gif", "c.webp", "c.nii.bz2", "c.mgz", "c.nii.gz.part", "c.zip", "c.tar.gz", "c"),
        *("more/c.gif", "more/c.nrrd.gz", "more/c.7z", "more/c.tif.crdownload"),
    ],
)
@pytest.mark.parametrize("first", ["a.png", "one/a.png"])
def test_a_folder_of_images_names_what_it_leaves_out(written, first, name):
    layout = layout_of(written({first: png(picture(1)), name: b"some bytes"}))
    assert [case.id for case in layout.cases] == ["a"]
    (finding,) = layout.findings
    assert (finding.level, finding.code) == ("warning", "LAY_UNUSED")
    assert name in finding.found


@pytest.mark.parametrize("name", ["README", "notes.txt", "about.md", "a.json", "LICENSE"])
def test_texts_beside_images_are_not_named(written, name):
    assert not layout_of(written({"a.png": png(picture(1)), name: b"{}"})).findings


@pytest.mark.parametrize("name", ["p9.zip", "p9.tar.gz", "more/p9.rar", "more/p9.nii.bz2"])
def test_what_may_hold_cases_is_a_warning_in_a_set_of_pairs_too(written, name):
    layout = layout_of(written({**PAIRS, name: b"some bytes"}), need_labels=True)
    assert told(layout) == {("warning", "LAY_UNUSED")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("groups.csv", "case,group\na,p1\n"),
        ("mine.csv", "id;Patient ID\na;p1\n"),
        ("more/x.csv", "id,fold\na,0\n"),
        ("dataset.json", '{"classes": ["background", "liver"]}'),
        ("split.txt", "a train"),
        *((f"{name}.txt", "a") for name in ("validation", "training", "trainval", "hold-out")),
        *((name, "x") for name in ("exclude.txt", "dseg.tsv", "book.xlsx", "a/x.parquet", "x.sav")),
    ],
)
def test_texts_that_may_tell_of_cases_are_noted(written, name, text):
    layout = layout_of(written({**PAIRS, name: text.encode()}), need_labels=True)
    assert told(layout) == {("note", "LAY_UNUSED")}


LISTS = {
    "split.csv": "case,split\na,train\nb,test\n",
    "meta.csv": "image_id;age;split\na;9;train\nb;8;val\n",
    "folds.tsv": "id\tfold\na.png\t0\nb.png\t1\n",
    "groups.csv": "case,group\na,p1\nb,p1\n",
    "patients.csv": "case,patient\na,p1\nb,p1\n",
    "split.txt": "images/a.png train\nimages/b.png test\n",
}


@pytest.mark.parametrize(("name", "text"), LISTS.items())
def test_a_split_of_these_cases_that_is_not_read_is_warned_of(written, name, text):
    layout = layout_of(written({**PAIRS, name: text.encode()}), need_labels=True)
    assert told(layout) == {("warning", "LAY_UNUSED")}
    assert layout.findings[0].file == name
    assert told(layout_of(written({name: text.replace("b", "x").encode()}), need_labels=True)) == {
        ("note", "LAY_UNUSED")
    }


OF_SLICES = {f"{folder}/{k}.png": png(picture(n)) for folder in ("images", "masks")
             for n, k in enumerate(("p0_s1", "p0_s2", "p1_s1", "p2_s1"))}  # fmt: skip
OF_PATIENTS = {
    "split.csv": "patient,split\np0,train\np1,train\np2,test\n",
    "metadata.csv": "Collection,Subject ID,split\nx,P0,train\nx,P1,train\nx,P2,test\n",
    "info.csv": "name,is_test\np0,\np1,\np2,x\n",
    "splits.json": '{"train": ["p0", "p1"], "test": ["p2"]}',
    "families.csv": "id,family_id\np0,1\np1,1\np2,2\n",
    "val.csv": "id\np1_s1\np2_s1\n",
    "train.txt": "p0_s1\np0_s2\np1_s1\n",
    "meta.json": '{"p0_s1": "train", "p0_s2": "train", "p1_s1": "train", "p2_s1": "test"}',
    "info.json": '{"p0": {"age": 9, "split": "train"}, "p1": {"split": "train"}, '
    '"p2": {"split": "test"}}',
    "more.jsonl": '{"id": "p0", "is_test": false}\n{"id": "p1"}\n{"id": "p2", "is_test": true}\n',
    "all.json": '{"cases": [{"name": "p0_s1", "patient_id": 0}, {"name": "p0_s2", "patient_id": 0},'
    ' {"name": "p1_s1", "patient_id": 1}, {"name": "p2_s1", "patient_id": 2}]}',
    "list.json": '[{"id": "p0", "fold": 0}, {"id": "p1", "fold": 1}, {"id": "p2", "fold": 0}]',
    "cv.json": '{"fold_0": ["p0"], "fold_1": ["p1", "p2"]}',
    "patients.json": '{"x": ["p0_s1", "p0_s2"], "y": ["p1_s1"], "z": ["p2_s1"]}',
    "parts.yaml": "p0: train\np1: train\np2: test\n",
    "nested.json": '{"cases": [{"id": "p0", "meta": {"split": "train"}}, '
    '{"id": "p1", "meta": {"split": "train"}}, {"id": "p2", "meta": {"split": "test"}}]}',
    "of.json": '{"splits": {"train": {"ids": ["p0", "p1"]}, "test": {"ids": ["p2"]}}}',
    "in.json": '{"train": {"is": [{"id": "p0"}, {"id": "p1"}]}, "test": {"is": [{"id": "p2"}]}}',
    "sets.json": '{"x": [{"name": "train", "of": ["p0", "p1"]}, {"name": "test", "of": ["p2"]}]}',
    "leak.json": '{"train": {"ids": ["p0", "p1", "p2"]}, "test": {"ids": ["p2"]}}',
    "folds.json": '{"folds": [{"train": ["p0", "p1"], "val": ["p2"]}, {"train": ["p1", "p2"]}]}',
    "cv.yml": "folds:\n  0: {ids: [p0]}\n  1: {ids: [p1, p2]}\n",
    "who.json": '{"all": [{"id": "p0_s1", "subject": {"id": 0}}, {"id": "p0_s2", "subject": '
    '{"id": 0}}, {"id": "p1_s1", "subject": {"id": 1}}, {"id": "p2_s1", "subject": {"id": 2}}]}',
    "hot.csv": "name,fold_0,fold_1\np0,1,0\np1,1,0\np2,0,1\n",
    "parts.csv": "name,is_train,is_val,is_test\np0,1,0,0\np1,0,1,0\np2,0,0,1\n",
    "bare.csv": "name,train,val,test\np0,1,0,0\np1,0,1,0\np2,0,0,1\n",
    "wide.csv": "train,test\np0,p2\np1,\n",
    "README.md": "# Set\n\n| case | split |\n| --- | :-: |\n| `p0` | train |\n| p1 | **train** |\n"
    "| p2 | test |\n\nmore | text\n",
    "splits.md": "case | split\n---|---\np0 | train\np1 | train\np2 | test\n",
}
OF_OTHERS = {
    "clinical.csv": "id,age,sex,site_no\np0,60,M,1\np1,70,F,1\np2,80,M,2\n",
    "scores.csv": "id,val,test_dice\np0,0.5,0.9\np1,0.7,0.8\np2,0.3,0.7\n",
    "split.csv": "patient,split\nq0,train\nq1,train\nq2,test\n",
    "cases.csv": "id\np0\np1\np2\n",
    "scores.json": '{"p0": {"dice": 0.5, "val": 0.9}, "p1": {"dice": 0.7, "val": 0.8}}',
    "sites.json": '{"p0": "A", "p1": "A", "p2": "B"}',
    "info.json": '{"q0": "train", "q1": "train", "q2": "test"}',
    "val.csv": "id\np0_s1\np0_s2\np1_s1\np2_s1\n",  # all of them
    "counts.csv": "name,train,val,test\np0,10,2,3\np1,5,1,1\np2,1,0,1\n",  # of places or classes
    "several.csv": "name,train,test\np0,1,1\np1,1,0\np2,1,1\n",
    "folds.csv": "name,fold_0,fold_1\np0,0.9,0.8\np1,0.7,0.9\np2,0.8,0.6\n",
    "counts.json": '{"train": {"p0": 5, "p1": 4, "p2": 1}, "test": {"p0": 1, "p1": 2, "p2": 1}}',
    "curves.json": '{"loss": {"train": [0.5, 0.4], "val": [0.6, 0.5]}, '
    '"cases": [{"id": "p0"}, {"id": "p1"}, {"id": "p2"}]}',
    "sizes.md": "| name | train | test |\n|---|---|---|\n| p0 | 3 | 1 |\n| p1 | 3 | 2 |\n",
    "dice.md": "| case | dice |\n|---|---|\n| p0 | 0.5 |\n| p1 | 0.4 |\n| p2 | 0.3 |\n",
}


@pytest.mark.parametrize(("name", "text"), OF_PATIENTS.items(), ids=OF_PATIENTS)
def test_a_table_that_names_patients_of_the_cases_is_warned_of(written, name, text):
    layout = layout_of(written({**OF_SLICES, name: text.encode()}), need_labels=True)
    assert told(layout) == {("warning", "LAY_UNUSED")}
    assert layout.findings[0].file == name


@pytest.mark.parametrize(("name", "text"), OF_OTHERS.items(), ids=OF_OTHERS)
def test_a_table_that_tells_nothing_of_parts_is_not(written, name, text):
    layout = layout_of(written({**OF_SLICES, name: text.encode()}), need_labels=True)
    assert told(layout) <= {("note", "LAY_UNUSED")}


def test_a_split_by_patients_beside_dicom_is_warned_of_and_shows_none_of_them(written):
    files = {"split.csv": b"PatientID,split\nPX1,train\nPX2,test\n"}
    for person in ("PX1", "PX2"):
        slices = series(series=f"1.2.{person[-1]}", PatientID=person, StudyInstanceUID=person[-1])
        files |= {f"{person[-1]}/{z}.dcm": encode(one) for z, one in enumerate(slices)}
    found = layout_of(written(files), need_labels=True).findings
    (warned,) = [finding for finding in found if finding.file == "split.csv"]
    assert (warned.level, warned.code) == ("warning", "LAY_UNUSED")
    assert "its 2 names are those of 2 cases" in warned.found
    assert "PX" not in str(warned)


def test_a_file_of_groups_beside_the_cases_that_is_given_is_used(written):
    root = written({**PAIRS, "groups.csv": LISTS["groups.csv"].encode()})
    assert "LAY_UNUSED" in [f.code for f in check(root, DataConfig()).findings]
    checked = check(root, DataConfig(group_file=str(root / "groups.csv")))
    assert "LAY_UNUSED" not in [f.code for f in checked.findings]


@pytest.mark.parametrize("text", ["id\tsplit\na\ttest\n", "case\tpatient\na\tp1\n"])
def test_tables_set_apart_by_tabs_are_noted_too(written, text):
    layout = layout_of(written({**PAIRS, "x.tsv": text.encode()}), need_labels=True)
    assert told(layout) == {("note", "LAY_UNUSED")}


@pytest.mark.parametrize("text", ["id,age\na,9\n", "a,b\n1,2\n", ""])
def test_tables_of_something_else_are_not(written, text):
    assert not layout_of(written({**PAIRS, "x.csv": text.encode()}), need_labels=True).findings


@pytest.mark.parametrize("name", ["p9.zip", "b/c.tar.gz", "p9.7z"])
def test_what_may_hold_cases_beside_dicom_is_a_warning(written, name):
    slices = {f"ct/{z}.dcm": encode(one) for z, one in enumerate(series())}
    layout = layout_of(written({**slices, name: b"some bytes"}), need_labels=True)
    assert ("warning", "LAY_UNUSED") in told(layout)


@pytest.mark.parametrize("name", ["scan.nii.gz", "more/scan.nrrd", "key.png", "ct/key.tif"])
def test_images_beside_dicom_are_named_where_all_are_wanted(written, name):
    slices = {f"ct/{z}.dcm": encode(one) for z, one in enumerate(series())}
    layout = layout_of(written({**slices, name: b"some bytes"}))
    assert ("warning", "LAY_UNUSED") in told(layout)


@pytest.mark.parametrize("folder", ["old", "images_T2", "predictions"])
def test_images_elsewhere_are_noted_also_by_names_of_cases(written, folder):
    layout = layout_of(written({**PAIRS, f"{folder}/a.png": b"x"}), need_labels=True)
    (finding,) = layout.findings
    assert (finding.level, finding.code) == ("note", "LAY_UNUSED")
    assert f"{folder}/a.png" in finding.found


@pytest.mark.parametrize("file", ["list.csv", "list.json"])
@pytest.mark.parametrize("need_labels", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        "filename,mask_file\nimages/a.png,masks/a.png\n",
        '{"training": [{"scan_file": "images/a.png"}]}',
        '[{"image": "images/a.png"}]',
        '{"train": [{"image": "images/a.png", "label": "masks/a.png"}]}',
        "{broken",
        "",
    ],
)
def test_a_list_that_is_given_and_names_no_images_is_an_error(written, file, need_labels, content):
    root = written({**PAIRS, file: content.encode()})
    with pytest.raises(DataError, match=r"LAY_LIST|LAY_JSON|IO_EMPTY"):
        layout_of(root / file, need_labels=need_labels)


RECORD = {"image": "images/a.png", "label": "masks/a.png"}


def test_a_description_beside_images_and_masks_is_read(written):
    text = {"labels": {"background": 0, "liver": 1}, "channel_names": {"0": "CT"}}
    layout = layout_of(written({**PAIRS, "dataset.json": text}), need_labels=True)
    assert (layout.labels, layout.channels) == (text["labels"], ("CT",))
    assert not layout.findings


@pytest.mark.parametrize("name", ["dataset.json", "datalist.json", "more/dataset_0.json"])
@pytest.mark.parametrize(
    "content",
    [
        {"train": [RECORD], "test": [RECORD]},
        {"Training": [RECORD]},
        {"fold_0": [RECORD], "fold_1": [RECORD]},
        {"data": {"train": [RECORD]}},
        [RECORD],
        "with a mark of bytes",
        "a line each",
    ],
)
def test_a_list_of_other_keys_beside_folders_is_an_error(written, name, content):
    data = json.dumps([RECORD] if isinstance(content, str) else content).encode()
    data = "\ufeff".encode() + data if content == "with a mark of bytes" else data
    data = b"\n".join([data[1:-1]] * 2) if content == "a line each" else data
    root = written({**PAIRS, name: data})
    with pytest.raises(DataError, match=r"LAY_LIST|LAY_JSON"):
        layout_of(root, need_labels=True)


@pytest.mark.parametrize("content", [{"image": "x"}, {"images": 3}, {"a": [{"score": 1}]}, [1, 2]])
def test_json_that_lists_no_images_is_no_list(written, content):
    assert layout_of(written({**PAIRS, "x.json": json.dumps(content).encode()})).cases


@pytest.mark.parametrize("name", ["scan", "scan.gpg", "scan.zip.001", "scan.raw", "scan.avif"])
@pytest.mark.parametrize("need_labels", [True, False])
def test_a_case_in_a_folder_of_its_own_that_cannot_be_read_is_named(written, name, need_labels):
    files = {f"p{k}/s{k}{n}": png(picture(k)) for k in (1, 2) for n in (".png", "_mask.png")}
    layout = layout_of(written({**files, f"p3/{name}": b"some"}), need_labels=need_labels)
    assert ("warning", "LAY_UNUSED") in told(layout)


@pytest.mark.parametrize("need_labels", [True, False])
def test_a_list_that_is_given_is_taken_alone(written, need_labels):
    root = written({**PAIRS, "list.csv": b"image,label\nimages/a.png,masks/a.png\n"})
    layout = layout_of(root / "list.csv", need_labels=need_labels)
    assert [case.id for case in layout.cases] == ["a"]


def test_images_that_a_list_names_and_are_not_there_are_missed(written):
    rows = "image,label\nimages/a.png,masks/a.png\nimages/x.png,masks/b.png\n,masks/b.png\n"
    layout = layout_of(written({**PAIRS, "list.csv": rows.encode()}))
    assert [error.code for error in layout.problems] == ["PAIR_NO_IMAGE"] * 2
    assert [error.case for error in layout.problems] == ["x", "b"]


def test_labels_without_images_say_nothing_to_images_alone(written):
    layout = layout_of(written({**PAIRS, "masks/z.png": png(mask())}))
    assert not layout.problems


def nnunet(tests=("t_0000",), described=True):
    names = [f"{n}_0000" for n in "ab"]
    files = {f"imagesTr/{n}.png": png(picture(ord(n[0]))) for n in names}
    files |= {f"labelsTr/{n}.png": png(mask()) for n in "ab"}
    files |= {f"imagesTs/{n}.png": png(picture(9 + k)) for k, n in enumerate(tests)}
    text = {"channel_names": {"0": "x"}, "labels": {"background": 0, "a": 1}, "numTraining": 2}
    return files | ({"dataset.json": json.dumps(text).encode()} if described else {})


@pytest.mark.parametrize("described", [True, False])
def test_images_for_testing_are_cases_where_all_are_wanted(written, described):
    root = written(nnunet(described=described))
    assert [case.id for case in layout_of(root).cases] == ["a", "b", "t"]
    assert [case.id for case in layout_of(root, need_labels=True).cases] == ["a", "b"]


@pytest.mark.parametrize("tests", [["images/b.png"], [{"image": "images/b.png"}]])
@pytest.mark.parametrize("key", ["test", "validation"])
def test_images_that_a_list_has_for_testing_are_cases_where_all_are_wanted(written, key, tests):
    if key == "validation" and isinstance(tests[0], str):
        tests = [{"image": tests[0]}]
    training = [{"image": "images/a.png", "label": "masks/a.png"}]
    text = json.dumps({"training": training, key: tests}).encode()
    root = written({**PAIRS, "list.json": text})
    assert [case.id for case in layout_of(root).cases] == ["a", "b"]
    assert [case.id for case in layout_of(root, need_labels=True).cases] == ["a"]


@pytest.mark.parametrize("part", ["imagesTs", "imagesTr"])
def test_a_case_for_testing_without_a_channel_is_missed(written, part):
    files = {f"{part}/{n}.png": png(picture(k)) for k, n in enumerate(("t_0000", "u_0000"))}
    text = {"channel_names": {"0": "x", "1": "y"}, "labels": {"background": 0, "a": 1}}
    files |= {f"imagesTr/a_000{k}.png": png(picture(k + 5)) for k in (0, 1)}
    files |= {"labelsTr/a.png": png(mask()), "dataset.json": json.dumps(text).encode()}
    layout = layout_of(written(files))
    missed = {error.case for error in layout.problems if error.code == "PAIR_NO_IMAGE"}
    assert missed == {"t", "u"}


def test_equal_names_in_folders_of_patients_are_told_apart_by_their_folders(written):
    files = {f"set/{p}/scan.png": png(picture(k)) for k, p in enumerate(("p1", "p2"))}
    layout = layout_of(written({**files, "set/p2/own.png": png(picture(7))}))
    assert [case.id for case in layout.cases] == ["own", "p1_scan", "p2_scan"]


def test_channels_in_files_of_their_own_are_joined(written):
    files = {f"x/{id_}_000{k}.png": png(picture(k)) for id_ in "ab" for k in (0, 1)}
    files["x/c_0000.png"] = png(picture(8))
    layout = layout_of(written(files))
    joined = joined_channels(layout, 2)
    assert [(case.id, case.scans) for case in joined.cases] == [
        (id_, ((f"x/{id_}_0000.png",), (f"x/{id_}_0001.png",))) for id_ in "ab"
    ]
    assert [(error.code, error.case) for error in joined.problems] == [("PAIR_NO_IMAGE", "c")]
    one = joined_channels(layout, 1)
    assert [case.id for case in one.cases] == ["c"]
    assert {error.code for error in one.problems} == {"CH_COUNT"}


def test_images_of_other_names_are_not_joined(written):
    layout = layout_of(written({n: png(picture(1)) for n in ("a_0000.png", "b.png")}))
    assert joined_channels(layout, 1) == layout


def test_voxels_of_analyze_headers_are_theirs(written):
    layout = layout_of(written(dict.fromkeys(("a.hdr", "a.img", "b.hdr", "b.img.gz"), b"some")))
    assert [case.id for case in layout.cases] == ["a", "b"]
    assert not layout.findings


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cases.csv", "images/a.png,masks/a.png,test\nimages/b.png,masks/b.png,train\n"),
        ("x.csv", "a;train\nb;test\n"),
        ("x.tsv", "a\t'val'\nb\ttrain\n"),
        ("x.txt", "images/a.png test\nimages/b.png train\n"),
        ("data.yaml", "path: .\ntrain: images/train\nval: images/val\n"),
        ("partition.json", '{\n "train": ["a"],\n "test": ["b"]\n}'),
        ("parts.json", '{"train": ["a"], "test": ["b"]}'),
        ("split.yaml", "a: 0\n"),
        *((f"{name}", "PK") for name in ("splits.xlsx", "patients.xlsx", "folds.ods", "Info.xls")),
        ("patients.mdb", "\0\1\0\0Standard Jet DB"),
        *((f"{name}", "\x80") for name in ("train_ids.pkl", "split.pickle", "metadata.parquet")),
    ],
)
@pytest.mark.parametrize("need_labels", [True, False])
def test_splits_in_files_that_no_layout_reads_are_named(written, name, text, need_labels):
    root = written({**PAIRS, name: text.encode("latin-1")})
    (finding,) = layout_of(root, need_labels=need_labels).findings
    named = need_labels and not name.startswith(("data", "split.yaml", "train_", "split.pickle"))
    assert (finding.level, finding.code) == ("warning" if named else "note", "LAY_UNUSED")
    assert name in str(finding)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.txt", "a test of this set\nwhich was drawn last year\nby two readers\n"),
        ("task.yaml", "dataset:\n  labels: {a: 0}\ntraining:\n  epochs: 5\n"),
        ("x.json", '{"tests": 3, "trained": "no"}'),
        ("x.csv", "id,fold_0,fold_1\na,0.5,0.6\nb,0.7,0.8\n"),
        ("README.md", "| set | cases |\n|---|---|\n| train | 3 |\n| test | 1 |\n"),
        *((name, "\0\0LMDB") for name in ("data.mdb", "lock.mdb", "train.mdb")),
        ("x.json", '{"val": 0.3, "test": -1, "train": null}'),
        ("x.csv", "a,3.5\nb,4.5\ntest,9\n"),
        ("x.json", '{"a": {"lesions": 1, "val": 0.5}, "b": {"lesions": 2, "val": 0.7}}'),
        (
            "x.json",
            '{"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}], '
            '"annotations": [{"image_id": 1, "category_id": 3}, {"image_id": 2, "category_id": 3}, '
            '{"image_id": 2, "category_id": 4}]}',
        ),
    ],
)
def test_files_that_tell_of_no_split_are_silent(written, name, text):
    assert not layout_of(written({**PAIRS, name: text.encode()}), need_labels=True).findings


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '["a",]'])
@pytest.mark.parametrize("name", ["datalist.json", "data_list_0.json", "cases.json"])
def test_a_list_that_is_no_json_is_an_error(written, name, text):
    layout = layout_of(written({**PAIRS, name: text.encode()}), need_labels=True)
    assert "LAY_JSON" in {error.code for error in layout.problems}
