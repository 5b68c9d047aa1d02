"""Output folders: nothing outside of them is touched, and nothing in them that is not ours."""

import shutil

import numpy as np
import pytest
from grids import crossed
from PIL import Image

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.atomic import complete_file, move_file, remove_file, write_bytes
from data_prep.files.output_folder import check_free, own_folder, partial_of
from data_prep.files.written_files import FileHashes
from data_prep.layouts.cases import what_is_wrong_with
from data_prep.prepared.prepare import prepare
from sdunet.cli.main import main

OUTWARD = (
    "../../x",
    "..",
    ".",
    "/x",
    "a/b",
    "a\\b",
    "..\\x",
    "C:x",
    "C:\\x",
    "\\\\host\\x",
    ".x",
    "",
)
GOOD = ("x", "scan 1", "a.b", "x..y", "-x", "é", "名", "scan:1", "~x", "x.")


def run(*arguments):
    return main([str(a) for a in arguments])


def files(folder):
    """Content of each file below a folder, without what output folders keep for themselves."""
    found = (p for p in folder.rglob("*") if p.is_file() and ".sdunet" not in p.parts)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


@pytest.mark.parametrize("id_", [*OUTWARD, "a\nb", "x\0", "é" * 101])
def test_an_id_that_is_no_name_is_told(id_):
    assert what_is_wrong_with(id_)


@pytest.mark.parametrize("id_", GOOD)
def test_other_ids_are_names(id_):
    assert what_is_wrong_with(id_) is None


@pytest.mark.parametrize(
    ("command", "id_", "broken"),
    crossed(
        ["prepare", "check", "convert", "predict"],
        ["../../x", "ABSOLUTE/x", "a/../../../x", "..\\x"],
        [False, True],
    ),
)
def test_an_id_that_leads_out_writes_and_removes_nothing(command, id_, broken, disc_run, tmp_path):
    raw, root, config = disc_run
    id_ = id_.replace("ABSOLUTE", str(tmp_path))
    for suffix in ("png", "npy", "nii.gz", "tif"):
        (tmp_path / f"x.{suffix}").write_bytes(b"mine")
        (tmp_path / "out").mkdir(exist_ok=True)
    rows = [f"disc_{i},images/disc_{i}.png,masks/disc_{i}.png\n" for i in range(5)]
    rows.append(f"{id_},images/disc_5.png,masks/disc_5.png\n")
    (raw / "list.csv").write_text("id,image,label\n" + "".join(rows))
    if broken:
        (raw / "images/disc_5.png").write_bytes(b"\x89PNG")
    before = files(tmp_path) | {"discs/run/run.json": b""}
    out = tmp_path / "out/deep"
    given = {
        "check": ["check", raw, "--config", config],
        "prepare": ["prepare", raw, out, "--config", config],
        "convert": ["convert", raw, out, "--to", "folders", "--config", config],
        "predict": ["predict", "--model", root / "run", "-i", raw, "-o", out],
    }[command]
    assert run(*given) == 1
    after = files(tmp_path)
    assert {n: d for n, d in after.items() if not n.startswith("out/deep/")} == {
        n: after[n] if n == "discs/run/run.json" else d for n, d in before.items()
    }


def test_a_bad_id_does_not_stop_the_good_ones(discs, tmp_path, capsys):
    raw = discs(count=6)
    rows = [f"disc_{i},images/disc_{i}.png,masks/disc_{i}.png\n" for i in range(5)]
    rows.append("../x,images/disc_5.png,masks/disc_5.png\n")
    (raw / "list.csv").write_text("id,image,label\n" + "".join(rows))
    dataset, problems = prepare(raw, tmp_path / "out", DataConfig(folds=3))
    assert [str(p).split(":")[0] for p in problems] == ["CASE_NAME case ../x"]
    assert list(dataset.cases) == [f"disc_{i}" for i in range(5)]


