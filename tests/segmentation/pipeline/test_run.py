"""`sdunet run`: raw data to a package, stopped anywhere and resumed, on images of 16 pixels."""

import json

import numpy as np
import pytest
from PIL import Image

from sdunet.cli.main import main
from sdunet.segmentation.export import package
from sdunet.segmentation.pipeline.stages import STAGES
from sdunet.segmentation.pipeline.stages import write_hashed as write_record

SMALL = [
    *("--dataset.folds=2", "--network.features=[4,8]", "--network.num_features=2"),
    *("--training.epochs=1", "--training.batch_size=2", "--training.device=cpu"),
]
NAMES = [
    *("check", "plan", "prepare", "schedule", "train", "rules"),
    *("predict", "evaluate", "review", "export", "page"),
]
RESULTS = ("best.safetensors", "summary.json", "cases.csv", "predictions.json", "postprocess.json")


def run(raw, out, *more):
    return main(["run", str(raw), "-o", str(out), *SMALL, *map(str, more)])


@pytest.fixture
def raw(make_discs, tmp_path):
    return make_discs(tmp_path / "raw", count=8, size=16)


def results(out):
    """The weights, predictions and scores of a run, by their names."""
    paths = [p for p in out.rglob("*") if p.is_file() and ".sdunet" not in p.parts]
    found = {p for p in paths if p.name in RESULTS}
    found |= {p for p in paths if p.parent.name == "predictions"}
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in found}


def _stages(capsys):
    """What was said of stages, but for what they say themselves."""
    lines = capsys.readouterr().err.splitlines()
    return "\n".join(line for line in lines if line.partition(":")[0] in NAMES)


@pytest.mark.long
def test_stopped_at_the_end_of_each_stage_it_ends_with_the_same_bits(
    raw, tmp_path, capsys, monkeypatch
):
    # What a fresh process gives is tested with export; here it would take most of the time.
    monkeypatch.setattr(package, "_check_afresh", package.check_package)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(raw, whole) == 0
    assert "Dice of 8 validation cases" in capsys.readouterr().out

    stopped = []

    def record_or_stop(path, record):
        """Be killed at the worst moment: all of the stage is done, and nothing says so."""
        if record.get("files") and path.parent.name == STAGES and path.stem not in stopped:
            stopped.append(path.stem)
            raise KeyboardInterrupt
        write_record(path, record)

    monkeypatch.setattr("sdunet.segmentation.pipeline.stages.write_hashed", record_or_stop)
    for name, before in zip(NAMES, [None, *NAMES], strict=False):
        assert run(raw, parts) == 130
        assert stopped[-1] == name
        assert before is None or f"{before}: goes on\n{name}: begins" in _stages(capsys)
    assert run(raw, parts) == 0
    assert stopped == NAMES
    assert results(parts) == results(whole)
    assert len(results(whole)) > 8 + 4

    capsys.readouterr()
    assert run(raw, parts) == 0
    assert capsys.readouterr().err.count("done before") == len(NAMES)

    new = tmp_path / "new"
    new.mkdir()
    Image.open(raw / "images/disc_0.png").save(new / "a.png")
    arguments = ["predict", "--model", whole / "package", "-i", new, "-o", tmp_path / "predicted"]
    assert main([*map(str, arguments)]) == 0
    assert "2 networks predict together" in capsys.readouterr().err

    before = results(whole)
    evaluate = ["evaluate", "--pred", tmp_path / "predicted", "--ref", raw, "-o", whole / "scores"]
    predict = ["predict", "--model", whole / "package", "-i", new, "-o", whole / "predictions"]
    for command in (evaluate, predict):
        assert main([*map(str, command)]) == 1
        assert "OUT_TAKEN: " in (said := capsys.readouterr().err)
        assert f"is of sdunet run, in {whole}" in said
    assert results(whole) == before

    page = (whole / "index.html").read_text(encoding="utf-8")
    summary = json.loads((whole / "scores/summary.json").read_text())
    assert summary["n_cases"] == 8
    low, high = summary["mean"]["1"]["interval"]["Dice"]
    assert f"{summary['mean']['1']['Dice']:.4g} ({low:.4g} to {high:.4g})" in page
    assert page.count('href="review/review.html#disc_') == 8
    assert "sdunet predict --model whole/package -i NEW_SCANS" in page
    assert str(tmp_path) not in page


