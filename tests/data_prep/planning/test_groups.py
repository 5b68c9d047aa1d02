"""No way of giving folds or groups parts a group, and what is said twice must agree."""

import json

import pytest
from bad_sets import mask, picture, png

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.planning.splits import check_folds, given_folds, groups_of, read_groups
from data_prep.prepared.dataset import load_dataset, save_dataset
from data_prep.prepared.prepare import prepare, split

IDS = "abcdef"
PATIENTS = dict(zip(IDS, ("p1", "p1", "p2", "p2", "p3", "p3"), strict=True))
BY_PATIENT = dict(zip(IDS, (0, 0, 1, 1, 2, 2), strict=True))
ACROSS = dict(zip(IDS, (0, 1, 0, 1, 2, 2), strict=True))


@pytest.fixture
def listed(tmp_path):
    """Writer of six 2D images with masks and a list of them, CSV or JSON."""

    def write(kind, **columns):
        root = tmp_path / "raw"
        for number, id_ in enumerate(IDS):
            for folder, data in (("i", png(picture(number))), ("m", png(mask()))):
                path = root / folder / f"{id_}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        rows = [
            {"image": f"i/{id_}.png", "label": f"m/{id_}.png"}
            | {name: values[id_] for name, values in columns.items() if id_ in values}
            for id_ in IDS
        ]
        if kind == "json":
            (root / "list.json").write_text(json.dumps({"training": rows}))
        else:
            names = list(dict.fromkeys(name for row in rows for name in row))
            lines = [",".join(str(row.get(name, "")) for name in names) for row in rows]
            (root / "list.csv").write_text("\n".join([",".join(names), *lines]))
        return root

    return write


def codes(checked):
    return {(error.code, error.case) for error in checked.errors}


SPELLINGS = {
    "spaces": {"b": "  p1 "},
    "unseen": {"b": "p1\u200b"},
    "soft hyphen": {"b": "p\u00ad1"},
    "mark of text": {"b": "'p1"},
    "capitals": {"b": "P1"},
    "another form of the letter": {"b": "p\uff11"},
}


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("key", ["patient", "patient_id", "subject", "group", "site", "Patient"])
def test_group_in_two_folds_is_kept_out_and_the_others_are_used(listed, kind, key):
    checked = check(listed(kind, **{key: PATIENTS}, fold=ACROSS), DataConfig())
    assert codes(checked) == {("SPLIT_LEAK", id_) for id_ in "abcd"}
    assert sorted(checked.facts) == ["e", "f"]


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_spelling_parts_no_group(listed, kind, spelling):
    checked = check(listed(kind, patient=PATIENTS | spelling, fold=ACROSS), DataConfig())
    assert ("SPLIT_LEAK", "b") in codes(checked)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(("1", "1.0"), ("7", "07"), ("0", "00"), ("10.00", "010"), ("3a", "03A")),
        *(("p-1", f"p{dash}1") for dash in "\u2010\u2013\u2014\uff0d"),
    ],
)
def test_names_as_programs_write_them_are_one_group(listed, first, second):
    patients = {**PATIENTS, "a": first, "b": second}
    checked = check(listed("csv", patient=patients, fold=ACROSS), DataConfig())
    assert {("SPLIT_LEAK", "a"), ("SPLIT_LEAK", "b")} <= codes(checked)


@pytest.mark.parametrize(
    ("first", "second"), [("1", "10"), ("1.5", "1"), ("p0", "p"), ("a1", "a01")]
)
def test_other_names_are_other_groups(listed, first, second):
    patients = {"a": first, "b": second, **{id_: id_ for id_ in "cdef"}}
    assert not codes(check(listed("csv", patient=patients, fold=ACROSS), DataConfig()))


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize(
    "empty", ["", "  ", None, "nan", "N/A", "none", "-", "#REF!", "#NAME?", "#N/A", "#DIV/0!"]
)
def test_case_without_group_among_others_is_named(listed, kind, empty):
    patients = {**PATIENTS, "a": empty}
    if empty is None:
        del patients["a"]
    checked = check(listed(kind, patient=patients), DataConfig())
    assert codes(checked) == {("SPLIT_GROUPS", "a")}
    assert sorted(checked.facts) == list("bcdef")


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_folds_by_patient_are_taken_without_a_word(listed, tmp_path, kind):
    root = listed(kind, patient=PATIENTS, fold=BY_PATIENT)
    assert not check(root, DataConfig()).findings
    dataset, problems = prepare(root, tmp_path / "out", DataConfig())
    assert not problems
    assert [fold["val"] for fold in dataset.folds] == [["a", "b"], ["c", "d"], ["e", "f"]]


