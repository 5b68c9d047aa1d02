"""Records that decide a voxel, a split or a score carry their hash; those from before are read."""

import json
import shutil

import numpy as np
import pytest
from by_hand import disown

from data_prep.core.errors import DataError
from data_prep.files.hashed_json import hash_json, parse_hashed, read_hashed, write_hashed
from data_prep.files.output_folder import own_folder
from data_prep.prepared.dataset import load_dataset
from sdunet.cli.main import main
from sdunet.runtime.checkpoint import PREVIOUS, STATE, state_to_resume
from sdunet.runtime.safetensors_io import read_tensors, write_weights
from sdunet.segmentation.evaluation.compare_models import read_scores
from sdunet.segmentation.evaluation.pairing import open_pairs
from sdunet.segmentation.export.package import _record_of
from sdunet.segmentation.inference.postprocessing import read_rules
from sdunet.segmentation.inference.prediction_record import Manifest
from sdunet.segmentation.models.run_folder import check_run_folder
from sdunet.segmentation.models.seen_cases import read_seen
from sdunet.segmentation.models.trained_model import load_model
from sdunet.vae.config import ImagesConfig, VAEConfig
from sdunet.vae.data.packed import load_packed, pack
from sdunet.vae.data.raw import RawImages, in_memory
from sdunet.vae.evaluation.published import EVALUATION, _load
from sdunet.vae.model import load_description, save_description

SCORE = {"nats": 1.0, "bits_per_dim": 1.0, "bits_per_dim_standard_error": None}
EVALUATED = {"data": "made", "levels": 256, "split": "test", "n": 1, "samples": 1, "parameters": 1}


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def written(trained_discs, tmp_path_factory):
    """Folders of all kinds that hold records."""
    root = tmp_path_factory.mktemp("written")
    raw = root / "raw"
    shutil.copy(trained_discs / "task.yaml", root)
    for name in ("raw", "set", "run"):
        shutil.copytree(trained_discs / name, root / name)
    assert run("predict", "--model", root / "run", "-i", raw, "-o", root / "pred") == 0
    assert run("evaluate", "--pred", root / "pred", "--ref", raw, "-o", root / "scores") == 0
    assert run("postprocess", root / "run", "--data", root / "set") == 0
    images = {"train": in_memory(np.zeros((4, 1, 6, 6), np.uint8))}
    data = pack(RawImages("made", 256, images), root / "packed")
    save_description(root / "vae", VAEConfig(images=ImagesConfig(1, (6, 6))), data)
    write_hashed(root / "vae" / EVALUATION, EVALUATED | {"negative_elbo": SCORE, "nll": SCORE})
    return root


def settings(folder):
    asked = {"training": {}} | json.loads((folder / "settings.json").read_text())
    check_run_folder(folder, asked, resume=True)


def scores(folder):
    read_scores([folder] * 2, ["a", "b"])


def pairs(folder):
    open_pairs(folder, folder.parent / "raw")


def rules(folder):
    read_rules(folder, {"background": 0, "disc": 1})


def before(folder):
    facts = json.loads((folder / "predictions.json").read_text())
    Manifest(folder, {"models": facts["models"]}).before()


def rename(plan):
    plan["labels"] = {"background": 0, "ring": 1}


