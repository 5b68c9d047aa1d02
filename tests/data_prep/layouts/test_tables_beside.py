"""A table beside the cases that may tell their split or patients is named, and no other."""

import pytest
from bad_sets import picture, png
from dicom_files import encode, series

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.layouts import Case, Layout, find_layout
from data_prep.layouts.by_table import columns_in
from data_prep.layouts.lists.beside import named_by_tables

PAIRS = {f"{folder}/{k}.png": png(picture(ord(k))) for folder in ("images", "masks") for k in "ab"}


def layout_of(root, *, need_labels=True):
    return find_layout(open_tree(root), need_labels=need_labels)


def told(layout):
    return {(f.level, f.code) for f in layout.findings}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("groups.csv", "case,group\na,p1\n"),
        ("mine.csv", "id;Patient ID\na;p1\n"),
        ("more/x.csv", "id,fold\na,0\n"),
        ("split.txt", "a train"),
        *((f"{name}.txt", "a") for name in ("validation", "training", "trainval", "hold-out")),
        *((name, "x") for name in ("exclude.txt", "dseg.tsv", "book.xlsx", "a/x.parquet", "x.sav")),
    ],
)
def test_texts_that_may_tell_of_cases_are_noted(written, name, text):
    layout = layout_of(written({**PAIRS, name: text.encode()}))
    assert told(layout) == {("note", "LAY_UNUSED")}


def test_names_of_classes_that_are_not_read_are_a_warning_beside(written):
    text = {"classes": ["background", "liver"]}
    layout = layout_of(written({**PAIRS, "dataset.json": text}))
    assert told(layout) == {("note", "LAY_UNUSED"), ("warning", "LAY_COLUMNS")}


LISTS = {
    "split.csv": "case,split\na,train\nb,test\n",
    "meta.csv": "image_id;age;split\na;9;train\nb;8;val\n",
    "folds.tsv": "id\tfold\na.png\t0\nb.png\t1\n",
    "groups.csv": "case,group\na,p1\nb,p1\n",
    "patients.csv": "case,patient\na,p1\nb,p1\n",
    "split.txt": "images/a.png train\nimages/b.png test\n",
    "split.psv": "case|split\na|train\nb|test\n",
    "info.psv": "a | train\nb | test\n",
    "folds.tab": "case\tfold\na\t0\nb\t1\n",
    **dict.fromkeys(("split", "split.dat", "split.list", "x.lst"), "a train\nb test\n"),
    "split.json5": '{// mine\ntrain: ["a"],\ntest: ["b"],\n}',
    "split.jsonc": '{"train": ["a"], /* mine */ "test": ["b"]}',
}


@pytest.mark.parametrize(("name", "text"), LISTS.items())
def test_a_split_of_these_cases_that_is_not_read_is_warned_of(written, name, text):
    layout = layout_of(written({**PAIRS, name: text.encode()}))
    assert told(layout) == {("warning", "LAY_UNUSED")}
    assert layout.findings[0].file == name
    assert told(layout_of(written({name: text.replace("b", "x").encode()}), need_labels=True)) == {
        ("note", "LAY_UNUSED")
    }


@pytest.mark.parametrize("name", ["split.xml", "kfold5.html", "splits_final.pkl", "partition.mat"])
def test_what_is_called_by_a_split_and_not_read_is_a_warning_where_none_is_stated(written, name):
    files = {**PAIRS, name: b"some"}
    assert told(layout_of(written(files))) == {("warning", "LAY_UNUSED")}
    rows = [f"images/{id_}.png,masks/{id_}.png,{k},{k}\n" for k, id_ in enumerate("ab")]
    listed = "".join(("image,label,fold,patient\n", *rows)).encode()
    layout = layout_of(written({**files, "list.csv": listed}))
    assert told(layout) == {("note", "LAY_UNUSED")}


@pytest.mark.parametrize("name", ["patients.xml", "train", "test.foo", "metadata.rtf", "val.dat"])
def test_what_may_tell_of_cases_by_its_name_alone_is_noted(written, name):
    assert told(layout_of(written({**PAIRS, name: b"some"}))) == {("note", "LAY_UNUSED")}


@pytest.mark.parametrize("name", ["split.py", "train.sh", "test.log", "fold_0.pth", "LICENSE"])
def test_code_and_what_it_wrote_is_not(written, name):
    assert not layout_of(written({**PAIRS, name: b"some"})).findings