def test_column_that_names_nobody_groups_nobody(listed):
    checked = check(listed("csv", patient=dict.fromkeys(IDS, " ")), DataConfig())
    assert not checked.findings
    assert checked.groups == {id_: id_ for id_ in IDS}


def group_file(tmp_path, groups):
    path = tmp_path / "groups.csv"
    path.write_text("case,group\n" + "".join(f"{c},{g}\n" for c, g in groups.items()))
    return str(path)


ONE_EACH = {id_: f"g{id_}" for id_ in IDS}
SITES = dict(zip(IDS, "xxxxyy", strict=True))
BY_GROUP = {id_: (patient, None) for id_, patient in PATIENTS.items()}
BY_NAME = {f"{patient}_{id_}": (None, None) for id_, patient in PATIENTS.items()}
CONTRADICTIONS = {
    "file, dataset": (BY_GROUP, ONE_EACH, None),
    "pattern, dataset": (BY_GROUP, None, "(.)"),
    "file, pattern": (BY_NAME, {id_: id_ for id_ in BY_NAME}, r"(p\d)"),
    "group, patient": ({i: (ONE_EACH[i], PATIENTS[i]) for i in IDS}, None, None),
}


@pytest.mark.parametrize(
    ("told", "by_file", "pattern"), CONTRADICTIONS.values(), ids=CONTRADICTIONS
)
def test_sources_that_part_each_others_groups_are_refused(tmp_path, told, by_file, pattern):
    path = group_file(tmp_path, by_file) if by_file else None
    with pytest.raises(DataError, match=r"SPLIT_GROUPS: .* has both in 'p1'"):
        groups_of(told, DataConfig(group_file=path, group_pattern=pattern))


@pytest.mark.parametrize("coarser", [PATIENTS, SITES, dict(PATIENTS, a="P1 ")])
def test_coarser_groups_of_the_user_are_taken(listed, tmp_path, coarser):
    config = DataConfig(group_file=group_file(tmp_path, coarser))
    checked = check(listed("csv", patient=PATIENTS), config)
    assert not checked.findings
    assert checked.groups["a"] == checked.groups["b"]


def test_site_does_not_stand_for_the_patient(listed):
    checked = check(listed("csv", site=SITES, patient=PATIENTS), DataConfig())
    assert not checked.findings
    assert checked.groups == PATIENTS


def test_groups_that_hold_several_patients_are_noted(listed):
    checked = check(listed("csv", group=SITES, patient=PATIENTS), DataConfig())
    (finding,) = checked.findings
    assert (finding.level, finding.code) == ("note", "SPLIT_GROUPS")
    assert "3 patients in 2" in finding.found
    assert checked.groups == SITES


QUESTIONS = {"MRN": "groups", "is_test": "split", "cv_id": "split", "metadata.xlsx": "both"}


def test_what_may_tell_a_split_or_groups_is_warned_of_until_settings_do(listed, tmp_path):
    cells = {"MRN": PATIENTS, "is_test": dict.fromkeys(IDS, "") | {"f": "1"}}
    root = listed("csv", **cells, cv_id=dict(zip(IDS, "112233", strict=True)))
    (root / "metadata.xlsx").write_bytes(b"PK")
    folds = tmp_path / "splits.json"
    folds.write_text(json.dumps([{"train": [*"abcd"], "val": [*"ef"]}]))
    by_split = {"split_file": str(folds)}
    by_group = {"group_file": group_file(tmp_path, PATIENTS)}
    for given, answered in [
        ({}, ()),
        (by_group, ("groups",)),
        ({"group_pattern": "(.*)"}, ("groups",)),
        (by_split, ("split",)),
        (by_group | by_split, ("split", "groups", "both")),
    ]:
        found = check(root, DataConfig(**given)).findings
        for name, about in QUESTIONS.items():
            (told,) = [f for f in found if name in f.found and f.code.startswith("LAY_")]
            assert told.level == ("note" if about in answered else "warning"), (name, given)