# Folder and name of a record, what is changed in it, the code, and who reads it.
RECORDS = [
    ("set/dataset.json", lambda r: rename(r["plan"]), "SET_JSON", load_dataset),
    ("set/dataset.json", lambda r: r["plan"].update(intensity="unit"), "SET_JSON", load_dataset),
    ("set/dataset.json", lambda r: r["plan"].update(patch_size=[8, 8]), "SET_JSON", load_dataset),
    ("set/dataset.json", lambda r: r["cases"].pop(), "SET_JSON", load_dataset),
    ("set/splits.json", lambda r: r.reverse(), "SET_JSON", load_dataset),
    ("set/splits.json", lambda r: r[0]["train"].pop(), "SET_JSON", load_dataset),
    ("run/model.json", lambda r: rename(r["plan"]), "MODEL_JSON", load_model),
    ("run/model.json", lambda r: r.update(overlap=0.25), "MODEL_JSON", load_model),
    ("run/settings.json", lambda r: r["training"].update(seed=9), "RUN_SETTINGS", settings),
    ("run/postprocess.json", lambda r: r["rules"].update(disc=3), "MODEL_POSTPROCESS", rules),
    ("run/training_cases.json", lambda r: r["cases"].popitem(), "RUN_CASES", read_seen),
    ("run/run.json", lambda r: r.update(validation_dice=1), "RUN_RECORD", _record_of),
    ("pred/predictions.json", lambda r: r["label_map"].clear(), "PRED_MANIFEST", before),
    ("pred/predictions.json", lambda r: r["label_map"].clear(), "OUT_CHANGED", pairs),
    ("scores/summary.json", lambda r: r["metric_per_case"].pop(), "COMPARE_SCORES", scores),
    ("scores/summary.json", lambda r: r["options"].update(tolerance=2), "COMPARE_SCORES", scores),
    ("packed/dataset.json", lambda r: r.update(levels=128), "PACK_JSON", load_packed),
    ("vae/model.json", lambda r: r["data"].update(name="x"), "MODEL_JSON", load_description),
    ("vae/evaluation.json", lambda r: r["nll"].update(bits_per_dim=0.5), "EVAL_JSON", _load),
]


@pytest.mark.parametrize(("name", "change", "code", "read"), RECORDS)
def test_a_record_that_was_changed_is_refused_by_its_code(
    written, tmp_path, name, change, code, read
):
    shutil.copytree(written, tmp_path / "copy")
    path = tmp_path / "copy" / name
    read(path.parent)
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    for listed in (True, False):
        if not listed:  # its own hash tells
            shutil.rmtree(path.parent / ".sdunet", ignore_errors=True)
            code = code.replace("OUT_CHANGED", "PRED_MANIFEST")
        with pytest.raises(DataError, match=code):
            read(path.parent)


@pytest.mark.parametrize(("name", "read"), {name: (name, r) for name, _, _, r in RECORDS}.values())
@pytest.mark.parametrize("form", [str, lambda text: json.dumps(json.loads(text), sort_keys=True)])
def test_a_record_from_before_there_were_hashes_is_read(written, tmp_path, name, read, form):
    shutil.copytree(written, tmp_path / "copy")
    path = tmp_path / "copy" / name
    disown(path.parent)
    path.write_text(form(path.read_text()))
    read(path.parent)


@pytest.mark.parametrize("name", ["model.json", "best.safetensors", "validation_cases.txt"])
def test_a_file_of_another_run_is_refused(written, tmp_path, capsys, name):
    """Each is whole and has its hash; together they are no model."""
    shutil.copytree(written, tmp_path / "copy")
    path = tmp_path / "copy/run" / name
    if name == "validation_cases.txt":
        path.write_text("disc_0\n")
    elif name == "model.json":
        record = parse_hashed(path.read_bytes())
        write_hashed(tmp_path / name, record | {"overlap": 0.25})
        shutil.copy(tmp_path / name, path)
    else:
        command = ["train", "--data", tmp_path / "copy/set", "--out", tmp_path / "other"]
        command += ["--network.features=[4,6,8]", "--network.num_features=3", "--epochs=1"]
        assert run(*command, "--training.device=cpu") == 0
        shutil.copy(tmp_path / "other" / name, path)
        command = ["train", "--data", tmp_path / "copy/set", "--out", tmp_path / "copy/run"]
        assert run(*command, "--config", tmp_path / "copy/task.yaml", "--resume") == 1
        assert "OUT_CHANGED" in capsys.readouterr().err
    capsys.readouterr()
    assert run("postprocess", tmp_path / "copy/run", "--data", tmp_path / "copy/set") == 1
    assert "OUT_CHANGED" in (said := capsys.readouterr().err)
    assert name in said


