"""What sdunet wrote is held to its hash wherever it is read: case by case, and by name."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from by_hand import disown
from grids import crossed
from PIL import Image

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.atomic import write_bytes
from data_prep.files.file_tree import open_tree
from data_prep.files.output_folder import own_folder
from data_prep.files.written_files import check_written
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from sdunet.cli.main import main
from sdunet.vae.data.packed import load_packed, pack
from sdunet.vae.data.raw import RawImages, in_memory


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def results(trained_discs, tmp_path_factory):
    """Predictions with all that belongs to them, their scores, and a converted set."""
    root = tmp_path_factory.mktemp("results")
    shutil.copytree(trained_discs, root / "discs")
    raw, run_ = root / "discs/raw", root / "discs/run"
    more = ["--uncertainty", "--probabilities"]
    assert run("predict", "--model", run_, "-i", raw, "-o", root / "pred", *more) == 0
    assert run("evaluate", "--pred", root / "pred", "--ref", raw, "-o", root / "scores") == 0
    config = ["--config", root / "discs/task.yaml"]
    assert run("convert", raw, root / "set", "--to", "folders", *config) == 0
    return root


@pytest.fixture
def copied(results, tmp_path, capsys):
    """A copy of them to spoil."""
    shutil.copytree(results, tmp_path / "copy")
    capsys.readouterr()
    return tmp_path / "copy"


def edit(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def replace(path):
    """Put another valid file there, of a case that nothing was found in."""
    if path.suffix == ".png":
        Image.fromarray(np.zeros((48, 48), np.uint8)).save(path)
    else:
        shutil.copy(path.with_name("disc_5.tif"), path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def swap(path):
    other = path.with_name(path.name.replace("disc_1", "disc_2"))
    data = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(data)


CHANGES = {"edited": edit, "replaced": replace, "cut": cut, "swapped": swap}
READERS = {
    "evaluate": ["evaluate", "--pred", "pred", "--ref", "discs/raw", "-o", "out"],
    "overlay": ["overlay", "--images", "discs/raw", "--ref", "discs/raw", "--pred", "pred"],
    "compare": ["compare", "scores", "scores", "--names", "a", "b", "--images", "discs/raw"],
}
READERS["overlay"] += ["-o", "out"]
READERS["compare"] += ["--ref", "discs/raw", "--pred", "pred", "pred", "-o", "out"]


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("file", ["disc_1.png", "probabilities/1/disc_1.tif"])
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "by predictions.json alone"])
def test_a_changed_prediction_is_an_error_of_its_case(
    copied, monkeypatch, capsys, file, change, reader, listed
):
    monkeypatch.chdir(copied)
    CHANGES[change](copied / "pred" / file)
    if not listed:
        shutil.rmtree(copied / "pred/.sdunet")
    assert run(*READERS[reader]) == 1
    wrong = {"disc_1", "disc_2"} if change == "swapped" else {"disc_1"}
    told = [line for line in capsys.readouterr().err.splitlines() if "OUT_CHANGED" in line]
    assert {line.split("case ")[1].split(":")[0] for line in told} == wrong
    assert all(file.replace("disc_1", line.split("case ")[1][:6]) in line for line in told)
    if reader == "evaluate":
        summary = json.loads((copied / "out/summary.json").read_text())
        missing = 0 if "/" in file else len(wrong)
        assert len(summary["metric_per_case"]) == 6
        assert summary["mean"]["1"]["missing"] == missing
        assert summary["calibration_error"]["disc"]["n_cases"] == 6 - len(wrong)
    else:
        assert (copied / "out/review.html").is_file()


@pytest.mark.parametrize(
    ("reader", "files"),
    crossed(
        READERS,
        [
            ("disc_1.png", "disc_1.tif"),
            ("probabilities/1/disc_1.tif", "probabilities/1/disc_1.npy"),
        ],
    ),
)
def test_a_file_in_the_place_of_a_prediction_is_not_taken_for_it(
    copied, monkeypatch, capsys, reader, files
):
    gone, other = files
    monkeypatch.chdir(copied)
    (copied / "pred" / gone).unlink()
    if other.endswith(".npy"):
        np.save(copied / "pred" / other, np.zeros((48, 48), np.float32))
    else:
        Image.fromarray(np.ones((48, 48), np.uint8)).save(copied / "pred" / other)
    assert run(*READERS[reader]) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "OUT_CHANGED" in line]
    assert told
    assert all("case disc_1: " in line and other in line for line in told)
    if reader == "evaluate":
        summary = json.loads((copied / "out/summary.json").read_text())
        assert summary["mean"]["1"]["missing"] == (0 if "/" in other else 1)


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("own", [None, edit, replace])
def test_predictions_of_others_and_as_they_were_written_are_taken(
    copied, monkeypatch, capsys, reader, own
):
    monkeypatch.chdir(copied)
    if own:
        disown(copied / "pred")
        replace(copied / "pred/disc_1.png")
        shutil.rmtree(copied / "pred/probabilities")  # which would contradict it
        run("evaluate", "--pred", "pred", "--ref", "discs/raw", "-o", "scores")
    assert run(*READERS[reader]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "file", ["disc_1.png", "probabilities/1/disc_1.tif", "uncertainty/disc_1.tif"]
)
def test_a_resumed_prediction_tells_what_was_changed_and_keeps_the_rest(
    copied, capsys, file, change
):
    CHANGES[change](copied / "pred" / file)
    changed = (copied / "pred" / file).read_bytes()
    command = ["predict", "--model", copied / "discs/run", "-i", copied / "discs/raw"]
    command += ["-o", copied / "pred", "--uncertainty", "--probabilities", "--resume"]
    assert run(*command) == 1
    said = capsys.readouterr()
    assert f"OUT_TAKEN case disc_1: {file} in" in said.err
    assert f"{4 if change == 'swapped' else 5} predictions in" in said.out
    assert (copied / "pred" / file).read_bytes() == changed


@pytest.mark.parametrize("file", ["images/disc_1.png", "labels/disc_1.png"])
@pytest.mark.parametrize("change", [*CHANGES, "gone"])
def test_a_changed_file_of_a_converted_set_is_an_error_of_its_case(copied, capsys, file, change):
    CHANGES.get(change, lambda path: path.unlink())(copied / "set" / file)
    if change == "gone":  # with both files the case would be missed by nobody
        for folder in ("images", "labels"):
            (copied / "set" / folder / "disc_1.png").unlink(missing_ok=True)
    assert run("check", copied / "set") == 1
    said = capsys.readouterr().out
    assert "OUT_CHANGED case disc_1" in said
    assert f"{4 if change == 'swapped' else 5} cases can be used" in said
    assert run("check", disown(copied / "set")) in (0, 1)
    assert "OUT_CHANGED" not in capsys.readouterr().out


def test_what_users_add_to_a_folder_of_ours_is_theirs(tmp_path):
    with own_folder(tmp_path / "out", "convert") as output:
        write_bytes(tmp_path / "out/a.png", b"1")
        write_bytes(tmp_path / "out/b.png", b"1")
        output.remove(tmp_path / "out/b.png")
    for name in ("b.png", "c.png"):
        (tmp_path / "out" / name).write_bytes(b"mine")
    tree = open_tree(tmp_path / "out")
    assert [tree.read(name) for name in tree.names] == [b"1", b"mine", b"mine"]
    (tmp_path / "out/a.png").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"OUT_CHANGED: not as sdunet convert wrote it .*\(a.png\)"):
        tree.read("a.png")


def test_an_earlier_version_of_a_file_is_not_the_one_that_was_written(tmp_path):
    for data in (b"1", b"2"):
        with own_folder(tmp_path / "out", "test"):
            write_bytes(tmp_path / "out/a", data)
    assert open_tree(tmp_path / "out").read("a") == b"2"
    (tmp_path / "out/a").write_bytes(b"1")
    with pytest.raises(DataError, match="OUT_CHANGED"):
        open_tree(tmp_path / "out").read("a")


@pytest.fixture
def prepared(discs, tmp_path):
    """A prepared set."""
    prepare(discs(), tmp_path / "set", DataConfig(folds=2))
    return tmp_path / "set"


@pytest.mark.parametrize("name", ["images/disc_1.npy", "labels/disc_1.npy"])
@pytest.mark.parametrize("opened", [False, True], ids=["before", "after it was opened"])
def test_an_array_is_checked_whenever_a_case_is_opened(prepared, name, opened):
    dataset = load_dataset(prepared)
    if opened:
        dataset.arrays("disc_1")
    edit(prepared / name)
    with pytest.raises(DataError, match=f"SET_HASH case disc_1: .*{name}"):
        dataset.arrays("disc_1")
    dataset.arrays("disc_0")


@pytest.mark.parametrize("command", ["train", "postprocess"])
@pytest.mark.parametrize("name", ["images", "labels"])
def test_commands_that_open_arrays_refuse_changed_ones(copied, capsys, command, name):
    for path in (copied / "discs/set" / name).iterdir():
        edit(path)
    given = {
        "train": ["--config", copied / "discs/task.yaml", "--out", copied / "new"],
        "postprocess": [copied / "discs/run"],
    }[command]
    assert run(command, *given, "--data", copied / "discs/set") == 1
    assert "SET_HASH case disc_" in capsys.readouterr().err


@pytest.fixture
def packed(tmp_path):
    """A packed set with factors."""
    images = np.random.default_rng(0).integers(0, 256, (12, 1, 6, 6)).astype(np.uint8)
    factors = {"train": np.arange(24).reshape(12, 2)}
    pack(RawImages("made", 256, {"train": in_memory(images)}, factors), tmp_path / "packed")
    return tmp_path / "packed"


def test_packed_arrays_are_checked_when_they_are_opened(packed):
    data = load_packed(packed)
    edit(packed / "factors_train.npy")
    data.images("train")
    with pytest.raises(DataError, match=r"PACK_DAMAGED: the hash differs \(factors_train.npy\)"):
        load_packed(packed).factors("train")
    edit(packed / "train.npy")
    for read in (lambda: data.images("train"), lambda: load_packed(packed)):
        with pytest.raises(DataError, match=r"PACK_DAMAGED: the hash differs \(train.npy\)"):
            read()


def written(folder, **contents):
    """Write files into a folder as a command does, and return the bytes of its list."""
    with own_folder(folder, "predict") as output:
        for name, content in contents.items():
            write_bytes(folder / name, content)
            output.record(folder / name, hashlib.sha256(content).hexdigest())
    return (folder / ".sdunet/written.jsonl").read_bytes()


def test_a_folder_made_anew_by_another_process_is_held_to_its_own_list(tmp_path):
    first = written(tmp_path / "out", a=b"first")
    check_written(tmp_path / "out/a", b"first")
    again = written(tmp_path / "again", a=b"other")
    assert len(again) == len(first)
    with (tmp_path / "out/.sdunet/written.jsonl").open("r+b") as file:  # the inode stays
        file.write(again)
    check_written(tmp_path / "out/a", b"other")
    with pytest.raises(DataError, match="OUT_CHANGED"):
        check_written(tmp_path / "out/a", b"first")


@pytest.mark.parametrize("flipped", [b'{"file"', b'"sha256"', b'": "'])
def test_a_damaged_line_is_told_and_one_that_was_cut_short_is_not(tmp_path, flipped):
    data = written(tmp_path, a=b"a", b=b"b")
    path = tmp_path / ".sdunet/written.jsonl"
    line = next(line for line in data.splitlines() if b'"file": "a"' in line)
    path.write_bytes(data + line[:-9] + b"\n")
    check_written(tmp_path / "a", b"a")
    path.write_bytes(data.replace(line, line.replace(flipped, flipped.replace(b'"', b"#", 1), 1)))
    with pytest.raises(DataError, match=r"OUT_LIST: \.sdunet/written\.jsonl in .* no record"):
        check_written(tmp_path / "a", b"changed")


def test_a_copy_by_hard_links_stays_as_it_was(tmp_path):
    def work(name):
        with own_folder(tmp_path / "out", "convert") as output:
            write_bytes(tmp_path / "out" / name, b"as written")
            output.remove_rest()

    work("first.txt")
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=os.link)
    listed = (tmp_path / "copy/.sdunet/written.jsonl").read_bytes()
    work("second.txt")
    assert (tmp_path / "copy/.sdunet/written.jsonl").read_bytes() == listed
    check_written(tmp_path / "copy/first.txt", b"as written")  # which was removed from the folder
    check_written(tmp_path / "copy/second.txt", None)
    for name in ("copy/first.txt", "out/second.txt"):
        with pytest.raises(DataError, match="OUT_CHANGED"):
            check_written(tmp_path / name, b"other")


@pytest.mark.parametrize("name", ["images/disc_0.npy", "labels/disc_0.npy"])
def test_a_prepared_array_without_a_byte_is_told(discs, tmp_path, name):
    prepare(discs(count=4), tmp_path / "set", DataConfig(folds=2))
    (tmp_path / "set" / name).write_bytes(b"")
    with pytest.raises(DataError, match=f"SET_FILE case disc_0: cannot be read.*{name}"):
        load_dataset(tmp_path / "set").verify()
