"""A package is a bundle that MONAI loads, checks, unpacks and runs as any other."""

import json
import re
import shlex
import shutil
from pathlib import Path

import jsonschema
import pytest
import torch
import yaml
from monai import bundle as monai_bundle
from monai.apps.utils import extractall
from monai.bundle import ConfigParser

from data_prep.core.errors import DataError
from data_prep.files.hashed_json import write_hashed
from sdunet.bundle import network_of, predict, trained_network
from sdunet.cli.main import main
from sdunet.segmentation.export.licence import read_text
from sdunet.segmentation.export.model_card import model_card
from sdunet.segmentation.export.package import _loss_of, export
from sdunet.segmentation.models.run_settings import SETTINGS
from sdunet.segmentation.models.trained_model import load_model

# MONAI warns of every configuration it reads, as those can run code.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
PAGE = Path(__file__).parents[3] / "docs/how-to/use-a-network-elsewhere.md"
NEEDED = (  # by MONAI's schema of 2024-07-25, https://project-monai.github.io/schema
    *("schema", "version", "monai_version", "pytorch_version", "numpy_version"),
    *("required_packages_version", "task", "description", "authors", "copyright"),
    "network_data_format",
)
TENSOR = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")


def schema_of():
    """What that schema asks for of the fields that we write."""
    of_tensor = {
        "type": "object",
        "required": [*TENSOR, "channel_def", "is_patch_data"],
        "properties": {
            "num_channels": {"type": "integer"},
            "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
            "value_range": {"type": "array", "items": {"type": "number"}},
            "is_patch_data": {"type": "boolean"},
            "channel_def": {"type": "object"},
        },
    }
    some = {"type": "object", "minProperties": 1, "additionalProperties": of_tensor}
    texts = [name for name in NEEDED if not name.endswith(("packages_version", "format"))]
    return {
        "type": "object",
        "required": list(NEEDED),
        "properties": {
            **{name: {"type": "string"} for name in (*texts, "intended_use")},
            **{name: {"type": "object"} for name in ("required_packages_version", "changelog")},
            "eval_metrics": {"type": "object"},
            "network_data_format": {
                "type": "object",
                "required": ["inputs", "outputs"],
                "properties": {"inputs": some, "outputs": some},
            },
        },
    }


def commands(heading):
    """The commands of one part of the page, as their words."""
    _, part = PAGE.read_text().split(f"\n## {heading}\n")
    blocks = re.findall(r"```bash\n(.*?)```", part.split("\n## ")[0], re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ")
    return [shlex.split(line) for line in lines.splitlines() if line.strip()]


def by_monai(words, **names):
    """Run `python -P -m monai.bundle`, whose command line is that of its functions."""
    assert words[:4] == ["python", "-P", "-m", "monai.bundle"]
    _, _, _, _, name, *rest = words
    given = [rest.pop(0)] if not rest[0].startswith("--") else []
    keys = [word.removeprefix("--") for word in rest[::2]]
    values = [yaml.safe_load(names.get(word, word)) for word in rest[1::2]]
    options = dict(zip(keys, values, strict=True))
    if name == "run":  # its messages would be set up for all tests
        options["logging_file"] = False
    getattr(monai_bundle, name)(*given, **options)


def test_the_commands_of_the_page_run_in_their_order(packages, disc_run, tmp_path, monkeypatch):
    raw, root, _ = disc_run
    monkeypatch.chdir(tmp_path)
    shutil.copytree(packages / "folder", tmp_path / "PACKAGE")
    (tmp_path / "schema.json").write_text(json.dumps(schema_of()))
    lines = commands("A bundle of MONAI")
    assert [words[0] for words in lines] == ["pip", "cd", *["python"] * 5]
    monkeypatch.chdir(tmp_path / "PACKAGE")
    here = {"SCANS": str(raw), "DATA": str(raw), "SCHEMA.json": str(tmp_path / "schema.json")}
    for words in lines[2:]:
        by_monai(words, **here)
    predict(root / "run", raw, tmp_path / "want")
    want = {path.name: path.read_bytes() for path in (tmp_path / "want").glob("*.png")}
    got = {path.name: path.read_bytes() for path in Path("predictions").glob("*.png")}
    assert len(want) == 6
    assert got == want
    assert {path.name for path in Path("fine_tuned").glob("*.pt")} == {"model.pt", "model_final.pt"}
    assert len([*Path("predictions_2").glob("*.png")]) == 6
    assert load_model(tmp_path / "PACKAGE").network  # nothing of it was changed


def test_the_card_says_how_to_run_it_by_monai(packages, disc_run, tmp_path, monkeypatch):
    raw, *_ = disc_run
    text = (packages / "folder/docs/README.md").read_text()
    assert text == (packages / "folder/README.md").read_text()
    (line,) = re.findall(r"^python -P -m monai.bundle .*", text, re.MULTILINE)
    monkeypatch.chdir(packages / "folder")
    out = str(tmp_path / "out")
    by_monai(shlex.split(line), SCANS=str(raw / "images"), predictions=out)
    assert len([*Path(out).glob("*.png")]) == 6
    assert "None was given" in text


@pytest.mark.parametrize("kind", ["inference", "train"])
def test_monai_loads_the_network_of_a_package_with_its_weights(packages, tmp_path, kind):
    extractall(packages / "packed.zip", tmp_path, has_base=True)
    loaded = monai_bundle.load("packed", bundle_dir=tmp_path, workflow_type=kind, device="cpu")
    want = load_model(packages / "folder").network.state_dict()
    got = loaded.state_dict()
    assert list(got) == list(want)
    assert all(torch.equal(got[name], weight) for name, weight in want.items())
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]


