"""Ensembles: every network that was meant is in it, once, with the rules that were found for it."""

import json
import shutil
import zipfile

import pytest
from by_hand import rewrite
from PIL import Image

from sdunet.cli.main import main
from sdunet.segmentation.inference.ensemble import find_models


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


def test_models_of_other_plans_do_not_vote_together(disc_run, tmp_path, capsys):
    raw, root, _ = disc_run
    shutil.copytree(root / "run", root / "other")
    rewrite(root / "other/model.json", lambda r: r["plan"].update(patch_size=[24, 24]))
    models = ["--model", root / "run", root / "other"]
    assert run("predict", *models, "-i", raw, "-o", tmp_path / "p") == 1
    assert "PRED_TEAM" in capsys.readouterr().err