@pytest.mark.long
def test_the_first_fold_within_some_minutes_but_for_a_damaged_case(
    raw, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(package, "_check_afresh", package.check_package)
    out = tmp_path / "out"
    more = ("--folds", 1, "--minutes", 5, "--training.epochs=2")
    damaged = raw / "images/disc_7.png"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    assert run(raw, out, *more) == 1
    said = capsys.readouterr().err
    assert "2 epochs a fold, all of training.epochs" in said
    assert "case disc_7: " in said
    assert "1 problems; all other cases are done" in said
    assert "each for 2 epochs at most, chosen for 5" in (out / "index.html").read_text()
    chosen = (out / "schedule.json").read_bytes()
    assert run(raw, out, *more) == 1
    assert "1 problems; all other cases are done" in capsys.readouterr().err
    assert (out / "schedule.json").read_bytes() == chosen
    assert (out / "package/MANIFEST.json").is_file()
    capsys.readouterr()
    assert run(raw, out, *more[:2], "--minutes", 6) == 1
    assert "PIPE_INPUTS: stage schedule was done from something else" in capsys.readouterr().err


def test_masks_of_0_and_255_need_no_settings(make_discs, tmp_path, capsys):
    raw, out = make_discs(tmp_path / "raw", count=4, size=16, foreground=255), tmp_path / "out"
    assert run(raw, out, "--minutes", 1e-3) == 1  # stopped before it trains
    said = capsys.readouterr().err
    assert "note LBL_BINARY: labels of 4 cases hold 0 and 255 alone" in said
    assert "PIPE_MINUTES" in said
    plan = json.loads((out / "plan.json").read_text())
    assert plan["label_map"] == {"255": 1}
    assert run(raw, out, "--minutes", 1e-3) == 1
    assert "check: done before" in capsys.readouterr().err


@pytest.mark.long
def test_masks_of_255_are_trained_scored_and_packed(make_discs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(package, "_check_afresh", package.check_package)
    ones = make_discs(tmp_path / "ones", count=4, size=16)
    white = make_discs(tmp_path / "white", count=4, size=16, foreground=255)
    assert [run(ones, tmp_path / "a"), run(white, tmp_path / "b")] == [0, 0]
    scores = [json.loads((tmp_path / f"{o}/scores/summary.json").read_text()) for o in "ab"]
    assert scores[0]["mean"] == scores[1]["mean"]
    page = (tmp_path / "b/index.html").read_text()
    assert "<li>LBL_BINARY: labels of 4 cases hold 0 and 255 alone" in page


def test_what_cannot_be_is_named_before_anything_is_trained(raw, tmp_path, capsys):
    out = tmp_path / "out"

    def told(place, *more):
        assert run(*place, *more) == 1
        return capsys.readouterr().err

    assert "IO_MISSING" in told((tmp_path / "none", out))
    assert "OUT_IN_DATA" in told((raw, raw / "out"))
    assert "SPLIT_FOLD: --folds 0" in told((raw, out), "--folds", 0)
    assert "CONFIG_DEVICES" in told((raw, out), "--trainer.devices=2")
    assert not out.exists()
    for setting, code in (
        ("class_weights={zz: 4}", "CONFIG_CLASSES"),
        ("flip_axes=[2]", "CONFIG_FLIP"),
        ("flip_axes=[0,0]", "CONFIG_TWICE"),
        ("freeze_encoder=true", "CONFIG_FREEZE"),
    ):
        said = told((raw, out), f"--training.{setting}")
        assert code in said
        assert "prepare: begins" not in said
    assert "SPLIT_FOLD: --folds 3, the dataset has 2; give 1 to 2" in told((raw, out), "--folds", 3)
    assert "CONFIG_VALIDATE" in told((raw, out), "--training.validate_every=99")
    said = told((raw, out), "--minutes", 1e-3)
    assert "PIPE_MINUTES: --minutes 0.001 is too short for an epoch of 2 folds" in said
    assert said.count("done before") == 3
    assert not (out / "runs").exists()

    said = told((raw, out), "--dataset.seed=1")
    assert "PIPE_INPUTS: stage check was done from something else: dataset.seed was 0, is 1" in said
    label = out / "prepared/labels/disc_0.npy"
    before = label.read_bytes()
    label.write_bytes(before + b"x")
    assert "PIPE_OUTPUTS: stage prepare: prepared/labels/disc_0.npy was changed" in told((raw, out))
    label.write_bytes(before)
    Image.fromarray(np.eye(16, dtype=np.uint8)).save(raw / "images/disc_0.png")
    said = told((raw, out))
    assert "stage check was done from something else: raw.images/disc_0.png changed" in said


@pytest.mark.long
def test_a_set_of_objects_ends_with_their_ids_and_scores(tmp_path, monkeypatch):
    monkeypatch.setattr(package, "_check_afresh", package.check_package)
    raw, random = tmp_path / "raw", np.random.default_rng(0)
    (raw / "images").mkdir(parents=True)
    (raw / "labels").mkdir()
    for number in range(6):
        ids = np.zeros((16, 16), np.uint16)
        ids[2:14, 2 : 8 - number % 2], ids[2:14, 8 - number % 2 : 14] = 300, 7
        image = random.normal(60 + 100 * (ids > 0), 4).astype(np.uint8)
        Image.fromarray(image).save(raw / f"images/{number}.png")
        Image.fromarray(ids).save(raw / f"labels/{number}.png")
    out = tmp_path / "out"
    assert run(raw, out, "--dataset.instances=true", "--training.epochs=6") == 0
    record = json.loads((out / "predictions/predictions.json").read_text())
    assert record["instances"] is True
    assert record["labels"] == {"background": 0, "foreground": 1}
    summary = json.loads((out / "scores/summary.json").read_text())
    assert summary["instances"]["objects"]["n_cases"] == 6
    rules = json.loads((out / "runs/postprocess.json").read_text())
    assert list(rules["validation_dice"]) == ["foreground"]
