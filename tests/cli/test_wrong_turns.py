"""Wrong turns on the road: what is said, what status is left, and that nothing is spoilt."""

import json
from itertools import chain

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from by_hand import disown, rewrite
from PIL import Image

from sdunet.cli.main import main


def run(*arguments):
    return main([str(a) for a in arguments])


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
    assert sorted(p.name for p in (root / "pred").glob("[!.]*")) == [
        "good.png",
        "predictions.json",
        "run.json",
    ]
    assert json.loads((root / "pred/run.json").read_text())["status"] == 1
    manifest = json.loads((root / "pred/predictions.json").read_text())
    assert list(manifest["cases"]) == ["good"]
    assert set(manifest["failed"]) == {"cut", "colour"}


def test_missing_and_displaced_predictions_count_as_missed(disc_run, capsys):
    raw, root, _ = disc_run
    run("predict", "--model", root / "run", "-i", raw, "-o", root / "pred")
    disown(root / "pred")
    (root / "pred/disc_0.png").unlink()
    Image.fromarray(np.zeros((20, 48), np.uint8)).save(root / "pred/disc_1.png")
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(root / "pred/stranger.png")
    capsys.readouterr()
    assert run("evaluate", "--pred", root / "pred", "--ref", raw, "-o", root / "eval") == 1
    said = capsys.readouterr()
    assert "PRED_MISSING case disc_0: no prediction" in said.err
    assert "GEO_SHAPE case disc_1: reference 48x48, prediction 20x48" in said.err
    assert "PRED_EXTRA case stranger: no reference" in said.err
    assert "2 missing" in said.out
    summary = json.loads((root / "eval/summary.json").read_text())
    assert summary["mean"]["1"]["missing"] == 2
    assert summary["mean"]["1"]["n"] == 6
    assert [c["metrics"]["1"]["Dice"] for c in summary["metric_per_case"][:2]] == [0, 0]


def test_predictions_of_an_earlier_run_do_not_pass_for_those_that_failed(disc_run, capsys):
    raw, root, _ = disc_run
    predict = ["predict", "--model", root / "run", "-i", raw, "-o", root / "pred"]
    assert run(*predict) == 0
    (raw / "images/disc_0.png").write_bytes(b"\x89PNG damaged")
    assert run(*predict) == 1
    assert run("evaluate", "--pred", root / "pred", "--ref", raw, "-o", root / "eval") == 1
    assert "PRED_MISSING case disc_0" in capsys.readouterr().err


def test_images_on_another_grid_than_the_reference_are_not_drawn(
    balls, tmp_path, capsys, write_nifti
):
    raw = balls()
    for path in (raw / "imagesTr").iterdir():
        write_nifti(path, nib.load(path).get_fdata(dtype=np.float32), np.diag([-1.0, 1, 1, 1]))
    arguments = ["--images", raw, "--ref", raw, "--pred", raw / "labelsTr", "-o", tmp_path / "o"]
    assert run("overlay", *arguments) == 1
    assert "GEO_AFFINE case ball_3: image lies up to" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_results_are_not_written_into_the_data(disc_run, capsys):
    raw, root, _ = disc_run
    before = {p: p.read_bytes() for p in raw.rglob("*.png")}
    for out in (raw, raw / "masks", raw / "new"):
        assert run("predict", "--model", root / "run", "-i", raw, "-o", out) == 1
        assert "OUT_IN_DATA" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in raw.rglob("*.png")} == before


