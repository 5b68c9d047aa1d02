"""Predictions made in parts: together they are the whole."""

import json

import pytest

from sdunet.cli.main import main


def run(*arguments):
    return main([str(a) for a in arguments])


def files_of(folder):
    found = (p for p in folder.rglob("*") if p.is_file() and ".sdunet" not in p.parts)
    return {p.name: p.read_bytes() for p in found if p.name != "run.json"}


def test_parts_of_the_cases_make_up_the_whole(disc_run, tmp_path):
    raw, root, _ = disc_run
    command = ["predict", "--model", root / "run", "-i", raw]
    assert run(*command, "-o", tmp_path / "whole") == 0
    for part in (0, 1, 2):
        assert run(*command, "-o", tmp_path / "parts", "--shard", f"{part}/3") == 0
    whole, parts = files_of(tmp_path / "whole"), files_of(tmp_path / "parts")
    records = [json.loads(files.pop("predictions.json")) for files in (whole, parts)]
    assert whole == parts
    assert records[0]["cases"] == records[1]["cases"]


def test_parts_of_other_cases_keep_out_of_a_folder(disc_run, tmp_path, capsys):
    raw, root, _ = disc_run
    command = ["predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "parts"]
    assert run(*command, "--shard", "0/2") == 0
    (tmp_path / "some.txt").write_text("disc_0\ndisc_1\ndisc_2\n")
    assert run(*command, "--shard", "1/2", "--cases", tmp_path / "some.txt") == 1
    assert "OUT_OTHER" in (said := capsys.readouterr().err)
    assert "made with other cases for its parts" in said
    assert run(*command, "--shard", "1/2") == 0
    assert run(*command, "--resume") == 0  # all of them at once are no part


@pytest.mark.parametrize("shard", ["3/3", "1", "a/b", "-1/2"])
def test_parts_that_are_none_are_refused(disc_run, tmp_path, shard, capsys):
    raw, root, _ = disc_run
    command = ["predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "p"]
    assert run(*command, f"--shard={shard}") == 1
    assert "PRED_SHARD" in capsys.readouterr().err
