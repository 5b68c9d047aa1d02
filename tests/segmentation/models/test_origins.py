"""What a network was trained on is what its start weights were, too, over any number of them."""

import shutil
from dataclasses import replace

import pytest

from data_prep.core.config import Plan
from data_prep.prepared.dataset import CaseRecord, Dataset
from data_prep.preprocessing.intensity import Scaling
from sdunet.segmentation.export.package import _about
from sdunet.segmentation.models.seen_cases import (
    TRAINING_CASES,
    Start,
    read_seen,
    read_start,
    write_seen,
)
from sdunet.segmentation.models.trained_model import Model
from sdunet.segmentation.training.initial_weights import doubts_about

PLAN = Plan(2, ("a",), {"background": 0, "b": 1}, {}, "zscore", None, (8, 8))


def case(name, number, mask="m"):
    """A case of one image and one label, whose hashes are of the number whatever the name."""
    source = {f"i/{name}.png": f"i{number}", f"l/{name}.png": f"{mask}{number}"}
    known = {"made_with": "", "label_files": (f"l/{name}.png",)}
    return CaseRecord(name, name, "", "", (8, 8), Scaling([0.0], [1.0]), [], {}, source, **known)


def set_of(numbers, folds, prefix="p", mask="m"):
    """A prepared set; `folds` lists the numbers of the cases that validate each."""
    cases = {n: case(f"{prefix}{n}", n, mask) for n in numbers}
    sides = [
        {"train": [cases[n].id for n in numbers if n not in fold],
         "val": [cases[n].id for n in fold]} for fold in folds
    ]  # fmt: skip
    return Dataset(None, "", PLAN, {c.id: c for c in cases.values()}, sides)


def trained(folder, dataset, fold, initial=None):
    """A run as far as what it was trained on goes."""
    folder.mkdir(exist_ok=True)
    write_seen(folder, dataset, fold, initial)
    return Model(None, PLAN, 0.5, (), folder.name, folder)


def codes(model, dataset, fold):
    return [finding.code for finding in doubts_about(model, dataset, fold)]


FIRST = set_of(range(4), [[0, 1], [2, 3]])


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        (FIRST, [[], ["INIT_SEEN"]]),
        (set_of(range(4), [[3], [0], [0, 2]], "renamed"), [["INIT_SEEN"], [], ["INIT_SEEN"]]),
        (set_of(range(4), [[0, 1], [2, 3]], mask="corrected"), [[], ["INIT_SEEN"]]),
        (set_of(range(4, 8), [[4, 5], [6, 7]]), [[], []]),
    ],
)
def test_cases_are_known_however_they_were_prepared_called_and_dealt(tmp_path, dataset, told):
    model = trained(tmp_path / "a", FIRST, 0)
    assert [codes(model, dataset, fold) for fold in range(len(told))] == told
    assert codes(model, dataset, None) == []


def test_images_of_one_and_the_same_label_are_not_taken_for_each_other(tmp_path):
    model = trained(tmp_path / "a", FIRST, 0)
    other = set_of(range(4, 8), [[4, 5], [6, 7]])
    blank = {id_: replace(c, source=c.source | {c.label_files[0]: "m2"})
             for id_, c in other.cases.items()}  # fmt: skip
    assert codes(model, replace(other, cases=blank), 0) == []


@pytest.mark.parametrize("fold", [1, None])
def test_what_was_seen_is_inherited_over_generations(tmp_path, fold):
    others = set_of(range(4, 8), [[4, 5], [6, 7]])
    first = trained(tmp_path / "a", FIRST, fold)
    second = trained(tmp_path / "b", others, 0, first)
    third = trained(tmp_path / "c", set_of(range(8, 12), [[8]]), 0, second)
    assert codes(third, FIRST, 0) == ["INIT_SEEN"]  # of the first
    assert codes(third, others, 1) == ["INIT_SEEN"]
    assert codes(third, others, 0) == []
    known = {n for files in read_seen(tmp_path / "c") for n in files if n.startswith("i")}
    own = {0, 1} if fold == 1 else {0, 1, 2, 3}
    assert known == {f"i{n}" for n in own | {6, 7, 9, 10, 11}}
    assert read_start(tmp_path / "c") == Start()
    trained(tmp_path / "d", FIRST, 0, third)
    assert read_start(tmp_path / "d") == Start(("p0", "p1"))


def test_a_start_without_a_record_is_said_as_unknown(tmp_path):
    first = trained(tmp_path / "a", FIRST, 0)
    package = replace(first, root=tmp_path / "package.zip")
    assert codes(package, FIRST, 1) == ["INIT_UNKNOWN"]
    second = trained(tmp_path / "b", FIRST, 1, package)
    assert read_start(tmp_path / "b") == Start(unknown=True)
    assert codes(second, FIRST, 1) == ["INIT_UNKNOWN"]
    assert codes(second, FIRST, 0) == ["INIT_SEEN"]
    assert _about([Start(), read_start(tmp_path / "b")]).startswith("Nothing tells whether ")
    assert _about([read_start(tmp_path / "a")]) == ""


def test_a_run_that_goes_on_from_the_package_of_its_start_keeps_what_was_known(tmp_path):
    first = trained(tmp_path / "a", FIRST, 0)
    trained(tmp_path / "b", FIRST, 1, first)
    want = (tmp_path / "b" / TRAINING_CASES).read_bytes()
    shutil.rmtree(tmp_path / "a")
    trained(tmp_path / "b", FIRST, 1, first)
    assert (tmp_path / "b" / TRAINING_CASES).read_bytes() == want