@pytest.mark.parametrize("name", ["metrics.csv", "curve.png", "validation_cases.txt", "model.json"])
def test_a_changed_file_of_a_training_is_neither_replaced_nor_packed(
    written, tmp_path, capsys, name
):
    for folder in ("set", "run"):
        shutil.copytree(written / folder, tmp_path / folder)
    (tmp_path / "run" / name).write_bytes(b"edited")
    command = ["train", "--config", written / "task.yaml", "--data", tmp_path / "set"]
    commands = [[*command, "--out", tmp_path / "run", "--resume", "--epochs=7"]]
    if name != "validation_cases.txt":  # no part of a package
        commands.append(["export", tmp_path / "run", "-o", tmp_path / "package"])
    for arguments in commands:
        assert run(*arguments) == 1
        said = capsys.readouterr().err
        assert "OUT_CHANGED" in said or "MODEL_JSON" in said
        assert name in said
        assert (tmp_path / "run" / name).read_bytes() == b"edited"
    assert not (tmp_path / "package").exists()


def test_the_state_of_another_run_is_not_gone_on_from(written, tmp_path):
    shutil.copytree(written / "run", tmp_path / "run")
    assert state_to_resume(tmp_path / "run", 99).name == STATE
    tensors, texts = read_tensors(tmp_path / "run" / STATE)
    write_weights(tmp_path / STATE, {name: 2 * tensor for name, tensor in tensors.items()}, **texts)
    shutil.copy(tmp_path / STATE, tmp_path / "run")  # whole, and of the same network
    assert state_to_resume(tmp_path / "run", 99).name == PREVIOUS
    (tmp_path / "run" / PREVIOUS).unlink()
    with pytest.raises(DataError, match="OUT_CHANGED"):
        state_to_resume(tmp_path / "run", 99)


RECORD = {"b": [1, 2.5e-17, None, True], "a": {"é": "\x1b", "2": -0.0}}


@pytest.mark.parametrize("record", [{}, RECORD, {"a": (1, (2, 3)), "b": {1: 2}}], ids=str)
def test_a_record_is_read_as_it_was_written(tmp_path, record):
    write_hashed(tmp_path / "r.json", record)
    assert read_hashed(tmp_path / "r.json") == json.loads(json.dumps(record))
    text = (tmp_path / "r.json").read_text()
    again = json.dumps(dict(reversed(json.loads(text).items())))
    assert parse_hashed(again.encode()) == read_hashed(tmp_path / "r.json")


@pytest.mark.parametrize(
    "damage",
    [
        lambda r: r.update(more=1),
        lambda r: r.pop("a"),
        lambda r: r["b"].reverse(),
        lambda r: r["b"].__setitem__(1, 2.5e-16),
        lambda r: r["a"].update({"2": 0.0}),
        lambda r: r.update(sha256="0"),
        lambda r: r.update(sha256=5),
    ],
)
def test_any_change_of_a_record_is_found(tmp_path, damage):
    write_hashed(tmp_path / "r.json", RECORD)
    record = json.loads((tmp_path / "r.json").read_text())
    damage(record)
    with pytest.raises(ValueError, match="its hash differs"):
        parse_hashed(json.dumps(record).encode())


def test_a_record_in_a_folder_of_ours_is_the_one_that_was_written_there(tmp_path):
    with own_folder(tmp_path / "out", "test"):
        write_hashed(tmp_path / "out/r.json", RECORD)
    read_hashed(tmp_path / "out/r.json")
    write_hashed(tmp_path / "r.json", {"a": 1})
    shutil.copy(tmp_path / "r.json", tmp_path / "out/r.json")
    with pytest.raises(DataError, match="OUT_CHANGED"):
        read_hashed(tmp_path / "out/r.json")


def test_hashes_of_json_do_not_depend_on_how_it_is_held():
    assert hash_json({"b": (1, 2), "a": 1}) == hash_json({"a": 1, "b": [1, 2]})
    assert hash_json([1]) != hash_json([1.0]) != hash_json(["1"])
