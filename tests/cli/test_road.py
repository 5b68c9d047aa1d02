"""The whole road through the command line, on small sets made here, from raw files to pictures."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest
import torch
from by_hand import disown
from PIL import Image

from sdunet.cli.main import main
from sdunet.ops import backends
from sdunet.segmentation.models.trained_model import WEIGHTS

SMALL = [
    "--network.features=[4,6,8]",
    "--network.num_features=3",
    "--training.epochs=2",
    "--training.batch_size=2",
    "--training.device=cpu",
]


def run(*arguments):
    return main([str(a) for a in arguments])


def test_pictures_from_raw_to_overlay(disc_run, capsys):
    raw, root, _ = disc_run
    run_record = json.loads((root / "run/run.json").read_text())
    assert run_record["backend"] == backends()[0] == "cpu"
    assert run_record["network"]["features"] == [4, 6, 8]
    with (root / "run/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = max(float(r["val_dice"]) for r in rows if r["val_dice"])
    assert run_record["validation_dice"] == pytest.approx(best)
    assert best > 0.8
    assert (root / "run/curve.png").read_bytes().startswith(b"\x89PNG")

    assert run("predict", "--model", root / "run", "-i", raw, "-o", root / "pred") == 0
    assert run("evaluate", "--pred", root / "pred", "--ref", raw, "-o", root / "eval") == 0
    said = capsys.readouterr().out
    arguments = ["--images", raw, "--ref", raw, "--pred", root / "pred", "-o", root / "pictures"]
    assert run("overlay", *arguments) == 0

    summary = json.loads((root / "eval/summary.json").read_text())
    dice = []
    for case in summary["metric_per_case"]:
        predicted = np.asarray(Image.open(root / "pred" / f"{case['case']}.png"))
        reference = np.asarray(Image.open(raw / "masks" / f"{case['case']}.png")) == 255
        assert set(np.unique(predicted)) <= {0, 1}
        want = 2 * (predicted & reference).sum() / (predicted.sum() + reference.sum())
        assert case["metrics"]["1"]["Dice"] == pytest.approx(want)
        dice.append(want)
        assert (root / "pictures/cases" / f"{case['case']}.png").is_file()
    assert summary["foreground_mean"]["Dice"] == pytest.approx(np.mean(dice))
    assert f"{np.mean(dice):.4f}" in said
    with (root / "eval/cases.csv").open() as file:
        assert [r["class"] for r in csv.DictReader(file)] == ["disc"] * 6
    assert (root / "pictures/contact_sheet.png").is_file()


def test_best_weights_are_kept_and_give_the_logged_dice(disc_run):
    raw, root, _ = disc_run
    cases = root / "run/validation_cases.txt"
    arguments = ["--cases", cases]
    assert run("predict", "--model", root / "run", "-i", raw, "-o", root / "p", *arguments) == 0
    assert run("evaluate", "--pred", root / "p", "--ref", raw, "-o", root / "e", *arguments) == 0
    logged = json.loads((root / "run/run.json").read_text())["validation_dice"]
    scored = json.loads((root / "e/summary.json").read_text())
    assert scored["n_cases"] == len(cases.read_text().split()) == 2
    assert scored["foreground_mean"]["Dice"] == pytest.approx(logged, abs=1e-6)


@pytest.mark.long
def test_training_twice_with_a_seed_gives_the_same_weights(disc_run):
    _, root, config = disc_run
    again = ["--config", config, "--data", root / "set", "--out", root / "again"]
    assert run("train", *again) == 0
    assert (root / "run" / WEIGHTS).read_bytes() == (root / "again" / WEIGHTS).read_bytes()
    other = [*again[:-1], root / "other", "--training.seed", 1]
    assert run("train", *other) == 0
    assert (root / "run" / WEIGHTS).read_bytes() != (root / "other" / WEIGHTS).read_bytes()


@pytest.mark.long
@pytest.mark.parametrize(("turned", "codes"), [(False, (0, 2)), (True, (1, 4)), (True, (2, 0))])
def test_volumes_come_back_on_their_own_grid(balls, tmp_path, turned, codes, write_nifti):
    raw = balls()
    prepared, out = tmp_path / "set", tmp_path / "run"
    assert run("prepare", raw, prepared, "--dataset.patch_size=[16,16,16]") == 0
    arguments = ["--data", prepared, "--out", out, *SMALL, "--training.flip_axes=[0]"]
    assert run("train", *arguments) == 0

    source = nib.load(raw / "imagesTr/ball_1.nii.gz")
    scan = source.get_fdata(dtype=np.float32)
    affine = np.eye(4)
    if turned:
        # The same scan with its axes in another order, one of them reversed, and shifted.
        scan = scan.transpose(2, 0, 1)[:, ::-1]
        affine = np.array(
            [[0, -1, 0, scan.shape[1] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]]
        )
    write_nifti(tmp_path / "scan/new.nii.gz", scan, affine, codes)
    predict = ["predict", "--model", out, "-o", tmp_path / "pred", "--device", "cpu"]
    assert run(*predict, "-i", tmp_path / "scan/new.nii.gz") == 0
    got = nib.load(tmp_path / "pred/new.nii.gz")
    assert got.shape == scan.shape
    np.testing.assert_array_equal(got.affine, affine)
    assert (int(got.header["qform_code"]), int(got.header["sform_code"])) == codes
    assert got.get_data_dtype() == np.uint8

    assert run(*predict, "-i", raw) == 0
    straight = np.asarray(nib.load(tmp_path / "pred/ball_1.nii.gz").dataobj)
    if turned:
        straight = straight.transpose(2, 0, 1)[:, ::-1]
    np.testing.assert_array_equal(np.asarray(got.dataobj), straight)
    pictures = ["--images", raw, "--ref", raw, "--pred", tmp_path / "pred", "-o", tmp_path / "o"]
    (tmp_path / "pred/new.nii.gz").unlink()
    assert run("overlay", *pictures) == 0


def test_own_predictions_are_not_mapped_again(balls, tmp_path):
    raw, prepared, out = balls(), tmp_path / "set", tmp_path / "run"
    swap = "--dataset.label_map={1: 2, 2: 1}"
    patch = "--dataset.patch_size=[16,16,16]"
    assert run("prepare", raw, prepared, patch, swap) == 0
    assert run("train", "--data", prepared, "--out", out, *SMALL) == 0
    predicted = tmp_path / "pred"
    assert run("predict", "--model", out, "-i", raw, "-o", predicted) == 0
    for path in disown(predicted).glob("*.nii.gz"):
        label = nib.load(raw / "labelsTr" / path.name)
        swapped = np.array([0, 2, 1], np.uint8)[np.asarray(label.dataobj)]
        nib.save(nib.Nifti1Image(swapped, label.affine), path)
    assert run("evaluate", "--pred", predicted, "--ref", raw, "-o", tmp_path / "eval") == 0
    summary = json.loads((tmp_path / "eval/summary.json").read_text())
    mean = summary["foreground_mean"]
    assert (mean["Dice"], mean["IoU"], mean["HD"], mean["n_classes"]) == (1, 1, 0, 2)


def test_info_tells_versions_and_backends(capsys):
    assert run("info", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["backends"][-1] == "reference"
    assert facts["versions"]["torch"] == torch.__version__
    assert run("info") == 0
    assert "sweep backends" in capsys.readouterr().out
