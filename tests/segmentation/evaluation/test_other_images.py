"""Scores are of the images that were predicted; options that play no part are refused."""

import json
import shutil

import pytest
from PIL import Image

from sdunet.cli.main import main


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture
def predicted(disc_run, tmp_path, capsys):
    raw, root, _ = disc_run
    assert run("predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "pred") == 0
    capsys.readouterr()
    return raw, tmp_path / "pred", tmp_path


def flip(path):
    Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)


def test_a_case_whose_image_is_another_is_not_scored(predicted, capsys):
    raw, pred, root = predicted
    flip(raw / "images/disc_2.png")
    score = ["evaluate", "--pred", pred, "--ref", raw, "-o", root / "scores"]
    assert run(*score) == 1
    said = capsys.readouterr().err
    assert "PAIR_OTHER_IMAGE case disc_2: not the image that was predicted" in said
    assert "disc_2" not in (root / "scores/cases.csv").read_text()
    assert "disc_1" in (root / "scores/cases.csv").read_text()
    assert run(*score, "--dataset.accept=[PAIR_OTHER_IMAGE]") == 0
    assert "disc_2" in (root / "scores/cases.csv").read_text()


def test_where_all_images_are_others_nothing_is_scored(predicted, capsys):
    raw, pred, root = predicted
    for path in (raw / "images").iterdir():
        flip(path)
    assert run("evaluate", "--pred", pred, "--ref", raw, "-o", root / "scores") == 1
    assert "EVAL_NONE" in capsys.readouterr().err


def test_references_of_the_same_bytes_elsewhere_are_scored(predicted):
    raw, pred, root = predicted
    shutil.copytree(raw, root / "copy")
    assert run("evaluate", "--pred", pred, "--ref", root / "copy", "-o", root / "scores") == 0


@pytest.mark.parametrize("option", [["--colour-blind"], ["--max-ram", 4]])
def test_options_of_a_page_that_is_not_asked_for_are_refused(predicted, capsys, option):
    raw, pred, root = predicted
    assert run("evaluate", "--pred", pred, "--ref", raw, "-o", root / "scores") == 0
    assert run("compare", root / "scores", root / "scores", "-o", root / "out", *option) == 1
    assert "COMPARE_PAGE" in capsys.readouterr().err


def test_a_metric_given_twice_is_tested_once(predicted, capsys):
    raw, pred, root = predicted
    for name in ("a", "b"):
        assert run("evaluate", "--pred", pred, "--ref", raw, "-o", root / name) == 0
    given = ["compare", root / "a", root / "b", "-o", root / "out", "--metrics", "dice", "dice"]
    assert run(*given) == 0
    assert len((root / "out/compare.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("listed", [True, False], ids=["in its folder", "copied alone"])
def test_what_others_put_among_predictions_is_not_scored(disc_run, tmp_path, capsys, listed):
    """A mask of another tool, or the label itself, for a case that was left out."""
    raw, root, _ = disc_run
    cases, pred, scores = tmp_path / "cases.txt", tmp_path / "pred", tmp_path / "scores"
    cases.write_text("disc_0\ndisc_1\n")
    model = ["--model", root / "run", "--cases", cases]
    assert run("predict", *model, "-i", raw, "-o", pred) == 0
    shutil.copy(raw / "masks/disc_2.png", pred / "disc_2.png")
    if not listed:
        shutil.rmtree(pred / ".sdunet")
    cases.write_text("disc_0\ndisc_2\n")
    capsys.readouterr()
    command = ["--pred", pred, "--ref", raw, "--cases", cases]
    assert run("evaluate", *command, "-o", scores) == 1
    assert "PRED_UNLISTED case disc_2: not among what was predicted" in capsys.readouterr().err
    found = {c["case"]: c["metrics"]["1"]["Dice"] for c in json.loads(
        (scores / "summary.json").read_text())["metric_per_case"]}  # fmt: skip
    assert found["disc_2"] == 0
    assert run("overlay", *command, "--images", raw, "-o", tmp_path / "page") == 1
    assert "PRED_UNLISTED case disc_2" in capsys.readouterr().err