def test_what_settings_contradict_is_refused(listed, tmp_path):
    root = listed("csv", patient=PATIENTS, fold=dict(zip(IDS, "001122", strict=True)))
    folds = tmp_path / "splits.json"
    folds.write_text(json.dumps([{"train": [*"abcd"], "val": [*"ef"]}]))
    checked = check(root, DataConfig(split_file=str(folds)))
    with pytest.raises(DataError, match="SET_CONFLICT"):
        split(checked, sorted(checked.facts), DataConfig(split_file=str(folds)), Findings())
    with pytest.raises(DataError, match="SPLIT_GROUPS"):
        check(root, DataConfig(group_file=group_file(tmp_path, dict(zip(IDS, IDS, strict=True)))))


def test_group_file_of_parts_of_a_split_is_refused(listed, tmp_path):
    parts = dict.fromkeys(IDS, "Training") | {"f": "test"}
    config = DataConfig(group_file=group_file(tmp_path, parts))
    with pytest.raises(DataError, match=r"SPLIT_GROUPS: .* parts of a split: Training, test"):
        check(listed("csv"), config)


@pytest.mark.parametrize(
    ("named", "warned"),
    [(("TR", "TS"), True), (("train", "B"), False), (("training 1", "test 1"), True)],
)
def test_group_file_of_what_may_be_parts_of_a_split_is_warned_of(tmp_path, named, warned):
    groups = {f"c{n}": named[n % 2] for n in range(4)}
    config = DataConfig(group_file=group_file(tmp_path, groups))
    found, errors, findings = groups_of(dict.fromkeys(groups, (None, None)), config)
    assert (found, errors) == (groups, [])
    assert [(f.level, f.code) for f in findings] == [("warning", "SPLIT_GROUPS")] * warned


def test_group_file_that_tells_a_split_as_forms_do_is_refused(tmp_path):
    (tmp_path / "groups.csv").write_text("Case*,Group,Test? (y/n)\na,x,y\nb,y,n\n")
    with pytest.raises(DataError, match=r"SPLIT_GROUPS: .*column 'test': a split is told by"):
        read_groups(tmp_path / "groups.csv")


def test_group_file_with_cases_that_are_not_there_is_told(listed, tmp_path):
    config = DataConfig(group_file=group_file(tmp_path, PATIENTS | {"g": "p9"}))
    (finding,) = check(listed("csv"), config).findings
    assert (finding.level, finding.code) == ("warning", "SPLIT_GROUPS")
    assert "names 1 cases that are not there: ['g']" in finding.found


@pytest.mark.parametrize(
    "text", ["case;group\n{}", "Case,Group\n{}", "\ufeffCASE\t group\n{}", "group,case,age\n{}"]
)
def test_group_file_is_read_as_spreadsheets_write_it(listed, tmp_path, text):
    mark = max(";\t,", key=text.count)
    turned = text.startswith("group")
    rows = [(p, i, "9") if turned else (i, p) for i, p in PATIENTS.items()]
    path = tmp_path / "groups.csv"
    path.write_text(text.format("".join(mark.join(row) + "\n" for row in rows)), encoding="utf-8")
    checked = check(listed("csv", fold=ACROSS), DataConfig(group_file=str(path)))
    assert {("SPLIT_LEAK", id_) for id_ in "abcd"} <= codes(checked)


def test_bad_case_may_be_missing_in_groups_and_is_known_to_them(listed, tmp_path):
    root = listed("csv")
    (root / "i/a.png").write_bytes(b"")
    config = DataConfig(group_file=group_file(tmp_path, PATIENTS))
    assert {f.code for f in check(root, config).findings} == {"IO_EMPTY"}
    (tmp_path / "groups.csv").write_text("case,group\n" + "".join(f"{i},p\n" for i in "bcdef"))
    assert sorted(check(root, config).facts) == list("bcdef")