@pytest.mark.parametrize("name", ["patient1", "patient1.dat", "patient1.mat", "test.foo"])
def test_what_lies_beside_cases_may_be_one_whatever_it_is_called(written, name):
    found = told(layout_of(written({**PAIRS, f"images/{name}": b"some"})))
    assert found == {("warning", "LAY_UNUSED")}


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
    **dict.fromkeys(
        ("held_out.txt", "val.lst", "testlist.list", "test.flist", "test", "testids.dat"),
        "p1_s1\np2_s1\n",
    ),
    "val.json": '["p1_s1", "p2_s1"]',
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
    "results.md": "| case | Dice | test |\n|---|---|---|\n| p0_s1 | 0.9 | Wilcoxon |\n"
    "| p0_s2 | 0.8 | Wilcoxon |\n| p1_s1 | 0.8 | t |\n| p2_s1 | 0.8 | t |\n",
    "outcome.csv": "case,treatment_status,graft\np0_s1,failed,kept\np1_s1,ok,rejected\n",
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


GROUPING = {
    "info.json": '{"Doe": ["p0_s1", "p0_s2"], "Roe": ["p1_s1"], "Poe": ["p2_s1"]}',
    "who.json": '{"p0_s1": "Doe", "p0_s2": "Doe", "p1_s1": "Roe", "p2_s1": "Poe"}',
    "groups.json": '{"p0_s1": 1, "p0_s2": 1, "p1_s1": 2, "p2_s1": 2}',
    "x.yaml": "Doe: [p0_s1, p0_s2]\nRoe: [p1_s1]\nPoe: [p2_s1]\n",
    "x.csv": "p0_s1,Doe\np0_s2,Doe\np1_s1,Roe\np2_s1,Poe\n",
}
MEASURING = {
    "ages.json": '{"p0_s1": 54, "p0_s2": 54, "p1_s1": 60, "p2_s1": 71}',
    "dates.json": '{"p0_s1": "1.2.99", "p0_s2": "1.2.99", "p1_s1": "2.2.99", "p2_s1": "3.2.99"}',
    "one.json": '{"p0_s1": "a", "p0_s2": "a", "p1_s1": "a", "p2_s1": "a"}',
    "names.json": '{"p0_s1": "a", "p0_s2": "b", "p1_s1": "c", "p2_s1": "d"}',
    "sex.json": '{"p0_s1": "M", "p0_s2": "M", "p1_s1": "F", "p2_s1": "D"}',
    "organs.json": '{"p0_s1": ["liver", "lung"], "p0_s2": ["liver", "lung"], "p1_s1": ["liver"]}',
    "sizes.csv": "p0_s1,3.5\np0_s2,3.5\np1_s1,4\np2_s1,5\n",
}


@pytest.mark.parametrize(("name", "text"), GROUPING.items(), ids=GROUPING)
def test_a_table_of_groups_is_warned_of_whatever_it_is_called(written, name, text):
    (finding,) = layout_of(written({**OF_SLICES, name: text.encode()})).findings
    assert (finding.level, finding.code, finding.file) == ("warning", "LAY_UNUSED", name)


@pytest.mark.parametrize(("name", "text"), MEASURING.items(), ids=MEASURING)
def test_a_table_of_measures_or_of_what_all_or_none_share_is_silent(written, name, text):
    assert not layout_of(written({**OF_SLICES, name: text.encode()})).findings


@pytest.mark.parametrize(
    "title",
    ["My study 2020\n\n", "My study,\n,\n", "My study, 2020\n\n", "Of: x\nBy: y\n", "sep=,\n"],
)
def test_the_names_of_columns_may_follow_a_title(written, title):
    rows = "case,patient\na,p1\nb,p1\n"
    (finding,) = layout_of(written({**PAIRS, "meta.csv": (title + rows).encode()})).findings
    assert (finding.level, finding.file) == ("warning", "meta.csv")


@pytest.mark.parametrize("head", [",split", "case,split", "case"])
def test_names_of_columns_are_no_title(written, head):
    rows = f"{head}\na,train\nb,test\n"
    assert columns_in(open_tree(written({**PAIRS, "x.csv": rows.encode()})), "x.csv") == head.split(
        ","
    )


def test_a_list_of_images_below_a_title_is_refused_rather_than_passed_over(written):
    rows = "My study\n\nimage,label\nimages/a.png,masks/a.png\n"
    with pytest.raises(DataError, match="LAY_CSV"):
        layout_of(written({**PAIRS, "x.csv": rows.encode()}))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "words",
    [
        ("случай", "набор", "обход", "ход"),
        ("症例", "区分", "前期", "後期"),
        ("fall", "del", "à", "bå"),
    ],
)
def test_columns_of_unknown_words_that_part_the_cases_are_noted(written, words, encoding):
    id_, column, one, two = words
    rows = f"{id_},{column}\np0_s1,{one}\np0_s2,{one}\np1_s1,{two}\np2_s1,{two}\n"
    layout = layout_of(written({**OF_SLICES, "meta.csv": rows.encode(encoding)}))
    (finding,) = layout.findings
    assert (finding.level, finding.code) == ("note", "LAY_UNUSED")
    assert f"meta.csv by {column!r}" in finding.found


