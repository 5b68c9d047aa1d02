"""Ensembles: every network that was meant is in it, once, with the rules that were found for it."""

import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from by_hand import rewrite
from PIL import Image

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.files.hashed_json import write_hashed
from sdunet.cli.main import main
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.inference.ensemble import (
    Ensemble,
    find_models,
    load_ensemble,
    predict_scan,
)
from sdunet.segmentation.inference.postprocessing import RULES, weights_of
from sdunet.segmentation.models.trained_model import Model, network_for


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def pair_of_runs(trained_discs, tmp_path_factory):
    """A folder of two runs of different seeds, trained together."""
    out = tmp_path_factory.mktemp("pair") / "seeds"
    command = ["train", "--config", trained_discs / "task.yaml", "--data", trained_discs / "set"]
    assert run(*command, "--out", out, "--seeds", 2, "--epochs", 1) == 0
    return out


@pytest.fixture
def runs(pair_of_runs, tmp_path, capsys):
    """A copy of it to spoil."""
    shutil.copytree(pair_of_runs, tmp_path / "seeds")
    capsys.readouterr()
    return tmp_path / "seeds"


@pytest.mark.parametrize("gone", ["best.safetensors", "model.json", None])
@pytest.mark.parametrize("command", ["predict", "postprocess"])
def test_a_network_that_is_not_whole_is_never_left_out(
    trained_discs, runs, tmp_path, capsys, gone, command
):
    assert [path.name for path in find_models(runs)] == ["seed_0", "seed_1"]
    if gone:
        (runs / "seed_1" / gone).unlink()
    else:
        shutil.rmtree(runs / "seed_1")
    given = {
        "predict": ["-i", trained_discs / "raw", "-o", tmp_path / "out"],
        "postprocess": ["--data", trained_discs / "set"],
    }
    assert run(command, "--model", runs, *given[command]) == 1
    assert f"MODEL_MISSING: {runs / 'seed_1'} holds no whole model" in capsys.readouterr().err
    assert run("predict", "--model", runs / "seed_0", *given["predict"]) == 0


def test_rules_of_one_network_are_not_followed_for_others(trained_discs, runs, tmp_path, capsys):
    one, other = runs / "seed_0", runs / "seed_1"
    given = ["-i", trained_discs / "raw", "-o", tmp_path / "out"]
    assert run("postprocess", "--model", one, "--data", trained_discs / "set") == 0
    path = one / "postprocess.json"
    record = json.loads(path.read_text())
    if not record["rules"]:  # this network needs none: as if the largest component had helped
        rewrite(path, lambda found: found["rules"].update(disc="largest"))
    for order in ((one, other), (other, one)):
        assert run("predict", "--model", *order, *given) == 1
        assert "PRED_RULES: postprocess.json differ between" in capsys.readouterr().err
    assert run("predict", "--model", one, other, *given, "--no-postprocess") == 0


def test_a_network_is_taken_once(trained_discs, runs, tmp_path, capsys):
    shutil.copytree(runs / "seed_0", runs / "seed_0 (copy)")
    given = ["-i", trained_discs / "raw", "-o", tmp_path / "out"]
    for models in ([runs], [runs / "seed_0", runs / "seed_0"], [runs / "seed_0", runs]):
        assert run("predict", "--model", *models, *given) == 1
        assert "PRED_TWICE" in capsys.readouterr().err


def test_only_known_codes_are_accepted(runs, trained_discs, tmp_path, capsys):
    given = ["-i", trained_discs / "raw", "-o", tmp_path / "out"]
    assert run("predict", "--model", runs, *given, "--accept", "INT_NONFINITE", "PRED_RANG") == 1
    wanted = "PRED_ACCEPT: --accept PRED_RANG; did you mean PRED_RANGE"
    assert wanted in capsys.readouterr().err


@pytest.fixture(scope="module")
def package(trained_discs, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "package.zip"
    assert run("export", "--model", trained_discs / "run", "-o", path, "--zip") == 0
    return path


@pytest.mark.long
@pytest.mark.parametrize("name", ["best.safetensors", "README.md", "MANIFEST.json"])
def test_a_package_takes_no_more_memory_than_allowed(
    trained_discs, package, tmp_path, capsys, name
):
    spoilt = tmp_path / "spoilt.zip"
    with zipfile.ZipFile(package) as old, zipfile.ZipFile(spoilt, "w", 8) as new:
        for member in old.namelist():
            new.writestr(member, bytes(600_000_000) if member.endswith(name) else old.read(member))
    given = ["-i", trained_discs / "raw", "-o", tmp_path / "out", "--max-ram", 0.5]
    capsys.readouterr()
    assert run("predict", "--model", spoilt, *given) == 1
    assert "IO_MEMORY" in capsys.readouterr().err


def test_errors_are_drawn_over_the_image_that_was_predicted(disc_run, tmp_path, capsys):
    raw, root, _ = disc_run
    assert run("predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "out") == 0
    image = Image.open(raw / "images/disc_0.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image.save(raw / "images/disc_0.png")
    given = ["--images", raw, "--ref", raw, "--pred", tmp_path / "out"]
    assert run("overlay", *given, "-o", tmp_path / "page") == 1
    said = capsys.readouterr().err
    assert "PAIR_OTHER_IMAGE case disc_0: not the image that was predicted" in said
    assert said.count("PAIR_OTHER_IMAGE case") == 1
    assert not (tmp_path / "page/cases/disc_0.png").exists()
    assert (tmp_path / "page/cases/disc_1.png").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"channels": ["other"]}, "channels"),
        ({"labels": {"background": 0, "ring": 1}}, "labels"),
        ({"label_map": {"7": 1}}, "label_map"),
    ],
)
def test_models_of_other_channels_or_classes_do_not_predict_together(
    disc_run, tmp_path, capsys, change, named
):
    raw, root, _ = disc_run
    shutil.copytree(root / "run", root / "other")
    rewrite(root / "other/model.json", lambda r: r["plan"].update(change))
    models = ["--model", root / "run", root / "other"]
    assert run("predict", *models, "-i", raw, "-o", tmp_path / "p") == 1
    assert f"were trained with other {named}" in capsys.readouterr().err