def test_classes_that_disagree_are_not_scored(disc_run, capsys):
    raw, root, _ = disc_run
    run("predict", "--model", root / "run", "-i", raw, "-o", root / "pred")
    arguments = ["--pred", root / "pred", "--ref", raw, "-o", root / "eval"]
    other = "--dataset.labels={background: 0, ring: 1}"
    assert run("evaluate", *arguments, other) == 1
    assert "LBL_CLASSES: predictions, dataset and settings" in capsys.readouterr().err
    rewrite(root / "pred/predictions.json", lambda record: record.update(labels="x"))
    assert run("evaluate", *arguments) == 1
    assert "PRED_MANIFEST" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "--network.sdn_decoder=[9]",
            "CONFIG_NETWORK: network.sdn_decoder levels must be in 0..1, got [9]",
        ),
        (
            "--network.features=[4]",
            "CONFIG_NETWORK: network.features must name at least two levels",
        ),
        ("--network.directions=[forward]", "CONFIG_NETWORK: network.directions must be one of"),
        ("--training.flip_axes=[7]", "CONFIG_FLIP: training.flip_axes [7]"),
        ("--training.flip_axes=[0, 0]", "CONFIG_TWICE: training.flip_axes [0, 0] names 0 twice"),
        ("--network.sdn_decoder=[1, 1]", "CONFIG_TWICE: network.sdn_decoder [1, 1] names 1 twice"),
        ("--trainer.num_nodes=2", "CONFIG_DEVICES: trainer.num_nodes is 2"),
        ("--training.device=gpu", "CONFIG_DEVICE: no GPU can be used here"),
        ("--dataset.patch_size=[16, 16]", "CONFIG_DATASET: dataset.patch_size is (16, 16)"),
        ("--dataset.folds=5", "CONFIG_DATASET: dataset.folds is 5, the dataset was"),  # the default
        ("--dataset.folds=2", "CONFIG_DATASET: dataset.folds is 2, the dataset was"),
        ("--dataset.split_file=none.json", "CONFIG_DATASET: dataset.split_file is none.json"),
        ("--dataset.group_file=none.csv", "CONFIG_DATASET: dataset.group_file is none.csv"),
        ("--dataset.group_pattern=(x)", "CONFIG_DATASET: dataset.group_pattern is (x)"),
        ("--dataset.test_share=0.5", "CONFIG_DATASET: dataset.test_share is 0.5"),
        ("--dataset.seed=7", "CONFIG_DATASET: dataset.seed is 7"),
        ("--dataset.accept=[IO_LINK]", "CONFIG_DATASET: dataset.accept is ('IO_LINK',)"),
    ],
)
def test_settings_that_do_not_fit_leave_nothing_behind(
    disc_run, capsys, setting, message, monkeypatch
):
    _, root, config = disc_run
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = ["--data", root / "set", "--out", root / "new"]
    if "folds" not in setting:
        arguments += ["--config", config]
    assert run("train", *arguments, setting) == 1
    assert message in capsys.readouterr().err
    assert not (root / "new").exists()


@pytest.mark.parametrize(
    "setting",
    [
        "--training.epochs=0",
        "--training.batch_size=-1",
        "--training.overlap=1",
        "--training.foreground=2",
        "--training.learning_rate=-1",
        "--training.seed=-1",
        "--network.dropout=3",
        "--network.features=[4, 0]",
        "--network.num_features=0",
        "--dataset.patch_size=[0, 16]",
        "--dataset.spacing=[0, 1, 1]",
    ],
)
def test_numbers_out_of_range_are_refused_with_status_2(setting, capsys):
    with pytest.raises(SystemExit) as left:
        run("train", "--data", "a", "--out", "b", setting)
    assert left.value.code == 2
    assert setting[2:].split("=")[0] in capsys.readouterr().err


def test_options_win_over_files_wherever_they_stand(tmp_path, capsys):
    files = {"task": {"training": {"epochs": 5, "seed": 5}}, "more": {"training": {"seed": 7}}}
    for name, settings in files.items():
        (tmp_path / name).write_text(json.dumps(settings))
    task, more = ["--config", tmp_path / "task"], [f"--config={tmp_path / 'more'}"]
    epochs, paths = ["--training.epochs", 9], ["--data", "a", "--out", "b"]
    orders = [[task, more, epochs, paths], [epochs, task, paths, more], [task, paths, epochs, more]]
    for order in orders:
        with pytest.raises(SystemExit) as left:
            run("train", *chain.from_iterable(order), "--print-config")
        assert left.value.code == 0
        said = yaml.safe_load(capsys.readouterr().out)["training"]
        assert (said["epochs"], said["seed"]) == (9, 7)
    with pytest.raises(SystemExit):
        run("train", *paths, "--config")
    assert "--config" in capsys.readouterr().err