def test_names_that_packages_hold_give_the_network(packages, disc_run):
    _, root, _ = disc_run
    parser = ConfigParser()
    parser.read_config(str(packages / "folder/configs/inference.json"))
    parser["bundle_root"] = str(packages / "folder")
    wanted = load_model(root / "run").network.state_dict()
    described = json.loads((packages / "folder/configs/inference.json").read_text())["network_def"]
    assert described.pop("_target_") == "sdunet.bundle.network_of"
    assert network_of(**described).state_dict().keys() == wanted.keys()
    of_older = trained_network(str(packages / "folder"))
    for network in (parser.get_parsed_content("network"), of_older):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, wanted[name])


def test_metadata_hold_what_the_schema_asks_for(packages):
    metadata = json.loads((packages / "folder/configs/metadata.json").read_text())
    jsonschema.validate(metadata, schema_of())
    assert metadata["schema"].endswith("/meta_schema_20240725.json")
    pred = metadata["network_data_format"]["outputs"]["pred"]
    assert pred["channel_def"] == {"0": "background", "1": "disc"}
    assert (pred["format"], pred["num_channels"]) == ("labels", 2)


def test_a_package_tells_the_loss_of_its_training(packages, tmp_path):
    facts = json.loads((packages / "folder/facts.json").read_text())
    step = json.loads((packages / "folder/configs/train.json").read_text())["loss"]
    assert facts["loss"] == {"name": "dice_ce", "weights": {}}
    assert step.items() >= facts["loss"].items()
    assert _loss_of(packages / "folder") == facts["loss"]  # exported again
    told = {"loss": "tversky", "class_weights": {"disc": 3.0}}
    write_hashed(tmp_path / SETTINGS, {"network": {}, "training": told})
    assert _loss_of(tmp_path) == {"name": "tversky", "weights": {"disc": 3.0}}


def test_a_licence_is_copied_and_named(packages, trained_discs, tmp_path, monkeypatch):
    model = load_model(trained_discs / "run")
    facts = json.loads((packages / "folder/facts.json").read_text())
    assert facts["licence"] is None
    card = model_card(model, facts | {"licence": "LICENSE"})
    front = yaml.safe_load(card.split("---\n")[1])
    assert (front["license"], front["license_link"]) == ("other", "LICENSE")
    assert "under the licence in `LICENSE`" in card
    (tmp_path / "terms.txt").write_text("Do what you like.\n")
    assert read_text(tmp_path / "terms.txt") == b"Do what you like.\n"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"MIT\0", b"MIT\x1b[2J", None])
def test_a_licence_that_is_no_text_is_refused_by_name(trained_discs, tmp_path, capsys, content):
    path = tmp_path / "terms.txt"
    if content is not None:
        path.write_bytes(content)
    command = ["export", "--model", trained_discs / "run", "-o", tmp_path / "out"]
    assert main([str(word) for word in (*command, "--license-file", path)]) == 1
    assert "PACKAGE_LICENCE" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_card_counts_cases_of_training_and_of_validation_apart(packages, trained_discs):
    model = load_model(trained_discs / "run")
    facts = json.loads((packages / "folder/facts.json").read_text())
    told = {
        (4, 2): "Seen in 4 training cases, and in 2 cases for validation:",
        (6, 0): "Seen in 6 training cases:",
        (3, 2): "Seen in the 6 cases that it was planned by:",
        (None, None): "Seen in the 6 cases that it was planned by:",
    }
    if model.plan.seen is None:
        pytest.fail("these cases are too few to tell of")
    for (training, validation), wanted in told.items():
        cases = {"training_cases": training, "validation_cases": validation}
        assert wanted in model_card(model, facts | cases)


def test_a_zip_whose_name_is_no_folder_is_refused(trained_discs, tmp_path):
    for name in ("...zip", "..zip"):
        with pytest.raises(DataError, match="OUT_NAME"):
            export(trained_discs / "run", tmp_path / name, pack=True)
