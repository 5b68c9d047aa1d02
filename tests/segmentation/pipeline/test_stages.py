"""A stage is done once: skipped while nothing changes, named where something did."""

import json
from contextlib import nullcontext

import pytest

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.atomic import write_bytes
from data_prep.files.file_tree import open_tree
from data_prep.files.output_folder import own_folder
from sdunet.segmentation.pipeline.raw_files import data_settings, raw_files
from sdunet.segmentation.pipeline.stages import STAGES, Stages

INPUTS = {"training": {"epochs": 2}, "raw": {"images/a.png": "0" * 64}}


@pytest.fixture
def out(tmp_path):
    """The folder of a run that goes on."""
    with own_folder(tmp_path / "out", "run", part=None):
        yield tmp_path / "out"


def done(out, inputs=INPUTS, fails=None):
    """Do a stage that writes two files; return what it gave, and whether it worked for that."""
    worked = []

    def work():
        worked.append(True)
        write_bytes(out / "made/a.txt", b"a")
        write_bytes(out / "made/b.txt", b"b")
        if fails:
            raise fails
        return {"number": 7}

    return Stages(out).do("make", inputs, ["made"], work), bool(worked)


def test_a_stage_is_done_once_and_gives_the_same_again(out, capsys):
    assert done(out) == ({"number": 7}, True)
    assert done(out) == ({"number": 7}, False)
    assert capsys.readouterr().err == "make: begins\nmake: done before\n"


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({**INPUTS, "training": {"epochs": 3}}, "training.epochs was 2, is 3"),
        ({**INPUTS, "raw": {"images/a.png": "1" * 64}}, "raw.images/a.png changed"),
        ({**INPUTS, "raw": {}}, "raw.images/a.png is gone"),
        ({**INPUTS, "raw": INPUTS["raw"] | {"b": "1" * 64}}, "raw.b is new"),
    ],
)
def test_changed_inputs_are_named_with_their_stage(out, inputs, told):
    done(out)
    with pytest.raises(DataError) as error:
        done(out, inputs)
    assert error.value.code == "PIPE_INPUTS"
    assert error.value.found == f"stage make was done from something else: {told}"


def test_edited_outputs_are_named_and_lost_ones_are_made_again(out):
    done(out)
    (out / "made/b.txt").write_text("edited")
    with pytest.raises(DataError, match=r"stage make: made/b.txt was changed .*remove all of made"):
        done(out)
    (out / "made/b.txt").unlink()
    with pytest.raises(DataError, match=r"PIPE_OUTPUTS: stage make: made/b.txt is gone"):
        done(out)
    (out / "made/a.txt").unlink()
    (out / "made").rmdir()
    assert done(out) == ({"number": 7}, True)
    assert done(out) == ({"number": 7}, False)


def test_all_places_of_a_stage_are_named_to_be_removed(out):
    stages, places = Stages(out), ["parts", "whole"]

    def make():
        for place in places:
            write_bytes(out / place / "a.txt", b"a")

    stages.do("make", INPUTS, places, make)
    (out / "whole/a.txt").write_text("edited")
    with pytest.raises(DataError, match="remove all of parts and whole, which are then made again"):
        stages.do("make", INPUTS, places, make)
    for place in places:
        (out / place / "a.txt").unlink()
        with pytest.raises(DataError, match="PIPE_OUTPUTS") if place == "parts" else nullcontext():
            (out / place).rmdir()
            stages.do("make", INPUTS, places, make)
    assert (out / "parts/a.txt").exists()


def test_a_killed_stage_goes_on_from_the_same_and_a_failed_one_from_anything(out):
    other = {**INPUTS, "training": {"epochs": 3}}
    with pytest.raises(KeyboardInterrupt):
        done(out, fails=KeyboardInterrupt())
    with pytest.raises(DataError, match=r"PIPE_INPUTS.*training.epochs was 2, is 3"):
        done(out, other)
    with pytest.raises(DataError, match="CODE"):
        done(out, fails=DataError("CODE", "found", "fix"))
    assert done(out, other) == ({"number": 7}, True)


def test_a_damaged_record_is_named(out):
    done(out)
    path = out / STAGES / "make.json"
    record = json.loads(path.read_text())
    record["inputs"]["training.epochs"] = 3
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="PIPE_RECORD"):
        done(out)


def test_raw_files_tell_of_every_change_but_of_notes(tmp_path):
    raw = tmp_path / "raw"
    write_bytes(raw / "images/a.png", b"1")
    before = raw_files(open_tree(raw))
    (raw / "README.md").write_text("a note")
    (raw / ".hidden").write_text("of a file manager")
    assert raw_files(open_tree(raw)) == before
    write_bytes(raw / "images/a.png", b"2")
    write_bytes(raw / "dataset.json", b"{}")
    after = raw_files(open_tree(raw))
    assert [name for name in after if after[name] != before.get(name)] == [
        "dataset.json",
        "images/a.png",
    ]


def test_settings_hold_the_content_of_the_files_they_name(tmp_path):
    path = tmp_path / "splits.json"
    path.write_text("[]")
    config = DataConfig(split_file=str(path))
    before = data_settings(config)
    assert str(tmp_path) not in json.dumps(before)
    path.write_text("[[]]")
    assert data_settings(config) != before