def fill(folder):
    """Files of someone else, under names that commands write."""
    for name in (
        *("run.json", "notes.txt", "disc_0.png", "cases.csv", "summary.json", "compare.csv"),
        *("review.html", "cases/disc_0.png", "images/disc_0.npy", "dataset.json", "model.json"),
        *("metrics.csv", "sweep.json", "samples_1.png", ".partial-mine/notes.txt"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"mine")


@pytest.fixture(scope="module")
def results(trained_discs, tmp_path_factory):
    """A folder in which each command wrote once, and the arguments by which it did."""
    root = tmp_path_factory.mktemp("results")
    raw, config = trained_discs / "raw", trained_discs / "task.yaml"
    pred, scores = root / "predict", root / "evaluate"
    commands = {
        "prepare": ["prepare", raw, root / "prepare", "--config", config],
        "convert": ["convert", raw, root / "convert", "--to", "folders", "--config", config],
        "predict": ["predict", "--model", trained_discs / "run", "-i", raw, "-o", pred],
        "evaluate": ["evaluate", "--pred", pred, "--ref", raw, "-o", scores],
        "overlay": ["overlay", "--images", raw, "--ref", raw, "--pred", pred, "-o"],
        "compare": ["compare", scores, scores, "--names", "a", "b", "-o", root / "compare"],
        "train": ["train", "--config", config, "--data", trained_discs / "set", "--epochs=1"],
    }
    commands["overlay"].append(root / "overlay")
    commands["train"] += ["--out", root / "train"]
    for arguments in commands.values():
        assert run(*arguments) == 0
    return root, commands


COMMANDS = ("prepare", "convert", "predict", "evaluate", "overlay", "compare", "train")


def into(arguments, root, folder, out):
    """The arguments of a command, its output folder replaced."""
    return [out if a == root / folder else a for a in arguments]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_someone_else_stays_as_it_is(command, results, tmp_path, capsys):
    root, commands = results
    fill(tmp_path / "theirs")
    before = files(tmp_path / "theirs")
    assert run(*into(commands[command], root, command, tmp_path / "theirs")) == 1
    said = capsys.readouterr().err
    assert "OUT_TAKEN" in said
    assert not any(word in said for word in ("predicting", "training in", "epoch"))
    assert files(tmp_path / "theirs") == before
    assert not (tmp_path / "theirs/.sdunet").exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("other", ["train", "predict"])
def test_results_of_another_command_stay_as_they_are(command, other, results, tmp_path, capsys):
    root, commands = results
    if command == other:
        command = "prepare"
    shutil.copytree(root / other, tmp_path / "other")
    before = files(tmp_path / "other")
    assert run(*into(commands[command], root, command, tmp_path / "other")) == 1
    assert f"OUT_TAKEN: {tmp_path / 'other'} is of sdunet {other}" in capsys.readouterr().err
    assert files(tmp_path / "other") == before


AGAIN = ("prepare", "convert", "predict", "evaluate", "overlay", "compare")
CHANGED = {
    "prepare": "dataset.json",
    "convert": "images/disc_0.png",
    "predict": "disc_0.png",
    "evaluate": "cases.csv",
    "overlay": "cases/disc_0.png",
    "compare": "compare.md",
}


@pytest.mark.parametrize("command", AGAIN)
def test_our_own_are_replaced_and_what_users_added_stays(command, results, tmp_path):
    root, commands = results
    out = tmp_path / "copy"
    shutil.copytree(root / command, out)
    added = ("notes.txt", ".partial-mine/notes.txt", "cases/mine.png", "review/case_99999.js")
    for name in added:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"mine")
    before = files(out)
    assert run(*into(commands[command], root, command, out)) == 0
    after = files(out)
    assert after.keys() == before.keys()
    assert all(after[name] == b"mine" for name in added)
    assert after[CHANGED[command]] == before[CHANGED[command]]


@pytest.mark.parametrize("command", AGAIN)
def test_a_result_that_users_changed_stays(command, results, tmp_path, capsys):
    root, commands = results
    out = tmp_path / "copy"
    shutil.copytree(root / command, out)
    (out / CHANGED[command]).write_bytes(b"edited")
    before = files(out)
    status = run(*into(commands[command], root, command, out))
    assert status == 1
    assert "OUT_TAKEN" in (said := capsys.readouterr().err)
    assert CHANGED[command] in said
    assert (out / CHANGED[command]).read_bytes() == b"edited"
    if command not in ("convert", "predict"):  # which tell it of the one case
        assert files(out) == before


