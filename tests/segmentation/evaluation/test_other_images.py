"""Scores are of the images that were predicted; options that play no part are refused."""

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
