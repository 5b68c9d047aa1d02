"""Whatever is raised while a case is worked on: it is that case's error, the others are done."""

import importlib
import shutil

import pytest

from sdunet.cli.main import main

RAISED = {
    "bug": (ValueError("a\x1b[2Jb"), r"CASE_FAILED case disc_1: ValueError: 'a\x1b[2Jb' at "),
    "no words": (KeyError(), "CASE_FAILED case disc_1: KeyError: '' at "),
    "name": (OSError(36, "File name too long"), "CASE_FAILED case disc_1: OSError: "),
    "memory": (MemoryError("9 TiB"), "IO_MEMORY case disc_1: "),
}
# What works on one case of many, by the command that calls it.
WORK = [
    ("check", "data_prep.checks.case_fingerprint.coarse_picture"),
    ("prepare", "data_prep.checks.case_fingerprint.read_case"),
    ("prepare", "data_prep.prepared.prepare.thumbnail"),
    ("convert", "data_prep.convert.encode"),
    ("predict", "sdunet.segmentation.models.input_cases.read_case_image"),
    ("predict", "sdunet.segmentation.inference.predict_folder.predict_scan"),
    ("evaluate", "sdunet.segmentation.evaluation.pairing.read_case_label"),
    ("evaluate", "sdunet.segmentation.evaluation.pairing.read_label"),
    ("evaluate", "sdunet.segmentation.evaluation.pair.score_case"),
    ("evaluate", "sdunet.segmentation.evaluation.evaluate.object_rows"),
    ("overlay", "sdunet.segmentation.review.overlay.draw_case"),
    ("overlay", "sdunet.segmentation.review.case_view.read_case_image"),
    ("compare", "sdunet.segmentation.review.compare_page.open_view"),
]
DONE = {  # what stands of each case that was done, and was not for the one that failed
    "prepare": "out/images/disc_{}.npy",
    "convert": "out/images/disc_{}.png",
    "predict": "out/disc_{}.png",
    "overlay": "out/cases/disc_{}.png",
}


@pytest.fixture(scope="module")
def predicted(trained_discs, tmp_path_factory):
    """The raw discs, a run, predictions and scores of them."""
    root = tmp_path_factory.mktemp("predicted") / "discs"
    shutil.copytree(trained_discs, root)
    assert main(["predict", "--model", f"{root}/run", "-i", f"{root}/raw", "-o", f"{root}/p"]) == 0
    said = ["--pred", f"{root}/p", "--ref", f"{root}/raw"]
    for scores in "ab":
        assert main(["evaluate", *said, "-o", f"{root}/{scores}"]) == 0
    return root


def command(name, root, out):
    raw, pred, task = f"{root}/raw", f"{root}/p", ["--config", f"{root}/task.yaml"]
    pair, page = (
        ["--pred", pred, "--ref", raw],
        ["--images", raw, "--ref", raw, "--pred", pred, pred],
    )
    return {
        "check": ["check", raw, *task],
        "prepare": ["prepare", raw, out, *task],
        "convert": ["convert", raw, out, "--to", "folders", *task],
        "predict": ["predict", "--model", f"{root}/run", "-i", raw, "-o", out],
        "evaluate": ["evaluate", *pair, "-o", out],
        "overlay": ["overlay", "--images", raw, *pair, "-o", out],
        "compare": ["compare", f"{root}/a", f"{root}/b", "-o", out, *page],
    }[name]


def fail_at_second(monkeypatch, name, place, error):
    """Raise an error in the second case; of each, `convert` and `compare` work on two things."""
    at = 3 if name in ("convert", "compare") else 2
    module, function = place.rsplit(".", 1)
    work = getattr(importlib.import_module(module), function)
    calls = []

    def failing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == at:
            raise error
        return work(*arguments, **options)

    monkeypatch.setattr(place, failing)


@pytest.mark.parametrize(
    ("name", "place", "raised"),
    [(*work, "bug") for work in WORK] + [(*WORK[2], raised) for raised in RAISED],
)
def test_one_case_that_fails_leaves_the_others(
    predicted, tmp_path, monkeypatch, capsys, name, place, raised
):
    error, said = RAISED[raised]
    fail_at_second(monkeypatch, name, place, error)
    assert main(command(name, predicted, str(tmp_path / "out"))) == 1
    shown = capsys.readouterr()
    assert said in shown.out + shown.err
    if name in DONE:
        there = [(tmp_path / DONE[name].format(number)).exists() for number in range(6)]
        assert there == [True, False, True, True, True, True]


@pytest.mark.parametrize(("name", "place"), [WORK[2], WORK[3], WORK[5], WORK[10]])
def test_a_full_disk_is_no_cases_error(predicted, tmp_path, monkeypatch, capsys, name, place):
    fail_at_second(monkeypatch, name, place, OSError(28, "No space left on device"))
    assert main(command(name, predicted, str(tmp_path / "out"))) == 1
    assert "error: OUT_DISK: No space left on device" in capsys.readouterr().err
