"""A folder for the Hub: no file of it can run, its card tells all, and it predicts as the run."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from hub_server import COMMIT, FakeHub, ask_only, files_of, served
from huggingface_hub import ModelCard

from sdunet.cli.main import main
from sdunet.segmentation.export import package
from sdunet.segmentation.export.model_card import model_card
from sdunet.segmentation.models.hub import is_inert
from sdunet.segmentation.models.integrity import LIST
from sdunet.segmentation.models.trained_model import load_model


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(trained_discs, tmp_path_factory):
    """The folder, made once, and checked in this process: another would take seconds to start."""
    out = tmp_path_factory.mktemp("hub") / "folder"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "_check_afresh", package.check_package)
        return package.export(trained_discs / "run", out, licence_name="apache-2.0", hub=True)


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """A Hub that holds it."""
    with served(FakeHub(files_of(folder) | {".gitattributes": b"x"})) as server:
        ask_only(server, tmp_path / "cache", monkeypatch)
        yield server


def front_of(card):
    return yaml.safe_load(card.split("---\n")[1])


def predictions(model, raw, out):
    assert run("predict", "--model", model, "-i", raw, "-o", out) == 0
    return {path.name: path.read_bytes() for path in out.glob("*.png")}


def test_it_holds_files_that_cannot_run_and_passes_as_a_package(folder, trained_discs):
    assert all(is_inert(name) for name in files_of(folder))
    assert {"README.md", LIST, "best.safetensors", "model.json"} <= files_of(folder).keys()
    package.check_package(folder)
    assert load_model(folder).sha256 == load_model(trained_discs / "run").sha256


def test_it_predicts_the_voxels_of_the_run_from_disk_and_from_the_hub(
    hub, folder, disc_run, tmp_path
):
    raw, root, _ = disc_run
    want = predictions(root / "run", raw, tmp_path / "run")
    assert len(want) == 6
    assert predictions(folder, raw, tmp_path / "folder") == want
    assert predictions(hub.url, raw, tmp_path / "hub") == want
    record = json.loads((tmp_path / "hub/predictions.json").read_text())
    assert record["from_hub"] == {hub.url: load_model(root / "run").sha256}
    assert "from_hub" not in json.loads((tmp_path / "folder/predictions.json").read_text())


@pytest.mark.long
def test_a_training_that_begins_from_the_hub_records_the_commit(hub, disc_run):
    _, root, config = disc_run
    command = ("train", "--config", config, "--data", root / "set", "--out", root / "tuned")
    assert run(*command, "--epochs", 1, "--init", hub.url) == 0
    record = json.loads((root / "tuned/run.json").read_text())
    assert record["init"] == hub.url
    assert record["init_sha256"] == load_model(root / "run").sha256


@pytest.mark.long
def test_the_variables_of_the_hubs_client_say_where_it_is(hub, disc_run, tmp_path):
    raw, _, _ = disc_run
    environment = os.environ | {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "sdunet", "predict", "--model", hub.url, "-i", str(raw)]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"MB of {hub.url}" in done.stderr
    assert (tmp_path / "home/hub").is_dir()


def test_the_card_is_one_of_the_hub(folder, trained_discs):
    text = (folder / "README.md").read_text()
    data = ModelCard(text).data
    dice = json.loads((trained_discs / "run/run.json").read_text())["validation_dice"]
    assert (data.license, data.library_name) == ("apache-2.0", "sdunet")
    assert data.pipeline_tag == "image-segmentation"
    (result,) = data.eval_results
    assert result.metric_value == pytest.approx(dice, abs=1e-4)
    assert "chosen by" in result.dataset_name
    assert "Research only" in text
    assert "hf:OWNER/NAME@COMMIT" in text
    assert "monai.bundle" not in text
    assert "program.pt2" not in text


@pytest.mark.parametrize(
    "changes",
    [
        {"validation_dice": None},
        {"validation_dice": float("nan")},
        {"doubts": ["it was stopped"]},
        {"trained_on_all": True},
        {"validation_cases": 0},
    ],
    ids=str,
)
def test_a_score_that_is_none_of_unseen_cases_is_not_listed(folder, changes):
    facts = json.loads((folder / "facts.json").read_text())
    model = load_model(folder)
    assert "model-index" in front_of(model_card(model, facts))
    front = front_of(model_card(model, facts | changes))
    assert not {"model-index", "metrics"} & front.keys()
    assert ModelCard(model_card(model, facts | changes)).data.license == "apache-2.0"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], "PACKAGE_LICENCE"),
        (["--license", "apache"], "did you mean --license apache-2.0"),
        (["--license", "my own"], "PACKAGE_LICENCE"),
        (["--license", "mit", "--zip"], "PACKAGE_HUB"),
        (["--model", f"hf:someone/discs@{COMMIT}"], "PACKAGE_HUB"),
    ],
)
def test_what_no_folder_for_the_hub_is_made_of_is_refused_first(tmp_path, capsys, options, code):
    model = [] if "--model" in options else ["--model", tmp_path / "not there"]
    assert run("export", *model, "-o", tmp_path / "out", "--hub-folder", *options) == 1
    assert code in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_licence_without_a_name_is_other_and_its_text_is_there(folder):
    facts = json.loads((folder / "facts.json").read_text())
    model = load_model(folder)
    front = front_of(model_card(model, facts | {"licence_name": None, "licence": "LICENSE"}))
    assert (front["license"], front["license_link"]) == ("other", "LICENSE")
    assert front["license_name"]
    card = model_card(model, facts | {"licence": "LICENSE"})
    assert front_of(card)["license"] == "apache-2.0"
    assert "whose text is in `LICENSE`" in card


@pytest.mark.long
def test_onnx_is_there_where_it_is_asked_for_and_is_told(
    hub, trained_discs, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(package, "_check_afresh", package.check_package)
    command = ("export", "--model", trained_discs / "run", "-o", tmp_path / "out", "--hub-folder")
    assert run(*command, "--license", "mit", "--onnx") == 0
    assert "network.onnx is in the folder" in capsys.readouterr().err
    files = files_of(tmp_path / "out")
    assert "network.onnx" in files
    assert all(map(is_inert, files))
    hub.files = files
    assert (
        run("predict", "--model", hub.url, "-i", trained_discs / "raw", "-o", tmp_path / "p") == 0
    )