def test_no_folds_pass_that_part_a_group():
    groups = {"a": "p", "b": "p", "c": "q"}
    folds = given_folds({"a": 0, "b": 1, "c": 1})
    with pytest.raises(DataError, match=r"SPLIT_LEAK: fold 0: \['p'\] on both sides"):
        check_folds(folds, groups)
    with pytest.raises(DataError, match="SPLIT_LEAK"):
        check_folds([{"train": ["a"], "val": ["c"]}], groups, test=["b"])
    check_folds([{"train": ["a", "b"], "val": ["c"]}], groups)


def test_prepared_set_whose_folds_part_a_group_is_not_opened(listed, tmp_path):
    dataset, _ = prepare(listed("csv", patient=PATIENTS), tmp_path / "out", DataConfig(folds=3))
    fold = dataset.folds[0]
    fold["train"].append(fold["val"].pop())
    save_dataset(dataset)
    with pytest.raises(DataError, match="SPLIT_LEAK: fold 0"):
        load_dataset(tmp_path / "out")


def cover(*folds):
    return [{"train": [*train], "val": [*val]} for train, val in folds]


NOT_COVERED = {
    "a case in no fold": (cover(("bcd", "ef"), ("ef", "bcd")), "fold 0 lacks a"),
    "one fold lacks a case": (cover(("abcd", "ef"), ("e", "abcd")), "lacks f; no fold|lacks f"),
    "validated twice": (cover(("abcd", "ef"), ("ab", "cdef")), "several folds validate e, f"),
    "never validated": (cover(("abcd", "ef"), ("abef", "cd")), "no fold validates a, b"),
}


@pytest.mark.parametrize(("folds", "said"), NOT_COVERED.values(), ids=NOT_COVERED)
def test_case_that_is_not_once_in_its_place_is_refused_or_accepted(listed, tmp_path, folds, said):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(folds))
    with pytest.raises(DataError, match=f"SPLIT_COVER: .*({said})"):
        prepare(listed("csv"), tmp_path / "out", DataConfig(split_file=str(path)))
    accepted = DataConfig(split_file=str(path), accept=("SPLIT_COVER",))
    dataset, problems = prepare(listed("csv"), tmp_path / "out", accepted)
    assert not problems
    assert dataset.folds == folds


@pytest.mark.parametrize(
    "folds",
    [
        [{"train": ["a"], "val": ["b"], "test": ["c"]}],
        [{"train": ["a"], "validation": ["b"]}],
        [{"train": "abcd", "val": "ef"}],
        [{"train": {"a": 1}, "val": ["b"]}],
        [{"train": [True], "val": ["b"]}],
        [["a"], ["b"]],
        [],
    ],
    ids=str,
)
def test_file_of_folds_of_another_form_is_refused(listed, tmp_path, folds):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(folds))
    with pytest.raises(DataError, match="SPLIT_FILE"):
        prepare(listed("csv"), tmp_path / "out", DataConfig(split_file=str(path)))


@pytest.mark.parametrize(
    "folds", [cover(("abcd", "ef")), cover(("abcd", "ef"), ("abef", "cd"), ("cdef", "ab"))], ids=len
)
def test_folds_that_hold_every_case_are_taken(listed, tmp_path, folds):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(folds))
    config = DataConfig(split_file=str(path))
    dataset, problems = prepare(listed("csv"), tmp_path / "out", config)
    assert not problems
    assert dataset.folds == folds


def test_file_of_folds_may_name_a_case_that_cannot_be_used(listed, tmp_path):
    root = listed("csv")
    (root / "i/a.png").write_bytes(b"")
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(cover(("abcd", "ef"), ("ef", "abcd"))))
    dataset, problems = prepare(root, tmp_path / "out", DataConfig(split_file=str(path)))
    assert [(p.code, p.case) for p in problems] == [("IO_EMPTY", "a")]
    assert dataset.folds == cover(("bcd", "ef"), ("ef", "bcd"))
