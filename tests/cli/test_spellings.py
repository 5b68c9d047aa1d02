"""One grammar of options; old spellings go on working, with a note."""

import re

import pytest

from sdunet.cli.main import _COMMANDS, main
from sdunet.cli.spellings import OPTIONS, by_two_names, respelt


def run(*arguments):
    return main([str(a) for a in arguments])


def help_of(capsys, *command):
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


VAE = ("prepare", "train", "evaluate", "sample", "interpolate", "neighbours", "reconstruct")


@pytest.mark.parametrize(
    "command", [(c,) for c in _COMMANDS if c != "vae"] + [("vae", c) for c in VAE], ids=" ".join
)
def test_options_are_spelt_with_hyphens_and_out_is_an_option(command, capsys):
    text = help_of(capsys, *command)
    options = re.findall(r"^  (?:-\w \w+, )?--([\w.-]+)", text, re.MULTILINE)
    assert options
    assert not [name for name in options if "_" in name and "." not in name]
    assert not re.search(r"\bOLD\b", text)
    assert "SUPPRESS" not in text
    if "out" in options:
        assert re.search(r"-o \w+, --out", text), text


def test_check_and_plan_show_no_settings_of_training(capsys):
    for command in ("check", "plan", "convert", "prepare"):
        text = help_of(capsys, command)
        assert "--dataset.channels" in text
        assert not re.search(r"--(network|training|trainer)\b", text)
    assert "--training.epochs" in help_of(capsys, "train")


@pytest.mark.long
def test_what_had_no_name_goes_on_working_with_a_note(discs, disc_run, tmp_path, capsys):
    raw = discs()
    assert run("prepare", raw, tmp_path / "set") == 0
    assert f"give it by its name: --out {tmp_path / 'set'}" in capsys.readouterr().err
    assert run("convert", raw, "--to", "nnunet", tmp_path / "copy") == 0
    assert (tmp_path / "copy/dataset.json").is_file()
    _, root, _ = disc_run
    assert run("export", root / "run", "-o", tmp_path / "package") == 0
    assert "--model" in capsys.readouterr().err
    assert run("postprocess", root / "run", "--data", root / "set") == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("prepare a", "--out is required"),
        ("run a", "sdunet: --out is required"),
        ("run", "sdunet: DATA, --out are required"),
        ("vae train", "sdunet: --data, --out are required"),
        ("convert a --to monai", "--out is required"),
        ("export -o p", "--model is required"),
        ("prepare a b -o c", "unrecognized arguments: b"),
    ],
)
def test_neither_and_both_are_errors(command, message, capsys):
    with pytest.raises(SystemExit) as left:
        main(command.split())
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_old_options_are_renamed_and_settings_take_both_spellings(capsys):
    for old, new in OPTIONS.items():
        assert respelt([old, f"{old}=3", "--other"]) == [new, f"{new}=3", "--other"]
        assert f"note: {old} is now {new}" in capsys.readouterr().err
    assert respelt(["--training.batch-size=3"]) == ["--training.batch_size=3"]
    assert respelt(["--training.batch_size", "-o", "a_b-c.d"])[1:] == ["-o", "a_b-c.d"]


def test_a_setting_that_is_given_twice_is_told(capsys):
    twice = ["check", "--dataset.label_map={1: 1}", "--dataset.label_map", "{2: 1}"]
    assert by_two_names(twice) is None
    assert "note: --dataset.label_map is given 2 times, and the last" in capsys.readouterr().err
    assert by_two_names(["check", "--dataset.accept+=A", "--dataset.accept+=B"]) is None
    assert not capsys.readouterr().err


_WEIGHTS = "--training.class_weights"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([f"{_WEIGHTS}.k1", "5", _WEIGHTS, "{k2: 2}"], f"{_WEIGHTS} replaces {_WEIGHTS}.k1, given"),
        (
            [f"{_WEIGHTS}.k1=5", f"{_WEIGHTS}={{k2: 2}}"],
            f"{_WEIGHTS} replaces {_WEIGHTS}.k1, given",
        ),
        ([_WEIGHTS, "{k2: 2}", f"{_WEIGHTS}.k1", "5"], None),
        (
            ["--dataset.labels.a=1", "--dataset.labels={b: 2}"],
            "--dataset.labels replaces --dataset",
        ),
        ([f"{_WEIGHTS}.k1=5", "--training={class_weights: {k2: 2}}"], f"{_WEIGHTS} replaces"),
        (["--training.epochs=5", "--training", "{epochs: 3}"], "epochs is given 2 times"),
        (["--training.epochs=5", "--training", "{patience: 3}"], None),
        (["--training.epochs=5", "--training", "{epochs: 3"], None),  # which the parser tells of
    ],
)
def test_a_whole_setting_after_a_part_of_it_is_told(given, told, capsys):
    assert by_two_names(["train", *given]) is None
    said = capsys.readouterr().err
    assert (told in said) if told else not said


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("predict --model a --model b -i x -o y", "--model and --model are one option; name all"),
        ("predict --model a -i x --input z -o y", "-i and --input are one option; give it once"),
        ("evaluate --pred a --pred=b --ref c -o d", "--pred and --pred are one option; give it"),
        ("compare a b -o x --metrics dice --metrics hd95", "--metrics and --metrics are one"),
        ("check x --max-ram 1 --max-ram 2", "--max-ram and --max-ram are one option; give it once"),
        ("predict --model a -i x -o y --accept A --accept B", "name all behind one of them"),
        ("vae train --data a --data b -o c", "--data and --data are one option; give it once"),
    ],
)
def test_an_option_that_is_given_twice_is_refused(command, message, capsys):
    with pytest.raises(SystemExit) as left:
        main(command.split())
    assert left.value.code == 2
    assert message in capsys.readouterr().err
