"""What `sdunet check` warns of is told by every command that goes on in spite of it."""

import json

import numpy as np
import pytest
from grids import crossed

from sdunet.cli.main import main

COMMANDS = {
    "convert": lambda raw, out: ["convert", raw, "-o", out, "--to", "folders"],
    "plan": lambda raw, out: ["plan", raw, "-o", out],
    "prepare": lambda raw, out: ["prepare", raw, "-o", out],
    "evaluate": lambda raw, out: ["evaluate", "--pred", raw, "--ref", raw, "-o", out],
}


@pytest.fixture
def raw(tmp_path, write_picture):
    """Three cases with masks of their own; and what may be meant, and is not read."""
    random = np.random.default_rng(0)
    for name in "abc":
        picture = random.integers(0, 200, (12, 12), np.uint8)
        write_picture(tmp_path / f"raw/images/{name}.png", picture)
        write_picture(tmp_path / f"raw/masks/{name}.png", np.eye(12, dtype=np.uint8))
    return tmp_path / "raw"


def masks_of_before(raw):
    (raw / "masks_old").mkdir()
    for path in (raw / "masks").iterdir():
        (raw / "masks_old" / path.name).write_bytes(path.read_bytes())
    return "LAY_UNUSED"


def parts_by_another_name(raw):
    rows = [f"images/{n}.png,masks/{n}.png,{part}" for n, part in zip("abc", TOLD, strict=True)]
    (raw / "list.csv").write_text("\n".join(["image,label,Dataset type", *rows]))
    return "LAY_COLUMNS"


TOLD = ("train", "train", "test")


@pytest.mark.parametrize(
    ("doubt", "command"), crossed([masks_of_before, parts_by_another_name], COMMANDS)
)
def test_warnings_of_the_whole_are_told_by_each_command(command, doubt, raw, tmp_path, capsys):
    code = doubt(raw)
    assert main(["check", str(raw)]) == 1
    assert f"warning {code}" in capsys.readouterr().out
    asked = COMMANDS[command](str(raw), str(tmp_path / "out"))
    if command == "evaluate":
        asked[2] = str(raw / "masks")  # predictions are label files alone
    assert main(asked) == 0
    assert f"warning {code}" in capsys.readouterr().err
    if command == "convert":
        record = json.loads((tmp_path / "out/repairs.json").read_text())
        assert code in [one["code"] for one in record if one["level"] == "warning"]


def test_warnings_of_many_cases_are_told_of_some(raw, tmp_path, write_picture, capsys):
    random = np.random.default_rng(1)
    for number in range(25):
        picture = random.integers(0, 200, (12, 12), np.uint8)
        write_picture(raw / f"images/n{number}.png", picture)
        write_picture(raw / f"masks/n{number}.png", np.ones((12, 12), np.uint8))
    asked = ["convert", str(raw), "-o", str(tmp_path / "out"), "--to", "folders"]
    assert main(asked) == 0
    said = capsys.readouterr().err
    assert said.count("warning LBL_FULL case") == 20
    assert "more warnings of cases, which sdunet check lists" in said


def test_a_copy_in_folders_keeps_names_of_classes_and_channels(raw, tmp_path):
    told = ["--dataset.channels=[CT]", "--dataset.labels={background: 0, liver: 1}"]
    command = ["convert", str(raw), "-o", str(tmp_path / "copy"), "--to", "folders", *told]
    assert main(command) == 0
    for place, more in ((raw, told), (tmp_path / "copy", [])):
        assert main(["plan", str(place), "-o", str(tmp_path / f"{place.name}.json"), *more]) == 0
    one, other = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("raw", "copy"))
    assert one["labels"] == other["labels"] == {"background": 0, "liver": 1}
    assert one["channels"] == other["channels"] == ["CT"]
