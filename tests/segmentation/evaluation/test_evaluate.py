"""What `evaluate` writes: every case, every object, means with their numbers, safe to open."""

import csv
import json
import shutil
from contextlib import nullcontext

import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch
from by_hand import disown
from monai.metrics import CalibrationErrorMetric
from PIL import Image

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.atomic import write_bytes
from sdunet.cli.main import main
from sdunet.runtime.tables import aligned, markdown, write_csv
from sdunet.segmentation.evaluation import evaluate as module
from sdunet.segmentation.evaluation.compare_models import compare
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.metrics.calibration import BINS, Calibration
from sdunet.segmentation.metrics.case_scores import METRICS
from sdunet.segmentation.review.overlay import overlay


def run(*arguments):
    return main([str(a) for a in arguments])


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def predicted(discs, tmp_path):
    """A raw set of discs, and predictions: right, shifted, empty, none."""
    raw, folder = discs(count=4), tmp_path / "pred"
    folder.mkdir()
    for i, shift in enumerate((0, 3)):
        mask = np.asarray(Image.open(raw / f"masks/disc_{i}.png"))
        Image.fromarray(np.roll(mask, shift, 0)).save(folder / f"disc_{i}.png")
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(folder / "disc_2.png")
    return raw, folder


def test_every_case_and_object_has_a_row_and_every_mean_its_number(predicted, tmp_path):
    raw, folder = predicted
    summary, problems = evaluate(folder, raw, tmp_path / "out")
    assert [p.code for p in problems] == ["PRED_MISSING"]
    cases = rows_of(tmp_path / "out/cases.csv")
    outcomes = ["scored", "scored", "missed", "missing"]
    assert [row["outcome"] for row in cases] == outcomes
    mean = summary["mean"]["1"]
    assert (mean["n"], mean["missed"], mean["missing"]) == (4, 1, 1)
    for name, metric in METRICS.items():
        values = [float(row[name]) for row in cases]
        assert mean[metric.label] == pytest.approx(np.mean(values), abs=1e-6)
        low, high = mean["interval"][metric.label]
        assert low <= mean[metric.label] <= high
    assert summary["foreground_mean"]["Dice"] == mean["Dice"]
    assert summary["policy"].startswith("both empty")
    written = json.loads((tmp_path / "out/summary.json").read_text())
    assert written["mean"] == summary["mean"]

    objects = rows_of(tmp_path / "out/components.csv")
    told = [(row["case"], row["side"], row["outcome"]) for row in objects]
    assert told == [
        ("disc_0", "reference", "found"),
        ("disc_0", "prediction", "found"),
        ("disc_1", "reference", "found"),
        ("disc_1", "prediction", "found"),
        ("disc_2", "reference", "missed"),
        ("disc_3", "reference", "missed"),
    ]
    for name in ("dice", "volumes", "sizes"):
        with Image.open(tmp_path / f"out/{name}.png") as picture:
            assert picture.format == "PNG"


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


class Killed(BaseException):
    """Stands for a process that is gone."""


def test_one_prediction_of_several_references_is_told(predicted, tmp_path, capsys):
    raw, folder = predicted
    evaluate(folder, raw, tmp_path / "out")
    for i in (0, 1):  # nothing predicted, as in the third
        shutil.copy(folder / "disc_2.png", folder / f"disc_{i}.png")
    evaluate(folder, raw, tmp_path / "empty")
    assert "EVAL_COPIES" not in capsys.readouterr().err
    for i in range(3):
        shutil.copy(raw / "masks/disc_0.png", folder / f"disc_{i}.png")
    evaluate(folder, raw, tmp_path / "copies")
    told = "EVAL_COPIES: 3 cases have one prediction and several references: disc_0, disc_1, disc_2"
    assert told in capsys.readouterr().err


def test_predictions_that_are_the_references_are_told(predicted, tmp_path, capsys):
    raw, folder = predicted
    evaluate(folder, raw, tmp_path / "out")
    assert "EVAL_SAME" not in capsys.readouterr().err
    evaluate(raw / "masks", raw, tmp_path / "same")
    assert "EVAL_SAME: all 4 predictions are their references" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("written", range(5))
