"""Folds and test sets: every case once, no group on two sides."""

import json

import pytest

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.planning.splits import group_of, make_folds, read_groups
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare


def test_folds_cover_every_case_once_and_never_split_a_group():
    groups = {f"p{i // 3}_scan{i}": f"p{i // 3}" for i in range(20)}
    folds = make_folds(groups, 5, seed=3)
    assert sorted(id_ for fold in folds for id_ in fold["val"]) == sorted(groups)
    for fold in folds:
        assert not {groups[i] for i in fold["train"]} & {groups[i] for i in fold["val"]}
        assert sorted(fold["train"] + fold["val"]) == sorted(groups)
    assert folds == make_folds(dict(reversed(groups.items())), 5, seed=3)
    assert folds != make_folds(groups, 5, seed=4)


def test_folds_are_no_more_than_groups_and_need_two():
    assert len(make_folds({"a": "a", "b": "b", "c": "c"}, 5, 0)) == 3
    with pytest.raises(DataError, match=r"SPLIT_FEW: all 2 cases are of one group.*PatientID"):
        make_folds({"a": "p", "b": "p"}, 5, 0)
    with pytest.raises(DataError, match=r"SPLIT_FEW: 1 groups into 5 folds"):
        make_folds({"a": "p"}, 5, 0)


def test_foreground_is_dealt_evenly():
    groups = {f"case{i:02}": f"case{i:02}" for i in range(30)}
    shown = {f"case{i:02}" for i in range(6)}
    for seed in range(5):
        folds = make_folds(groups, 3, seed, shown)
        assert [len(fold["val"]) for fold in folds] == [10, 10, 10]
        assert [len(shown & set(fold["val"])) for fold in folds] == [2, 2, 2]


def test_test_set_holds_whole_groups_and_no_fold_holds_it(discs, tmp_path):
    root = discs(count=12)
    table = "case,group\n" + "".join(f"disc_{i},p{i // 2}\n" for i in range(12))
    (tmp_path / "groups.csv").write_text(table)
    config = DataConfig(group_file=str(tmp_path / "groups.csv"), test_share=0.25, folds=3)
    dataset, _ = prepare(root, tmp_path / "out", config)
    test = set(dataset.test)
    assert 2 <= len(test) <= 4
    assert {f"disc_{int(i[5:]) ^ 1}" for i in test} == test
    held = {i for fold in dataset.folds for i in fold["val"]}
    assert held == set(dataset.cases) - test
    assert load_dataset(tmp_path / "out") == dataset
    (tmp_path / "groups.csv").write_text(table.replace("disc_3,p1\n", ""))
    with pytest.raises(DataError, match=r"SPLIT_GROUPS case disc_3: not in"):
        prepare(root, tmp_path / "out", config)


def test_folds_of_nnunet_are_taken_and_ours_are_theirs(discs, tmp_path):
    root = discs(count=6)
    first, _ = prepare(root, tmp_path / "first", DataConfig(folds=3, seed=5))
    splits = tmp_path / "first/splits.json"
    again, _ = prepare(root, tmp_path / "again", DataConfig(split_file=str(splits)))
    assert again.folds == first.folds
    for content, message in [
        ([{"train": ["disc_0"], "val": ["x"]}], r"SPLIT_FILE: .* unknown cases \['x'\]"),
        ([{"train": ["disc_0"], "val": ["disc_0"]}], r"SPLIT_LEAK: fold 0 .*\['disc_0'\] on both"),
        ([{"train": ["disc_0"], "val": []}], "SPLIT_LEAK"),
        ([{"train": ["disc_0"]}], "SPLIT_FILE"),
        ({}, "SPLIT_FILE"),
    ]:
        splits.write_text(json.dumps(content))
        with pytest.raises(DataError, match=message):
            prepare(root, tmp_path / "again", DataConfig(split_file=str(splits)))


def test_group_is_the_first_group_of_the_pattern():
    assert group_of("patient07_slice3", r"^(patient\d+)") == "patient07"
    for pattern, message in [
        (r"(x\d)", "does not match"),
        (r"patient", "no such group"),
        ("(", ""),
    ]:
        with pytest.raises(DataError, match=rf"SPLIT_PATTERN.*{message}"):
            group_of("patient07", pattern)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("case,group\na,nan\nb,A\n", "a case twice or without group"),
        ("case,group\na,#N/A\nb,A\n", "a case twice or without group"),
        ("case,group\na,Unknown\nb,unknown\nc,A\n", "a case twice or without group"),
        ("case,group,split\na,A,train\n", "column 'split': a split is told by"),
        ("case;group;fold\na;A;0\n", "column 'fold': a split is told by"),
        ("case,group,is_val\na,A,0\n", "column 'is_val': a split is told by"),
        ("case,group,Test set\na,A,0\n", "column 'test set': a split is told by"),
        ("case,group,excluded\na,A,0\nb,B,1\n", "column 'excluded': cases are left out of the"),
    ],
)
def test_files_of_groups_that_hold_none_or_more_are_refused(tmp_path, text, found):
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(DataError, match=f"SPLIT_GROUPS: .*{found}"):
        read_groups(tmp_path / "groups.csv")


def test_files_of_groups_may_tell_more_of_cases(tmp_path):
    (tmp_path / "groups.csv").write_text("case,group,age,test_date,fold_change\na,A,3,x,2\n")
    assert read_groups(tmp_path / "groups.csv") == {"a": "A"}


@pytest.mark.parametrize("pattern", ["(" * 5000 + ")" * 5000, "(c{1,99999999999})"])
def test_patterns_that_no_machine_takes_are_named(pattern):
    with pytest.raises(DataError, match="SPLIT_PATTERN"):
        group_of("a", pattern)
