"""Outputs never mix with what is read: refused by name, before any work, by every command."""

import pytest

from data_prep.core.errors import DataError
from data_prep.files.output_folder import check_free, check_output
from sdunet.cli.main import main


def run(*arguments):
    return main([str(a) for a in arguments])


def names_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


COMMANDS = {
    "run": (["run", "{raw}"], ["raw"]),
    "prepare": (["prepare", "{raw}"], ["raw"]),
    "convert": (["convert", "{raw}", "--to", "nnunet"], ["raw"]),
    "train": (["train", "--data", "{set}"], ["set"]),
    "folds": (["train", "--data", "{set}", "--fold", "all"], ["set"]),
    "predict": (["predict", "--model", "{run}", "-i", "{raw}"], ["raw"]),
    "evaluate": (["evaluate", "--pred", "{raw}/masks", "--ref", "{raw}"], ["raw", "raw/masks"]),
    "overlay": (
        ["overlay", "--images", "{raw}", "--pred", "{raw}/masks", "--ref", "{raw}"],
        ["raw"],
    ),
    "export": (["export", "--model", "{run}"], ["run"]),
}


@pytest.mark.parametrize(("command", "sources"), COMMANDS.values(), ids=COMMANDS)
def test_no_command_writes_into_what_it_reads(disc_run, capsys, command, sources):
    raw, root, config = disc_run
    places = {"raw": raw, "set": root / "set", "run": root / "run"}
    command = [part.format(**places) for part in command]
    if command[0] in ("prepare", "train"):
        command += ["--config", config]
    before = names_below(root)
    for source in sources:
        for out in (root / source, root / source / "new", root):
            assert run(*command, "-o", out) == 1
            assert f"OUT_IN_DATA: {out}" in capsys.readouterr().err
    assert names_below(root) == before


def test_a_file_that_is_read_is_not_written_and_may_have_results_beside_it(tmp_path):
    archive, other = tmp_path / "raw.zip", tmp_path / "other.zip"
    archive.write_bytes(b"")
    for out in (archive, tmp_path):
        with pytest.raises(DataError, match="OUT_IN_DATA"):
            check_output(out, archive)
    check_output(tmp_path / "new", archive, other)
    check_output(tmp_path / "raw.zip.d", archive)


def test_the_record_of_what_was_written_is_no_place_for_results(disc_run, capsys):
    raw, root, _ = disc_run
    before = names_below(root)
    out = root / "run/.sdunet/predictions"
    assert run("predict", "--model", root / "run", "-i", raw, "-o", out) == 1
    assert "OUT_IN_DATA: " in capsys.readouterr().err
    assert names_below(root) == before


def test_a_path_that_leads_back_through_a_link_is_refused_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "near").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far/away")
    monkeypatch.chdir(tmp_path)
    for out in ("link/../x", "near/../link/../x", tmp_path / "link/../../x"):
        for check in (lambda out: check_free(out, "predict"), check_output):
            with pytest.raises(DataError, match=r"OUT_PATH: .* leads through a link and back to"):
                check(out)
    for out in ("near/../x", "link/x", "../x", tmp_path / "link"):
        check_free(out, "predict")
        check_output(out)


def test_no_work_is_done_for_a_path_that_leads_back_through_a_link(disc_run, capsys):
    raw, root, _ = disc_run
    (root / "far/away").mkdir(parents=True)
    (root / "link").symlink_to(root / "far/away")
    before = names_below(root)
    predict = ["predict", "--model", root / "run", "-i", raw]
    for command in (predict, ["train", "--data", root / "set"], ["bench", "sweep"]):
        assert run(*command, "-o", root / "link/../x") == 1
        assert "OUT_PATH" in capsys.readouterr().err
    assert names_below(root) == before
