"""One rule tells what words are a part of a split: in folders, names, columns and values."""

from time import process_time

import pytest

from data_prep.layouts.lists.columns import told_parts
from data_prep.layouts.words import part_named, part_of_folders
from data_prep.planning.group_words import parts_alone
from data_prep.planning.part_words import (
    PART_OF,
    UNTOLD,
    part_in_name,
    part_told,
    part_word,
    without_marks,
)

PARTS = {
    "": ["train", "Trainingsdaten", "trainset", "datatrain", "Trainings-Daten", "TrainSet"],
    "validation": ["Validierung", "val-data", "valset", "Validierungsdatensatz", "dev_set"],
    "test": [
        "Testdatensatz",
        "test_set",
        "TestSet",
        "testdata",
        "Testdatensa\u0308tze",
        "datatest",
    ],
}
OTHERS = (
    *("contest", "attestation", "latest", "detestable", "protest", "testament", "testes"),
    *("trainer", "trainee", "strain", "constraint", "valve", "value", "interval", "retrieval"),
    *("dataset", "datasets", "data", "setup", "settings", "subset", "nandata", "noneset", "device"),
    *("trainval", "datats", "_", "", "none", "nan"),
)


@pytest.mark.parametrize(("part", "word"), [(p, word) for p, ws in PARTS.items() for word in ws])
def test_words_for_parts_are_understood_wherever_they_are(part, word):
    assert part_of_folders([word]) == (part or "train")
    assert part_named(f"{word}_7") == (part or "train")
    assert part_told(word) == part
    other = "train" if part else "test"
    assert parts_alone([word, other]) == sorted([word, other])


@pytest.mark.parametrize("word", OTHERS)
def test_words_that_only_hold_one_are_none(word):
    assert part_of_folders([word]) is part_named(word) is part_in_name(word) is None
    assert part_told(word) is None
    assert told_parts(word, ["yes", "no"]) is None


@pytest.mark.parametrize("column", ["is_testset", "Testdatensatz", "test dataset?", "hold-out"])
def test_columns_ask_about_parts_by_the_same_words(column):
    assert told_parts(column, ["yes", "no"]) == [{"test"}, {"", "validation"}]


def test_every_known_word_is_its_part_alone_and_with_a_word_for_a_set():
    for word, part in PART_OF.items():
        for made in () if word in UNTOLD else (word, f"{word}set", f"{word}sdaten"):
            assert part_word(made) == part_in_name(f"{made}2") == part
            assert part_word(f"{made}2") is None  # the second of several, such as patients


def test_columns_of_numbers_of_tests_are_not_asked_about_a_split():
    assert told_parts("tests", ["yes", "no"]) is None
    assert part_in_name("tests") == "test"


@pytest.mark.parametrize(
    ("column", "bare"),
    [
        ("test (y/n)", "test"),
        ("Test [Ja / Nein]", "Test"),
        ("is test (1=yes, 0=no)?", "is test"),
        ("dose (nonsense)", "dose  nonsense"),
        ("dose (mg)", "dose  mg"),
    ],
)
def test_answers_in_brackets_are_no_word_of_a_column(column, bare):
    assert without_marks(column) == bare


@pytest.mark.parametrize("text", ["a (" + "no" * 10_000, "(" * 10_000, "a (" + "no " * 10_000])
def test_brackets_that_are_never_closed_are_soon_read(text):
    began = process_time()
    without_marks(text)
    assert process_time() - began < 1