@pytest.mark.long
def test_stopping_by_keyboard_is_said_and_can_be_run_again(disc_run, capsys, monkeypatch):
    _, root, config = disc_run
    arguments = ["--config", config, "--data", root / "set", "--out", root / "stopped"]

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sdunet.segmentation.training.losses.DiceCELoss.forward", stop)
        assert run("train", *arguments) == 130
    assert "interrupted" in capsys.readouterr().err
    assert run("train", *arguments) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network.featres=[4]"], "--network.featres=[4]; did you mean '--network.features'?"),
        (["--dataset.foldz=3"], "--dataset.foldz=3; did you mean '--dataset.folds'?"),
        (["--dataset.patch_size=big"], "patch_size takes a list of whole numbers >= 1 and"),
        (["--dataset.spacing=[1]"], "a list of 3 numbers > 0 and <= 1e12, or a list of 2 numbers"),
        (["--dataset.accept=x"], "--dataset.accept takes a list of `CH_OTHER`, "),
        (
            ["--training={loss: dice}"],
            "--training.loss takes `dice_ce`, `dice_focal` or `tversky`, ",
        ),
        (["--training.epochs='3x'"], "1000000000, not ''3x''\n"),
        (["--network.name="], "`dynunet` or `swin_unetr`, not ''\n"),
        (["--dataset.labels=3"], "labels takes whole numbers by name, such as {a: 1}, not '3'\n"),
        (["--dataset.label_map=3"], "takes whole numbers by number, such as {255: 1}, not '3'\n"),
        (["--dataset.channels=[red, 3]"], "takes a list of names, not '['red', 3]'\n"),
        (["--network.num_features=[0]"], " 100000, or a list of whole numbers >= 1 and <= 100000,"),
        (["--network.strides=[3]"], "takes a list of lists of whole numbers >= 1 and <= 100000,"),
        (["--training.epochs=[1]"], "epochs takes a whole number >= 1 and <= 1000000000\n"),
        (["--dataset.memory_gb=-1"], "memory_gb takes a number > 0 and <= 1e12, not '-1'\n"),
        (["--network.name=unett"], " or `swin_unetr`, not 'unett'; did you mean 'unet'?"),
        (["--training.logger=wandbb"], ", not 'wandbb'; did you mean 'wandb'?"),
        (["--training.epochs=many"], "sdunet: --training.epochs takes a whole number >= 1 and"),
        (
            ["--training.clip=much"],
            "sdunet: --training.clip takes a number > 0 and <= 1e12, not 'm",
        ),
        (["--training.rotate=maybe"], "--training.rotate takes `true` or `false`, not 'maybe'"),
        (["--training.ema=2"], "sdunet: --training.ema takes a number >= 0 and < 1, not '2'"),
        (["--max-time=-1"], "sdunet: --max-time takes a number > 0 and <= 1e12, not '-1'"),
        (["--training.batch-size=0"], "--training.batch_size takes a whole number >= 1 and <= 100"),
        *(
            ([f"--{name}={value}"], f"--{name} takes ")
            for name, value in {
                "training.learning_rate": "1e39",
                "training.weight_decay": "1e39",
                "training.clip": "1e300",
                "training.max_time": "1e13",
                "training.epochs": "99999999999",
                "training.patches_per_case": "99999999999",
                "training.batch_size": "99999999999",
                "network.features": "[1000000000]",
                "network.num_features": "99999999",
                "dataset.memory_gb": "1e39",
                "dataset.patch_size": "[99999999999, 9]",
            }.items()
        ),
        (["--config=nowhere.yaml"], "nowhere.yaml"),
        (
            ["--epochs=2", "--training.epochs", "3"],
            "--epochs and --training.epochs are one setting",
        ),
        (
            ["--training.max-time=2", "--max-time", "3"],
            "--max-time and --training.max_time are one",
        ),
        (["--patience=2", "--training.patience=2"], "--patience and --training.patience are one"),
        (
            ["--training.deterministic=false", "--deterministic"],
            "--deterministic and --training.deterministic are one",
        ),
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
            "CASE_FILE: it cannot be used: No such file or directory",
        ),
        (
            ["evaluate", "--pred", "{t}", "--ref", "{t}", "-o", "{t}/o", "--cases", "{t}"],
            "CASE_FILE: it cannot be used: Is a directory",
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


@pytest.mark.parametrize(
    ("command", "option", "code"),
    [
        ("train", "--seeds=5000000000", "CONFIG_SEEDS"),
        ("train", "--training.seed=4294967295 --seeds=2", "CONFIG_SEEDS"),
        ("predict", f"--shard=0/{'9' * 5000}", "PRED_SHARD"),
    ],
)
def test_numbers_too_large_to_count_anything_are_named(disc_run, capsys, command, option, code):
    raw, root, _ = disc_run
    arguments = ["--data", root / "set"] if command == "train" else ["--model", root / "run"]
    arguments += ["-i", raw] * (command == "predict")
    assert run(command, *arguments, "--out", root / "out", *option.split()) == 1
    assert code in capsys.readouterr().err
    assert not (root / "out").exists()


def test_a_second_run_into_the_same_folder_and_a_wrong_fold_are_refused(disc_run, capsys):
    _, root, _ = disc_run
    assert run("train", "--data", root / "set", "--out", root / "run") == 1
    assert "RUN_EXISTS: a run is already in" in capsys.readouterr().err
    assert run("train", "--data", root / "set", "--out", root / "x", "--fold", 3) == 1
    assert "SPLIT_FOLD: fold 3 of 3; count --fold from 0" in capsys.readouterr().err


def test_unknown_cases_are_named(disc_run, capsys):
    raw, root, _ = disc_run
    (root / "cases.txt").write_text("disc_0\nghost\n")
    arguments = ["-i", raw, "-o", root / "p", "--cases", root / "cases.txt"]
    assert run("predict", "--model", root / "run", *arguments) == 1
    assert "CASE_UNKNOWN: 1 cases asked for are not there: ghost" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        "sample --count 0",
        "sample --count=-5",
        "neighbours --data p --count 0",
        "reconstruct --data p --count=-1",
        "interpolate --data p --pairs 0",
        "interpolate --data p --pairs=-2",
        "interpolate --data p --steps=-1",
        "interpolate --data p --temperature=-1",
        "traverse --data p --temperature=inf",
        "evaluate --data p --seed 99999999999999999999999",
        "sample --seed=-1",
        "train --data p --training.seed 4294967296",
    ],
)
def test_numbers_that_count_nothing_are_refused_before_work(options, capsys):
    command, *rest = options.split()
    model = [] if command == "train" else ["--model", "m"]
    with pytest.raises(SystemExit) as left:
        main(["vae", command, *model, *rest, "-o", "o"])
    assert left.value.code == 2
    name = next(o for o in reversed(rest) if o.startswith("--")).partition("=")[0]
    assert name.removeprefix("--") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["check", ""], "DATA is empty"),
        (["predict", "--model", "", "-i", "raw", "-o", "out"], "--model is empty"),
        (["compare", "", "b", "-o", "out"], "SCORES is empty"),
        (["predict", "--model", "run", "-i", "", "-o", "out"], "--input is empty"),
        (["evaluate", "--pred", "a", "--ref", "b", "-o", ""], "--out is empty"),
    ],
)
def test_empty_paths_are_not_the_folder_one_is_in(command, named, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(command)
    assert named in capsys.readouterr().err
