"""Records and lists that someone made huge are refused before they are read whole."""

import argparse
import tracemalloc

import pytest

from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.files.output_folder import check_free
from data_prep.files.written_files import LIST, MARK, check_written
from data_prep.planning.plan_json import read_plan
from data_prep.planning.splits import read_folds, read_groups
from sdunet.cli.main import main
from sdunet.cli.options import cases_of
from sdunet.segmentation.evaluation.recorded import read_recorded
from sdunet.segmentation.inference.prediction_record import MANIFEST, Manifest
from sdunet.segmentation.models.doubts import doubts_of
from sdunet.segmentation.models.integrity import ACCEPTED, verify
from sdunet.segmentation.models.integrity import LIST as PACKAGE
from sdunet.segmentation.models.run_folder import VALIDATION_CASES
from sdunet.segmentation.models.trained_model import DESCRIPTION, WEIGHTS, load_model
from sdunet.segmentation.training.cross_validation import _validation_cases
from sdunet.vae.data.packed import load_packed

HUGE = 1 << 29
MOST = 1 << 28


def huge(path):
    """A file of zeros that takes no room on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(HUGE)
    return path


def as_config(folder):
    main(["check", str(folder), "--config", str(huge(folder / "task.yaml"))])


def as_cases(folder):
    cases_of(argparse.Namespace(cases=str(huge(folder / "cases.txt"))))


def as_groups(folder):
    read_groups(huge(folder / "groups.csv"))


def as_folds(folder):
    read_folds(huge(folder / "folds.json"), {})


def as_predictions(folder):
    huge(folder / MANIFEST)
    Manifest(folder, {}).before()


def as_recorded(folder):
    read_recorded(open_tree(huge(folder / MANIFEST).parent))


def as_package(folder):
    verify(open_tree(huge(folder / PACKAGE).parent))


def as_accepted(folder):
    make_run(folder)
    huge(folder / ACCEPTED)
    doubts_of(folder)


def as_model(folder):
    make_run(folder)
    huge(folder / DESCRIPTION)
    load_model(folder)


def as_validation_cases(folder):
    huge(folder / VALIDATION_CASES)
    _validation_cases(folder)


def make_run(folder):
    (folder / WEIGHTS).write_bytes(b"")
    (folder / DESCRIPTION).write_bytes(b"{}")


def as_packed(folder):
    load_packed(huge(folder / "dataset.json").parent)


def many(path, item):
    """A file of more values than any needs, in few bytes, which would take gigabytes if parsed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[" + f"{item}," * 5_000_000 + "0]", encoding="utf-8")
    return path


@pytest.mark.parametrize("item", ["[]", '{"a":{}}', "1"])
@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_folds(path, {}),
        read_plan,
        lambda path: main(["check", str(path.parent), "--config", str(path)]),
    ],
    ids=["folds", "plan", "settings"],
)
def test_many_values_are_refused_before_they_are_built(read, item, tmp_path):
    path = many(tmp_path / "file.json", item)
    tracemalloc.start()
    try:
        with pytest.raises((DataError, SystemExit)):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 5 * path.stat().st_size + (1 << 25)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "read",
    [
        *(as_config, as_cases, as_groups, as_folds, as_predictions, as_packed, as_recorded),
        *(as_package, as_accepted, as_model, as_validation_cases),
    ],
)
def test_huge_files_are_refused_before_they_are_read_whole(read, tmp_path):
    tracemalloc.start()
    try:
        with pytest.raises((DataError, SystemExit)):
            read(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


def test_a_list_of_what_was_written_is_read_by_pieces_and_no_larger_than_stated(
    tmp_path, monkeypatch
):
    path = tmp_path / MARK / LIST
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(1 << 24)
    (tmp_path / "a.txt").write_text("a")
    tracemalloc.start()
    try:
        check_written(tmp_path / "a.txt", b"a")
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()
    huge(path)
    monkeypatch.setattr("data_prep.files.written_files.parse_json", None)  # nothing is parsed
    for read in (
        lambda: check_written(tmp_path / "a.txt", b"a"),
        lambda: open_tree(tmp_path),
        lambda: check_free(tmp_path, "predict"),
    ):
        with pytest.raises(DataError, match=f"OUT_LIST: .* has {HUGE} bytes, above"):
            read()