def test_a_changed_picture_of_a_prepared_case_is_told_before_anything_changes(
    results, tmp_path, capsys
):
    root, commands = results
    out = tmp_path / "copy"
    shutil.copytree(root / "prepare", out)
    (out / "qc/disc_1.png").write_bytes(b"edited")
    before = files(out)
    assert run(*into(commands["prepare"], root, "prepare", out)) == 1
    assert "OUT_TAKEN: qc/disc_1.png" in capsys.readouterr().err
    assert files(out) == before


def test_a_broken_image_leaves_a_changed_prediction(results, tmp_path, capsys):
    root, commands = results
    shutil.copytree(root / "predict", tmp_path / "pred")
    arguments = into(commands["predict"], root, "predict", tmp_path / "pred")
    raw = arguments[arguments.index("-i") + 1]
    shutil.copytree(raw, tmp_path / "raw")
    (tmp_path / "raw/images/disc_0.png").write_bytes(b"\x89PNG")
    arguments[arguments.index("-i") + 1] = tmp_path / "raw"
    assert run(*arguments) == 1
    assert "IO_NOT_IMAGE case disc_0" in capsys.readouterr().err
    assert not (tmp_path / "pred/disc_0.png").exists()  # ours, and outdated
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(tmp_path / "pred/disc_0.png")
    assert run(*arguments) == 1
    assert "OUT_TAKEN" in capsys.readouterr().err
    assert (tmp_path / "pred/disc_0.png").exists()


def test_files_are_ours_only_as_they_were_written(tmp_path):
    with own_folder(tmp_path / "out", "test"):
        for name, data in (("a", b"1"), ("b", b"2")):
            write_bytes(tmp_path / "out" / name, data)
        (tmp_path / "out/c").write_bytes(b"mine")
        with pytest.raises(DataError, match=r"OUT_TAKEN: c in .* is not of sdunet"):
            write_bytes(tmp_path / "out/c", b"3")
        write_bytes(tmp_path / "out/a", b"one")
        move_file(tmp_path / "out/a", tmp_path / "out/b")
        assert not remove_file(tmp_path / "out/c")
    with own_folder(tmp_path / "out", "test") as output:
        (tmp_path / "out/b").write_bytes(b"edited")
        with pytest.raises(DataError, match=r"OUT_TAKEN: b in .* was changed since"):
            write_bytes(tmp_path / "out/b", b"4")
        write_bytes(tmp_path / "out/d", b"5")
        with pytest.raises(DataError, match="OUT_TAKEN: c in"):
            move_file(tmp_path / "out/d", tmp_path / "out/c")
        output.remove_rest()
    assert files(tmp_path / "out") == {"b": b"edited", "c": b"mine", "d": b"5"}


def test_a_folder_may_be_named_from_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in ("out", "./out", "other/../out"):
        (tmp_path / "other").mkdir(exist_ok=True)
        with own_folder(out, "test"):
            write_bytes(f"{out}/a", out.encode())
        assert files(tmp_path / "out") == {"a": out.encode()}


def test_links_in_an_output_folder_are_not_followed(tmp_path):
    (tmp_path / "else").mkdir()
    (tmp_path / "else/x").write_bytes(b"mine")
    with own_folder(tmp_path / "out", "test"):
        (tmp_path / "out/folder").symlink_to(tmp_path / "else")
        (tmp_path / "out/link").symlink_to(tmp_path / "else/x")
        for name, code in (("folder/new", "OUT_PATH"), ("folder/x", "OUT_PATH")):
            with pytest.raises(DataError, match=code):
                write_bytes(tmp_path / "out" / name, b"")
        with pytest.raises(DataError, match="OUT_TAKEN"):
            write_bytes(tmp_path / "out/link", b"")
    assert files(tmp_path / "else") == {"x": b"mine"}


