"""Words of lists and folders in other spellings, some of them meant by nobody."""

from dataclasses import replace

import pytest


@pytest.fixture(scope="module")
def fuzz(script):
    return script("fuzz_lists")


SETS = ("list.splits", "list.folds", "list.patients", "folders.labels", "folders.parts")


@pytest.mark.parametrize("name", SETS)
def test_every_word_is_obeyed_or_named(fuzz, name):
    assert {*SETS} == fuzz.SETS.keys()
    counts, bad = fuzz.fuzz_set(name, 200, seed=1)
    assert not bad
    assert min(counts["as before"], counts["refused"] + counts["named"]) > 10


@pytest.mark.parametrize("name", SETS)
def test_fuzzing_would_tell_of_a_layout_that_drops_words(fuzz, name, monkeypatch):
    find = fuzz.find_layout

    def dropping(tree):
        layout = find(tree)
        cases = [replace(c, split=None, group=None, patient=None, labels=()) for c in layout.cases]
        return replace(layout, cases=tuple(cases), findings=(), problems=())

    monkeypatch.setattr(fuzz, "find_layout", dropping)
    _, bad = fuzz.fuzz_set(name, 50, seed=1)
    assert "WRONG" in {found for found, *_ in bad}
