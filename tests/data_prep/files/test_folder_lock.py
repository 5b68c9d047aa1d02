"""A run that was cut short is never taken for a whole one; who may work where, side by side."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from data_prep.core.errors import DataError
from data_prep.files.atomic import remove_file, write_bytes
from data_prep.files.file_tree import open_tree
from data_prep.files.output_folder import Output, own_folder
from data_prep.prepared.dataset import load_dataset
from sdunet.cli.main import main
from sdunet.segmentation.evaluation.compare_models import read_scores
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.vae.data.packed import load_packed, pack
from sdunet.vae.data.raw import RawImages, in_memory


class Killed(BaseException):
    """Stands for a process that is gone."""


def run(*arguments):
    return main([str(a) for a in arguments])


def kill_at(monkeypatch, change):
    """Have the process end at a change of a folder, counted from 1; at its last word with none."""
    left = iter(range(change - 1)) if change else iter(int, 1)
    record = Output.record

    def killed(*_):
        raise Killed

    def one_less(self, path, sha256):
        if next(left, None) is None:
            raise Killed
        record(self, path, sha256)

    monkeypatch.setattr(Output, "record", one_less)
    monkeypatch.setattr(Output, "end", killed)


@pytest.fixture(scope="module")
def commands(trained_discs, tmp_path_factory):
    """The arguments of commands that ran once, and the folder of all they wrote."""
    root = tmp_path_factory.mktemp("commands")
    raw, config = trained_discs / "raw", ["--config", trained_discs / "task.yaml"]
    pred, model = root / "predict", trained_discs / "run"
    scores = root / "evaluate"
    both = ["--images", raw, "--ref", raw]
    given = {
        "prepare": [raw, root / "prepare", *config],
        "convert": [raw, root / "convert", "--to", "folders", *config],
        "predict": ["--model", model, "-i", raw, "-o", pred],
        "evaluate": ["--pred", pred, "--ref", raw, "-o", scores],
        "overlay": [*both, "--pred", pred, "-o", root / "overlay"],
        "compare": [scores, scores, "--names", "a", "b", "-o", root / "compare"],
    }
    given["compare"] += [*both, "--pred", pred, pred]
    for command, arguments in given.items():
        assert run(command, *arguments) == 0
    return root, given


READERS = {
    "prepare": load_dataset,
    "convert": open_tree,
    "predict": open_tree,
    "evaluate": lambda folder: read_scores([folder] * 2, ["a", "b"]),
    "overlay": open_tree,
    "compare": open_tree,
}


@pytest.mark.long
@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("change", [1, 2, 4, None])
def test_what_was_cut_short_is_not_read_and_can_be_run_again(
    commands, tmp_path, monkeypatch, capsys, command, change
):
    root, given = commands
    out = tmp_path / "out"
    shutil.copytree(root / command, out)
    READERS[command](out)
    arguments = [out if a == root / command else a for a in given[command]]
    kill_at(monkeypatch, change)
    with pytest.raises(Killed):
        run(command, *arguments)
    monkeypatch.undo()
    if change == 1 and command in ("convert", "predict"):  # which had changed nothing yet
        READERS[command](out)
    else:
        assert not (out / "run.json").exists()  # it told of the run before
        with pytest.raises(DataError, match=f"OUT_UNFINISHED: sdunet {command} was cut short"):
            READERS[command](out)
    assert run(command, *arguments) == 0, capsys.readouterr().err
    READERS[command](out)
    if command != "convert":
        assert json.loads((out / "run.json").read_text())["status"] == 0


@pytest.mark.parametrize(
    ("cut", "reader"),
    [
        ("convert", ["check", "convert"]),
        ("convert", ["evaluate", "--pred", "predict", "--ref", "convert", "-o", "new"]),
        ("predict", ["evaluate", "--pred", "predict", "--ref", "convert", "-o", "new"]),
        ("evaluate", ["compare", "evaluate", "evaluate", "--names", "a", "b", "-o", "new"]),
        ("prepare", ["train", "--data", "prepare", "--out", "new"]),
    ],
    ids=str,
)
def test_commands_refuse_what_was_cut_short(commands, tmp_path, monkeypatch, capsys, cut, reader):
    root, given = commands
    shutil.copytree(root, tmp_path / "all")
    monkeypatch.chdir(tmp_path / "all")
    kill_at(monkeypatch, 3)
    with pytest.raises(Killed):
        run(cut, *[tmp_path / "all" / cut if a == root / cut else a for a in given[cut]])
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path / "all")
    capsys.readouterr()
    assert run(*reader) == 1
    assert f"OUT_UNFINISHED: sdunet {cut}" in capsys.readouterr().err
    assert not (tmp_path / "all/new").exists()


def test_a_packed_set_that_was_cut_short_is_none(tmp_path, monkeypatch):
    images = np.zeros((4, 1, 6, 6), np.uint8)
    raw = RawImages("made", 256, {"train": in_memory(images), "test": in_memory(images)})
    kill_at(monkeypatch, 2)
    with pytest.raises(Killed):
        pack(raw, tmp_path / "out")
    monkeypatch.undo()
    with pytest.raises(DataError, match="OUT_UNFINISHED: sdunet vae prepare"):
        load_packed(tmp_path / "out")
    pack(raw, tmp_path / "out")
    load_packed(tmp_path / "out")


def test_a_list_that_was_cut_is_of_no_whole_run(tmp_path):
    with own_folder(tmp_path / "out", "test"):
        write_bytes(tmp_path / "out/a", b"1")
    path = tmp_path / "out/.sdunet/written.jsonl"
    data = path.read_bytes()
    unnamed, cut = "written.jsonl in .* names no command", "sdunet test was cut short"
    for kept, told in (
        (0, unnamed),
        (10, unnamed),
        (len(data) // 2, cut),
        (data.rindex(b"{"), cut),
    ):
        shutil.copytree(tmp_path / "out", tmp_path / str(kept))
        (tmp_path / str(kept) / ".sdunet/written.jsonl").write_bytes(data[:kept])
        with pytest.raises(DataError, match=f"OUT_UNFINISHED: .*{told}"):
            open_tree(tmp_path / str(kept))
    path.write_bytes(b"\x00garbage\n{}\n")
    with pytest.raises(DataError, match=f"OUT_UNFINISHED: .*{unnamed}"):
        open_tree(tmp_path / "out")


def test_a_folder_from_before_runs_were_told_is_read(tmp_path):
    with own_folder(tmp_path / "out", "test"):
        write_bytes(tmp_path / "out/a", b"1")
        write_bytes(tmp_path / "out/b", b"1")
    path = tmp_path / "out/.sdunet/written.jsonl"
    lines = [line for line in path.read_text().splitlines() if '"of"' not in line]
    path.write_text("\n".join(lines))
    (tmp_path / "out/b").unlink()
    assert open_tree(tmp_path / "out").names == ("a",)


def test_a_run_that_fails_before_it_changes_anything_leaves_the_one_before(tmp_path):
    with own_folder(tmp_path / "out", "test"):
        write_bytes(tmp_path / "out/run.json", b"1")
    with pytest.raises(Killed), own_folder(tmp_path / "out", "test"):
        raise Killed
    assert open_tree(tmp_path / "out").read("run.json") == b"1"


def test_pages_and_tables_of_an_earlier_comparison_go(commands, tmp_path):
    root, given = commands
    out = tmp_path / "out"
    shutil.copytree(root / "compare", out)
    assert (out / "review.html").is_file()
    scores = given["compare"][:2]
    assert run("compare", *scores, "--names", "x", "y", "-o", out) == 0
    tables = {"compare.csv", "compare.md", "differences.png", "run.json"}
    assert {path.name for path in out.glob("[!.]*.*")} == tables
    assert not list((out / "review").glob("*"))


def test_pictures_of_cases_that_are_not_drawn_any_more_go(commands, tmp_path):
    root, given = commands
    shutil.copytree(root / "overlay", tmp_path / "out")
    (tmp_path / "some.txt").write_text("disc_3\n")
    arguments = [tmp_path / "out" if a == root / "overlay" else a for a in given["overlay"]]
    assert run("overlay", *arguments, "--cases", tmp_path / "some.txt") == 0
    for folder, name in (("cases", "disc_3.png"), ("review", "case_00000.js")):
        assert [path.name for path in (tmp_path / "out" / folder).iterdir()] == [name]


def shard(number, parts=2):
    return PredictOptions(shard=(number, parts))


def test_predictions_are_whole_when_all_parts_came_to_their_end(disc_run, tmp_path, monkeypatch):
    raw, root, _ = disc_run
    out = tmp_path / "out"

    def part(number, parts=2, *, killed=False):
        if killed:
            kill_at(monkeypatch, 3)
            with pytest.raises(Killed):
                predict(root / "run", raw, out, options=shard(number, parts))
            monkeypatch.undo()
        else:
            predict(root / "run", raw, out, options=shard(number, parts))

    def refused(parts):
        with pytest.raises(DataError, match=f"OUT_UNFINISHED: .*there: part {parts}; run it again"):
            open_tree(out)

    part(0)
    refused("1/2")
    part(1, killed=True)
    refused("1/2")
    part(1)
    open_tree(out)
    part(0, killed=True)
    refused("0/2")
    part(2, parts=3)
    refused("0/3, 1/3")
    predict(root / "run", raw, out)
    assert len(open_tree(out).names) == 7


@pytest.mark.parametrize(
    ("first", "second", "free"),
    [
        ((0, 1), (0, 1), False),
        ((0, 1), (0, 2), False),
        ((1, 2), (0, 1), False),
        ((0, 2), (0, 2), False),
        ((0, 2), (1, 2), True),
        ((0, 2), (1, 3), True),
    ],
)
def test_parts_work_side_by_side_and_whole_runs_alone(tmp_path, first, second, free):
    with own_folder(tmp_path / "out", "test", part=first):
        write_bytes(tmp_path / "out/a", b"1")
        if free:
            with own_folder(tmp_path / "out", "test", part=second):
                write_bytes(tmp_path / "out/b", b"1")
        else:
            with (
                pytest.raises(DataError, match="OUT_BUSY"),
                own_folder(tmp_path / "out", "test", part=second),
            ):
                raise AssertionError
            assert not (tmp_path / "out/b").exists()
    with own_folder(tmp_path / "out", "test", part=second):
        remove_file(tmp_path / "out/a")


HOLD = """
import sys, time
from data_prep.files.output_folder import own_folder
from data_prep.files.atomic import write_bytes
with own_folder(sys.argv[1], "test", part=(int(sys.argv[2]), int(sys.argv[3]))):
    write_bytes(sys.argv[1] + "/a", b"1")
    print("here", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("dead", [(0, 1), (0, 2)])
@pytest.mark.parametrize("next_", [(0, 1), (0, 2), (1, 2)])
def test_who_was_killed_keeps_nobody_out(tmp_path, dead, next_):
    out = tmp_path / "out"
    command = [sys.executable, "-c", HOLD, str(out), *map(str, dead)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "here\n"
        beside = dead[1] == next_[1] == 2 and dead != next_
        if not beside:
            with pytest.raises(DataError, match="OUT_BUSY"), own_folder(out, "test", part=next_):
                raise AssertionError
        os.kill(process.pid, signal.SIGKILL)
    with own_folder(out, "test", part=next_):
        write_bytes(out / "a", b"2")


@pytest.mark.parametrize("made", [True, False])
def test_a_run_that_ended_before_its_first_file_leaves_room_for_the_next(tmp_path, made):
    out = tmp_path / "out"
    if not made:
        out.mkdir()

    def ended():
        with own_folder(out, "test"):
            (out / "images/test").mkdir(parents=True)
            raise Killed

    with pytest.raises(Killed):
        ended()
    assert out.exists() == (not made)
    with own_folder(out, "test") as output:
        assert output is not None