def test_files_of_ours_that_were_moved_out_behind_a_link_stay(tmp_path):
    with own_folder(tmp_path / "out", "test"):
        write_bytes(tmp_path / "out/folder/x", b"ours")
    (tmp_path / "out/folder").rename(tmp_path / "else")
    (tmp_path / "out/folder").symlink_to(tmp_path / "else")
    with own_folder(tmp_path / "out", "test") as output:
        output.remove(tmp_path / "out/folder/x")
        output.remove_rest()
    assert files(tmp_path / "else") == {"x": b"ours"}


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("adopt", [None, ()])
def test_a_hidden_folder_of_someone_else_stays(linked, adopt, tmp_path):
    theirs = tmp_path / "theirs" if linked else tmp_path / "out/.sdunet"
    (theirs / "partial").mkdir(parents=True)
    (theirs / "partial/x").write_bytes(b"mine")
    if linked:
        (theirs / "written.jsonl").write_text('{"command": "test"}')
        (tmp_path / "out").mkdir()
        (tmp_path / "out/.sdunet").symlink_to(theirs)
    with (
        pytest.raises(DataError, match="OUT_TAKEN"),
        own_folder(tmp_path / "out", "test", adopt=adopt),
    ):
        pass
    assert (theirs / "partial/x").read_bytes() == b"mine"


@pytest.mark.parametrize("adopt", [None, ()])
@pytest.mark.parametrize("name", ["written.jsonl", "partial"])
def test_a_hidden_folder_that_holds_links_is_not_written_to(name, adopt, tmp_path):
    with own_folder(tmp_path / "out", "test"):
        write_bytes(tmp_path / "out/a", b"1")
    mark = tmp_path / "out/.sdunet"
    (mark / "partial").mkdir(exist_ok=True)
    (mark / name).rename(tmp_path / "mine")
    (mark / name).symlink_to(tmp_path / "mine")
    before = files(tmp_path)
    with (
        pytest.raises(DataError, match="OUT_TAKEN"),
        own_folder(tmp_path / "out", "test", adopt=adopt),
    ):
        write_bytes(tmp_path / "out/a", b"2")
    assert files(tmp_path) == before


def test_a_list_that_names_files_elsewhere_removes_none(tmp_path):
    (tmp_path / "x").write_bytes(b"mine")
    with own_folder(tmp_path / "out", "test") as output:
        for name in ("../x", str(tmp_path / "x")):
            output.listed.append({"file": name, "sha256": FileHashes().of(tmp_path / "x")})
        output.remove_rest()
    assert (tmp_path / "x").read_bytes() == b"mine"


def test_a_run_that_was_killed_still_owns_what_it_wrote(tmp_path):
    out = tmp_path / "out"
    with own_folder(out, "test") as output:
        write_bytes(out / "a", b"1")
        output.record(out / "a", "of a version that was never written")
        (partial_of(out) / ".partial-half").write_bytes(b"1")
        (partial_of(out) / ".partial-folder").mkdir()
        with (out / ".sdunet/written.jsonl").open("ab") as file:
            file.write(b'\n{"file": "b", "sh')  # the disk was full
        write_bytes(out / "a", b"2")
    with own_folder(out, "test") as output:
        assert output.owns(out / "a")
        assert not list(partial_of(out).iterdir())


@pytest.mark.parametrize("name", ["notes.txt", "folder/notes.txt", "a.partial-"])
def test_what_is_not_ours_stays_among_files_not_complete(tmp_path, name):
    out = tmp_path / "out"
    with own_folder(out, "test"):
        mine = partial_of(out) / name
        mine.parent.mkdir(exist_ok=True)
        mine.write_bytes(b"mine")  # while a run of which nothing comes is at work
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    with own_folder(out, "test"):
        write_bytes(out / "a", b"1")
    mine.parent.mkdir(exist_ok=True, parents=True)
    mine.write_bytes(b"mine")
    with own_folder(out, "test"):
        write_bytes(out / "a", b"2")
    assert mine.read_bytes() == b"mine"


def test_half_a_file_takes_no_name(tmp_path):
    def fail():
        with own_folder(tmp_path / "out", "test"), complete_file(tmp_path / "out/a") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not files(tmp_path / "out")
    check_free(tmp_path / "out", "test", ["a"])
