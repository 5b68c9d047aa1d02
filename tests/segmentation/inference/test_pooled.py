"""Predictions of several folders as one set, whose record tells of all networks."""

import hashlib
import json

import pytest

from data_prep.core.errors import DataError
from data_prep.files.atomic import write_bytes
from data_prep.files.output_folder import own_folder
from sdunet.segmentation.inference.pooled import pool
from sdunet.segmentation.inference.prediction_record import MANIFEST, Manifest


@pytest.fixture
def predicted(tmp_path):
    """Maker of a folder of predictions by one network; they hold their own names."""

    def make(name, model, *cases):
        folder = tmp_path / name
        with own_folder(folder, "predict"), Manifest(folder, {"models": [model]}, doubts=[]) as m:
            for case in cases:
                data = case.encode()
                write_bytes(folder / f"{case}.png", data)
                files = {f"{case}.png": hashlib.sha256(data).hexdigest()}
                m.done(case, {"source": {}, "files": files})
            m.failed_with(DataError("CODE", "found", "fix", case=f"bad_{name}"))
        return folder

    return make


def test_all_cases_and_networks_are_told(predicted, tmp_path):
    folders = [predicted("one", "x", "b", "d"), predicted("two", "y", "a")]
    assert pool(folders, tmp_path / "all") == ["a", "b", "d"]
    record = json.loads((tmp_path / "all" / MANIFEST).read_text())
    assert record["models"] == ["x", "y"]
    assert [*record["cases"]] == ["a", "b", "d"]
    assert [*record["failed"]] == ["bad_one", "bad_two"]
    assert {p.stem: p.read_text() for p in (tmp_path / "all").glob("*.png")} == {
        "a": "a",
        "b": "b",
        "d": "d",
    }
    assert pool(folders[:1], tmp_path / "all") == ["b", "d"]
    assert not (tmp_path / "all/a.png").exists()


def test_a_case_that_is_there_twice_or_was_edited_is_refused(predicted, tmp_path):
    folders = [predicted("one", "x", "a"), predicted("two", "y", "a")]
    with pytest.raises(DataError, match="PRED_TWICE: case a"):
        pool(folders, tmp_path / "all")
    (folders[0] / "a.png").write_text("edited")
    with pytest.raises(DataError, match="OUT_CHANGED"):
        pool(folders[:1], tmp_path / "all")