@pytest.mark.parametrize("column", ["paziente", "пациент", "患者编号"])
def test_patients_are_known_in_more_languages(written, column):
    rows = f"file,{column}\np0_s1,R\np0_s2,R\np1_s1,V\np2_s1,V\n"
    layout = layout_of(written({**OF_SLICES, "meta.csv": rows.encode()}))
    assert told(layout) == {("warning", "LAY_UNUSED")}


@pytest.mark.parametrize(
    "rows",
    [
        *("c,n\np0_s1,3\np0_s2,3\np1_s1,4\n", "c,remark\np0_s1,a\np0_s2,b\np1_s1,c\n"),
        "c,Sex\np0_s1,F\np0_s2,F\np1_s1,M\n",
        "c,x\np0_s1,liver\np0_s1,lung\np0_s2,liver\np0_s2,lung\np1_s1,liver\np1_s1,lung\n",
    ],
)
def test_columns_that_part_nothing_are_silent(written, rows):
    assert not layout_of(written({**OF_SLICES, "meta.csv": rows.encode()})).findings


LEAVING = {
    "meta.csv": "case,exclude\np0_s1,0\np0_s2,0\np1_s1,0\np2_s1,1\n",
    "use.tsv": "file\tage\tuse\np0_s1.png\t9\tyes\np0_s2.png\t9\tyes\np2_s1.png\t8\tno\n",
    "info.txt": "case;status\np0_s1;ok\np0_s2;ok\np1_s1;rejected\n",
    "all.json": '{"p0_s1": {"consent withdrawn": false}, "p0_s2": {"consent withdrawn": false}, '
    '"p1_s1": {"consent withdrawn": true}}',
    "blacklist.csv": "case\np2_s1\n",
    "exclude.txt": "p2_s1\n",
}


@pytest.mark.parametrize(("name", "text"), LEAVING.items(), ids=LEAVING)
def test_a_table_that_may_leave_out_cases_is_warned_of(written, name, text):
    layout = layout_of(written({**OF_SLICES, name: text.encode()}))
    assert [f.file for f in layout.findings if f.level == "warning"] == [name]
    assert "leave out" in layout.findings[0].found


@pytest.mark.parametrize("text", ["c,exclude\nx,0\ny,1\n", "case,exclude\np0_s1,1\np2_s1,1\n"])
def test_a_table_of_others_or_of_one_answer_for_all_leaves_out_none(written, text):
    layout = layout_of(written({**OF_SLICES, "meta.csv": text.encode()}))
    assert not layout.findings


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
    named = need_labels and not name.startswith(("data", "split.yaml"))
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
    assert not layout_of(written({**PAIRS, name: text.encode()})).findings


@pytest.mark.parametrize(
    ("columns", "value", "told"),
    [("case,patient", "p{}", ["groups"]), ("case,age", "5{}", []), ("other,patient", "p{}", [])],
)
def test_a_table_that_is_longer_than_what_is_read_of_it_is_told_by_its_rows(
    written, columns, value, told
):
    ids = [f"case_of_a_long_name_{n:04}" for n in range(3000)]
    layout = Layout("folder pairs", tuple(Case(id_, ((f"i/{id_}.png",),), ()) for id_ in ids))
    rows = [
        f"{id_.replace('case', columns[:4])},{value.format(n // 3)}" for n, id_ in enumerate(ids)
    ]
    tree = open_tree(written({"x.csv": "\n".join((columns, *rows)).encode()}))
    found = named_by_tables(tree, ["x.csv"], layout)
    assert [subject for named in found.values() for subject in named.about] == told


@pytest.mark.parametrize(
    ("text", "advised"),
    [
        ("case,patient\na,p1\nb,p1\n", "dataset.group_file"),
        ("case,split\na,train\nb,test\n", "dataset.split_file"),
    ],
)
def test_the_advice_is_of_what_a_table_tells_and_of_nothing_else(written, text, advised):
    (finding,) = layout_of(written({**PAIRS, "x.csv": text.encode()})).findings
    settings = {"dataset.group_file", "dataset.split_file"}
    assert {name for name in settings if name in finding.fix} == {advised}