def test_rules_that_count_pixels_of_other_sizes_are_not_followed(runs):
    def resized(record):
        record["plan"]["resize"] = [32, 32]

    rewrite(runs / "seed_1/model.json", resized)
    paths = [runs / "seed_0", runs / "seed_1"]
    for path in paths:
        write_hashed(path / RULES, {"rules": {"disc": 3}})
    with pytest.raises(DataError, match=r"PRED_RULES: .* of images of other sizes"):
        load_ensemble(paths)
    load_ensemble(paths, tidy=False)


@pytest.mark.parametrize("order", [("seed_0", "seed_1"), ("seed_1", "seed_0")])
def test_runs_named_one_by_one_follow_the_rules_of_their_folder(runs, order):
    rules = {"disc": 9.0}
    write_hashed(runs / RULES, {"rules": rules, "weights": weights_of(find_models(runs))})
    assert load_ensemble([runs / name for name in order]).rules == rules
    assert load_ensemble([runs]).rules == rules
    assert load_ensemble([runs.parent]).rules == rules  # as sdunet run leaves them
    assert not load_ensemble([runs / order[0]]).rules  # which were found for both together


def test_an_empty_path_is_not_the_folder_that_one_is_in(runs, monkeypatch):
    monkeypatch.chdir(runs)
    with pytest.raises(DataError, match="MODEL_MISSING: the path of a model is empty"):
        load_ensemble([""])


def _drawn(seed, plan):
    torch.manual_seed(seed)
    network = network_for(NetworkConfig(features=(4, 6), num_features=3), plan).eval()
    return Model(network, plan, 0.5, (), str(seed), None)


def _predicted(*models, scan):
    kept = []
    ensemble = Ensemble(models, {})
    into = lambda shape: kept.append(np.empty(shape, np.float32)) or kept[0]  # noqa: E731
    found = predict_scan(ensemble, scan, Findings(), print, probabilities_into=into)
    return found, kept[0]


@pytest.mark.parametrize("turned", [False, True])
def test_networks_of_other_grids_are_averaged_on_that_of_the_scan(turned):
    plan = Plan(3, ("a",), {"background": 0, "b": 1}, {}, "zscore", (1.0, 1.0, 1.0), (8, 8, 8))
    coarse = replace(plan, spacing=(2.0, 1.5, 1.0), patch_size=(8, 4, 8), intensity="unit")
    affine = np.diag([1.0, -1.0, 2.0, 1.0])[:, [2, 1, 0, 3] if turned else [0, 1, 2, 3]]
    scan = Scan(np.random.default_rng(0).integers(0, 255, (1, 19, 13, 11), np.uint8), affine)
    models = _drawn(0, plan), _drawn(1, coarse), _drawn(2, plan)
    apart = [_predicted(model, scan=scan)[1] for model in models]
    found, together = _predicted(*models, scan=scan)
    np.testing.assert_allclose(together, np.mean(apart, axis=0), rtol=0, atol=1e-6)
    assert not np.allclose(together, apart[0], atol=1e-3)
    assert found.label.shape == (1, 19, 13, 11)
    np.testing.assert_array_equal(found.label[0], found.probability_of(1)[0] > 0.5)


def test_the_order_of_networks_of_other_grids_changes_no_label():
    plan = Plan(2, ("a",), {"background": 0, "b": 1}, {}, "zscore", None, (16, 16))
    models = _drawn(0, plan), _drawn(1, replace(plan, resize=(12, 20), patch_size=(8, 8)))
    scan = Scan(np.random.default_rng(1).normal(size=(1, 21, 17)).astype(np.float32))
    one, other = _predicted(*models, scan=scan), _predicted(*models[::-1], scan=scan)
    np.testing.assert_array_equal(one[0].label, other[0].label)
    np.testing.assert_allclose(one[1], other[1], rtol=0, atol=1e-6)


def test_what_any_of_the_plans_does_not_accept_is_not_accepted():
    plan = Plan(2, ("a",), {"background": 0, "b": 1}, {}, "zscore", None, (16, 16))
    both = replace(plan, accept=("GEO_SHEAR", "IMG_ALPHA"))
    models = _drawn(0, both), _drawn(1, replace(plan, accept=("IMG_ALPHA",)))
    assert Ensemble(models[:1], {}).plan.accept == ("GEO_SHEAR", "IMG_ALPHA")
    assert Ensemble(models, {}).plan.accept == ("IMG_ALPHA",)