@pytest.mark.parametrize("again", [False, True])
def test_an_evaluation_that_was_cut_short_is_none(predicted, tmp_path, monkeypatch, written, again):
    raw, folder = predicted
    evaluate(folder, raw, tmp_path / "whole")
    if again:
        evaluate(folder, raw, tmp_path / "cut")
    left = iter(range(written))

    def write(path, data):
        if next(left, None) is None:
            raise Killed
        write_bytes(path, data)

    monkeypatch.setattr(module, "write_bytes", write)
    with pytest.raises(Killed):
        evaluate(folder, raw, tmp_path / "cut")
    assert not (tmp_path / "cut/summary.json").exists()
    left = "OUT_UNFINISHED" if written or again else "COMPARE_SCORES"
    with pytest.raises(DataError, match=rf"{left}: .*cut"):
        compare([tmp_path / "whole", tmp_path / "cut"], tmp_path / "out")
    monkeypatch.undo()
    evaluate(folder, raw, tmp_path / "cut")
    assert content_of(tmp_path / "cut") == content_of(tmp_path / "whole")


def test_an_evaluation_that_fails_before_it_writes_leaves_the_one_before(
    predicted, tmp_path, monkeypatch
):
    raw, folder = predicted
    evaluate(folder, raw, tmp_path / "out")
    before = content_of(tmp_path / "out")

    def fail(*_):
        raise Killed

    monkeypatch.setattr(module.plots, "found_by_size", fail)
    with pytest.raises(Killed):
        evaluate(folder, raw, tmp_path / "out")
    assert content_of(tmp_path / "out") == before


def test_objects_lie_where_they_are(predicted, tmp_path):
    raw, folder = predicted
    evaluate(folder, raw, tmp_path / "out")
    row = rows_of(tmp_path / "out/components.csv")[0]
    mask = np.asarray(Image.open(raw / "masks/disc_0.png"))
    down, across = np.argwhere(mask).mean(0)
    assert float(row["x"]) == pytest.approx(across, abs=1e-5)
    assert float(row["y"]) == pytest.approx(down, abs=1e-5)
    assert int(row["cells"]) == mask.sum()


def test_volumes_are_measured_in_millilitres_and_millimetres(balls, tmp_path):
    affine = np.array([[0, -2.0, 0, 30], [1.5, 0, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]])
    raw = balls(affine=affine)
    summary, problems = evaluate(raw / "labelsTr", raw, tmp_path / "out")
    assert not problems
    assert summary["unit"] == "ml"
    assert summary["mean"]["2"]["HD"] == 0
    label = nib.load(raw / "labelsTr/ball_0.nii.gz").get_fdata()
    cells = np.argwhere(label == 2)
    row = next(r for r in rows_of(tmp_path / "out/components.csv") if r["class"] == "back")
    assert float(row["volume"]) == pytest.approx(len(cells) * 9 / 1000, abs=1e-5)
    middle = affine[:3, :3] @ cells.mean(0) + affine[:3, 3]
    assert [float(row[a]) for a in "xyz"] == pytest.approx(middle, abs=1e-4)


def test_deleting_or_emptying_predictions_never_raises_a_mean(predicted, tmp_path):
    raw, folder = predicted

    def means():
        summary, _ = evaluate(folder, raw, tmp_path / "out")
        return summary["mean"]["1"]

    before = means()
    steps = [
        lambda: Image.fromarray(np.zeros((48, 48), np.uint8)).save(folder / "disc_1.png"),
        lambda: (folder / "disc_1.png").unlink(),
        lambda: (folder / "disc_2.png").unlink(),
        lambda: (folder / "disc_0.png").write_bytes(b"damaged"),
    ]
    for change in steps:
        change()
        after = means()
        assert after["n"] == before["n"] == 4
        for metric in METRICS.values():
            sign = 1 if metric.best else -1
            assert sign * after[metric.label] <= sign * before[metric.label], metric.label
        before = after
    assert before["Dice"] == 0


