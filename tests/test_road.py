"""The whole road through the command line, on small sets made here, and its wrong turns."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from data_prep.errors import DataError
from sdunet.cli import main
from sdunet.segmentation.data import SegmentationData
from sdunet.segmentation.inference import class_probabilities
from sdunet.segmentation.model import WEIGHTS

SMALL = [
    "--network.features=[4,6,8]",
    "--network.num_features=3",
    "--training.epochs=2",
    "--training.batch_size=2",
    "--training.device=cpu",
]


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="session")
def trained_discs(make_discs, tmp_path_factory):
    """A folder with raw discs whose masks are 255, the prepared set, and a trained network."""
    root = tmp_path_factory.mktemp("discs")
    make_discs(root / "raw", count=6, foreground=255)
    (root / "task.yaml").write_text(
        "dataset:\n"
        "  labels: {background: 0, disc: 1}\n"
        "  label_map: {255: 1}\n"
        "  patch_size: [32, 32]\n"
        "  folds: 3\n"
        "network: {features: [4, 6, 8], num_features: 3}\n"
        "training: {epochs: 6, batch_size: 2, patches_per_case: 4, learning_rate: 0.02,\n"
        "           device: cpu}\n"
    )
    config = ["--config", root / "task.yaml"]
    assert run("prepare", root / "raw", root / "set", *config) == 0
    assert run("train", *config, "--data", root / "set", "--out", root / "run") == 0
    return root


@pytest.fixture
def disc_run(trained_discs, tmp_path, capsys):
    """A copy of it to spoil: the raw set, the folder of all, the config file."""
    root = tmp_path / "discs"
    shutil.copytree(trained_discs, root)
    capsys.readouterr()
    return root / "raw", root, root / "task.yaml"


def test_pictures_from_raw_to_overlay(disc_run, capsys):
    raw, root, _ = disc_run
    run_record = json.loads((root / "run/run.json").read_text())
    assert run_record["backend"] == "torch"
    assert run_record["task"]["network"]["features"] == [4, 6, 8]
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


def test_training_twice_with_a_seed_gives_the_same_weights(disc_run):
    _, root, config = disc_run
    again = ["--config", config, "--data", root / "set", "--out", root / "again"]
    assert run("train", *again) == 0
    assert (root / "run" / WEIGHTS).read_bytes() == (root / "again" / WEIGHTS).read_bytes()
    other = [*again[:-1], root / "other", "--training.seed", 1]
    assert run("train", *other) == 0
    assert (root / "run" / WEIGHTS).read_bytes() != (root / "other" / WEIGHTS).read_bytes()


@pytest.mark.parametrize("turned", [False, True])
def test_volumes_come_back_on_their_own_grid(balls, tmp_path, turned, write_nifti):
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
    write_nifti(tmp_path / "scan/new.nii.gz", scan, affine, codes=(1, 4))
    predict = ["predict", "--model", out, "-o", tmp_path / "pred", "--device", "cpu"]
    assert run(*predict, "-i", tmp_path / "scan/new.nii.gz") == 0
    got = nib.load(tmp_path / "pred/new.nii.gz")
    assert got.shape == scan.shape
    np.testing.assert_array_equal(got.affine, affine)
    assert (int(got.header["qform_code"]), int(got.header["sform_code"])) == (1, 4)
    assert got.get_data_dtype() == np.uint8

    assert run(*predict, "-i", raw) == 0
    straight = np.asarray(nib.load(tmp_path / "pred/ball_1.nii.gz").dataobj)
    if turned:
        straight = straight.transpose(2, 0, 1)[:, ::-1]
    np.testing.assert_array_equal(np.asarray(got.dataobj), straight)
    pictures = ["--images", raw, "--ref", raw, "--pred", tmp_path / "pred", "-o", tmp_path / "o"]
    (tmp_path / "pred/new.nii.gz").unlink()
    assert run("overlay", *pictures) == 0


def test_bad_scans_are_named_and_the_others_predicted(disc_run, tmp_path, capsys):
    raw, root, _ = disc_run
    new = tmp_path / "new"
    new.mkdir()
    good = (raw / "images/disc_0.png").read_bytes()
    (new / "good.png").write_bytes(good)
    (new / "cut.png").write_bytes(good[:100])
    colours = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(colours).save(new / "colour.png")
    assert run("predict", "--model", root / "run", "-i", new, "-o", root / "pred") == 1
    said = capsys.readouterr()
    assert "1 predictions in" in said.out
    assert "IO_DAMAGED case cut: cannot be decoded" in said.err
    assert "CH_COUNT case colour: 3 channels, expected 1 (image)" in said.err
    assert sorted(p.name for p in (root / "pred").iterdir()) == ["good.png", "predictions.json"]
    manifest = json.loads((root / "pred/predictions.json").read_text())
    assert list(manifest["cases"]) == ["good"]
    assert set(manifest["failed"]) == {"cut", "colour"}


def test_missing_and_displaced_predictions_count_as_missed(disc_run, capsys):
    raw, root, _ = disc_run
    run("predict", "--model", root / "run", "-i", raw, "-o", root / "pred")
    (root / "pred/disc_0.png").unlink()
    Image.fromarray(np.zeros((20, 48), np.uint8)).save(root / "pred/disc_1.png")
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(root / "pred/stranger.png")
    capsys.readouterr()
    assert run("evaluate", "--pred", root / "pred", "--ref", raw, "-o", root / "eval") == 1
    said = capsys.readouterr()
    assert "PRED_MISSING case disc_0: no prediction" in said.err
    assert "GEO_SHAPE case disc_1: image 48x48, prediction 20x48" in said.err
    assert "PRED_EXTRA case stranger: no reference" in said.err
    assert "2 missing" in said.out
    summary = json.loads((root / "eval/summary.json").read_text())
    assert summary["mean"]["1"]["missing"] == 2
    assert summary["mean"]["1"]["n"] == 6
    assert [c["metrics"]["1"]["Dice"] for c in summary["metric_per_case"][:2]] == [0, 0]


def test_a_network_that_gives_nan_is_no_mask():
    with pytest.raises(DataError, match="PRED_NONFINITE: the network gives NaN or infinity"):
        class_probabilities(lambda x: x * torch.nan, torch.ones(1, 2, 16, 16), (8, 8), 0.5)


def test_probabilities_sum_to_one_and_small_scans_are_padded():
    chances = class_probabilities(lambda x: x, torch.randn(1, 3, 5, 21), (8, 8), 0.5)
    assert chances.shape == (1, 3, 5, 21)
    torch.testing.assert_close(chances.sum(1), torch.ones(1, 5, 21))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_best(disc_run, capsys):
    _, root, config = disc_run
    arguments = ["--config", config, "--data", root / "set", "--out", root / "wild"]
    wild = ["--training.learning_rate=1e30", "--training.clip=1e30", "--training.epochs=30"]
    assert run("train", *arguments, *wild) == 1
    assert "error: loss is nan at epoch" in capsys.readouterr().err
    assert not (root / "wild/run.json").exists()


def patch_means(root, workers):
    """Mean of each training patch over two epochs: tells random draws apart."""
    import pytorch_lightning as pl

    from data_prep.dataset import load_dataset
    from sdunet.segmentation.config import TrainingConfig

    pl.seed_everything(0, workers=True, verbose=False)
    config = TrainingConfig(batch_size=1, patches_per_case=2, workers=workers)
    loader = SegmentationData(load_dataset(root / "set"), 0, config).train_dataloader()
    return [round(float(b["image"].mean()), 6) for _ in range(2) for b in loader]


def test_no_augmentation_is_drawn_twice_over_workers_and_epochs(disc_run):
    _, root, _ = disc_run
    for workers in (0, 2):
        drawn = patch_means(root, workers)
        assert len(drawn) == 16
        assert len(set(drawn)) == len(drawn)
        assert patch_means(root, workers) == drawn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network.featres=[4]"], "--network.featres=[4]; did you mean 'network.features'?"),
        (["--network.name=vnet"], "Expected a typing.Literal['sdunet', 'unet']. Got value: vnet"),
        (["--training.epochs=many"], "training.epochs"),
        (["--config=nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_wrong_settings_are_named_with_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        run("train", "--data", "a", "--out", "b", *arguments)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset: {lables: {a: 0}}", "did you mean 'dataset.labels'?"),
        ("network: {class_path: os.system}", "class_path"),
        ("network: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("network: [1", "parsing config"),
    ],
)
def test_wrong_config_files_are_named_with_status_2(text, message, tmp_path, capsys):
    (tmp_path / "task.yaml").write_text(text)
    with pytest.raises(SystemExit) as left:
        run("prepare", "a", "b", "--config", tmp_path / "task.yaml")
    assert left.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "{t}/none", "{t}/o"], "IO_MISSING: nothing at"),
        (["prepare", "{t}", "{t}/o"], "IO_NO_FILES: no files in"),
        (["train", "--data", "{t}", "--out", "{t}/o"], "SET_MISSING: no prepared dataset in"),
        (["predict", "--model", "{t}", "-i", "{t}", "-o", "{t}/o"], "MODEL_MISSING"),
        (["evaluate", "--pred", "{t}", "--ref", "{t}", "-o", "{t}/o"], "IO_NO_FILES"),
        (
            ["evaluate", "--pred", "{t}", "--ref", "{t}", "-o", "{t}/o", "--cases", "{t}/c"],
            "No such file or directory",
        ),
    ],
)
def test_wrong_inputs_are_named_with_status_1(arguments, message, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(*(a.format(t=empty) for a in arguments)) == 1
    said = capsys.readouterr().err
    assert message in said
    assert not (empty / "o").exists()


def test_a_second_run_into_the_same_folder_and_a_wrong_fold_are_refused(disc_run, capsys):
    _, root, _ = disc_run
    assert run("train", "--data", root / "set", "--out", root / "run") == 1
    assert "RUN_EXISTS: a run is already in" in capsys.readouterr().err
    assert run("train", "--data", root / "set", "--out", root / "x", "--fold", 3) == 1
    assert "SPLIT_FOLD: fold 3 of 3; count folds from 0" in capsys.readouterr().err


def test_unknown_cases_are_named(disc_run, capsys):
    raw, root, _ = disc_run
    (root / "cases.txt").write_text("disc_0\nghost\n")
    arguments = ["-i", raw, "-o", root / "p", "--cases", root / "cases.txt"]
    assert run("predict", "--model", root / "run", *arguments) == 1
    assert "CASE_UNKNOWN: 1 cases asked for are not there: ghost" in capsys.readouterr().err


def test_info_tells_versions_and_backends(capsys):
    assert run("info", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["backends"][-1] == "reference"
    assert facts["versions"]["torch"] == torch.__version__
    assert run("info") == 0
    assert "sweep backends" in capsys.readouterr().out