def test_masks_of_single_objects_tell_touching_ones_apart(tmp_path, write_picture):
    for number, columns in enumerate((slice(4, 9), slice(9, 12))):
        mask = np.zeros((16, 16), np.uint8)
        mask[4:12, columns] = 255
        write_picture(tmp_path / f"raw/a/masks/{number}.png", mask)
    write_picture(tmp_path / "raw/a/images/a.png", np.full((16, 16), 9, np.uint8))
    merged = np.zeros((16, 16), np.uint8)
    merged[4:12, 4:12] = 1
    write_picture(tmp_path / "pred/a.png", merged)
    summary, problems = evaluate(tmp_path / "pred", tmp_path / "raw", tmp_path / "out")
    assert not problems
    mean = summary["mean"]["1"]
    assert mean["Dice"] == 1
    assert mean["ObjectSensitivity"] == 0.5
    assert mean["AP50"] == pytest.approx(1 / 2)  # 5 of 8 columns: one of both, no false alarm
    assert mean["AP"] == pytest.approx(0.3 / 2)  # the same up to 0.6, none from 0.65 on


def test_probabilities_are_held_to_the_reference(disc_run, capsys, tmp_path):
    raw, root, _ = disc_run
    given = ["--model", root / "run", "-i", raw, "-o", root / "pred", "--probabilities"]
    assert run("predict", *given) == 0
    summary, problems = evaluate(root / "pred", raw, root / "eval")
    assert not problems
    assert 0 < summary["calibration_error"]["disc"]["ECE"] < 0.5
    assert summary["calibration_error"]["disc"]["n_cases"] == 6
    assert (root / "eval/calibration.png").is_file()
    probabilities = [float(row["probability"]) for row in rows_of(root / "eval/components.csv")]
    assert all(0 <= chance <= 1 for chance in probabilities)
    predicted = [r for r in rows_of(root / "eval/components.csv") if r["side"] == "prediction"]
    assert min(float(row["probability"]) for row in predicted) > 0.5

    path = next((disown(root / "pred") / "probabilities/1").glob("disc_0*"))
    whole = tifffile.imread(path)
    for spoilt in (np.where(np.eye(48), np.nan, whole), whole + 1, np.stack([whole] * 3, -1)):
        kind = "rgb" if spoilt.ndim == 3 else "minisblack"
        tifffile.imwrite(path, spoilt.astype(np.float32), photometric=kind)
        again, problems = evaluate(root / "pred", raw, root / "eval")
        assert [p.code for p in problems] == ["PROB_RANGE"]
        assert again["mean"] == summary["mean"]
        assert again["calibration_error"]["disc"]["n_cases"] == 5
    _, problems = overlay(raw, raw, root / "pred", root / "overlay")
    assert [p.code for p in problems] == ["PROB_RANGE"]
    assert len(list((root / "overlay/cases").iterdir())) == 6  # its errors are shown all the same
    shutil.rmtree(root / "pred/probabilities")
    evaluate(root / "pred", raw, root / "eval")
    assert not (root / "eval/calibration.png").exists()


def test_calibration_error_is_monais():
    torch.manual_seed(0)
    probabilities, there = torch.rand(1, 1, 40, 40), torch.rand(1, 1, 40, 40) < 0.3
    metric = CalibrationErrorMetric(num_bins=BINS)
    metric(probabilities, there.float())
    ours = Calibration()
    ours.update(probabilities.numpy(), there.numpy())
    assert ours.compute() == pytest.approx(float(metric.aggregate()), abs=1e-6)


def test_calibration_adds_up_over_cases_and_is_zero_for_frequencies():
    whole, parts = Calibration(), Calibration()
    probabilities = np.repeat([0.0, 0.25, 0.5, 1.0], 8)
    there = np.concatenate([np.arange(8) < 8 * p for p in (0.0, 0.25, 0.5, 1.0)])
    whole.update(probabilities, there)
    for part in np.split(np.arange(32), 4):
        parts.update(probabilities[part], there[part])
    assert whole.compute() == parts.compute() == 0
    assert Calibration().compute() is None


def test_a_spreadsheet_runs_nothing(tmp_path):
    names = ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(1)", "\tx", "plain"]
    write_csv(tmp_path / "t.csv", ["case", "n"], [{"case": n, "n": -1.5} for n in names])
    rows = rows_of(tmp_path / "t.csv")
    assert [row["case"][0] for row in rows] == ["'"] * 5 + ["p"]
    assert [row["case"].removeprefix("'") for row in rows] == names
    assert {row["n"] for row in rows} == {"-1.5"}


def test_small_numbers_stay_what_they_are(tmp_path):
    write_csv(tmp_path / "t.csv", ["p"], [{"p": 3.1e-9}, {"p": None}, {"p": 1 / 3}])
    assert [row["p"] for row in rows_of(tmp_path / "t.csv")] == ["3.1e-09", "", "0.333333333"]


def test_tables_of_text_keep_their_columns():
    head, lines = ["a", "bb"], [["x|y", "1"], ["z", "22"]]
    assert markdown(head, lines).splitlines()[2] == "| x\\|y | 1 |"
    assert "<" not in markdown(head, [["<img src=x>\n|", "2"]])
    assert len(markdown(head, [["a\nb", "2"]]).splitlines()) == 3
    assert aligned(head, lines).splitlines() == ["a    bb", "x|y   1", "z    22"]


def test_two_predictions_of_a_case_are_none(predicted, tmp_path):
    raw, folder = predicted
    shutil.copy(folder / "disc_0.png", folder / "disc_0.bmp.png")
    Image.open(folder / "disc_0.png").save(folder / "disc_0.tif")
    (folder / "disc_0.bmp.png").unlink()
    summary, problems = evaluate(folder, raw, tmp_path / "out")
    assert sorted(p.code for p in problems) == ["PRED_DUPLICATE", "PRED_MISSING", "PRED_MISSING"]
    assert summary["mean"]["1"]["missing"] == 2
    _, problems = evaluate(folder, raw, tmp_path / "out", {"disc_1"})
    assert not problems


def test_scores_are_not_written_among_the_predictions(predicted, capsys):
    raw, folder = predicted
    for command in (["evaluate"], ["overlay", "--images", raw]):
        given = ["--pred", folder, "--ref", raw, "-o", folder / "new"]
        assert run(*command, *given) == 1
        assert "OUT_IN_DATA" in capsys.readouterr().err


def test_what_was_accepted_for_references_is_for_predictions(balls, tmp_path, write_nifti):
    raw, pred = balls(), tmp_path / "pred"
    aside, tiny = np.eye(4), np.diag([0.005, 1, 1, 1])
    aside[0, 3] = 0.4  # of a voxel, so that the nearest one is the same
    for code, there, here in (("GEO_AFFINE", aside, np.eye(4)), ("HDR_SPACING_RANGE", tiny, tiny)):
        for path in (raw / "labelsTr").iterdir():
            label = np.asarray(nib.load(path).dataobj)
            write_nifti(path, label, there)
            write_nifti(pred / path.name, label, here)
        with pytest.raises(DataError, match="EVAL_NONE") if here is tiny else nullcontext():
            _, problems = evaluate(pred, raw, tmp_path / "out")
            assert {p.code for p in problems} == {code}
        config = DataConfig(accept=(code,))
        summary, problems = evaluate(pred, raw, tmp_path / "out", config=config)
        assert not problems
        assert summary["foreground_mean"]["Dice"] == 1


@pytest.mark.parametrize("wrong", ["tolerance=-1", "tolerance=nan", "match=1", "match=-0.1"])
def test_settings_of_scores_that_make_no_sense_are_refused(predicted, wrong, tmp_path, capsys):
    raw, folder = predicted
    with pytest.raises(SystemExit):
        run("evaluate", "--pred", folder, "--ref", raw, "-o", tmp_path / "e", f"--score.{wrong}")
    assert wrong.split("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "e").exists()
