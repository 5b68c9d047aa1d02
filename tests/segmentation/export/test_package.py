"""Packages: what they hold, that they predict as the run does, and that no damage passes."""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from sdunet.cli.main import main
from sdunet.runtime.safetensors_io import read_tensors, write_weights
from sdunet.segmentation.export import package
from sdunet.segmentation.export.package import EXAMPLE, check_package, export
from sdunet.segmentation.inference.ensemble import find_models
from sdunet.segmentation.models.integrity import LIST, unpack, verify
from sdunet.segmentation.models.trained_model import WEIGHTS, load_model


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.mark.long
def test_a_zip_holds_what_the_folder_of_a_package_does(packages, trained_discs, tmp_path):
    export(trained_discs / "run", tmp_path / "packed.zip", pack=True, onnx=True)
    zipped, folder = open_tree(tmp_path / "packed.zip"), open_tree(packages / "folder")
    assert zipped.names == tuple(f"packed/{name}" for name in folder.names)
    alike = ("model.json", WEIGHTS, EXAMPLE, "README.md", "facts.json")
    assert all(zipped.read(f"packed/{name}") == folder.read(name) for name in alike)


def predictions(model, raw, out):
    assert run("predict", "--model", model, "-i", raw, "-o", out) == 0
    return {path.name: path.read_bytes() for path in out.glob("*.png")}


def test_a_package_predicts_as_its_run_folder_and_zip(packages, disc_run, tmp_path):
    raw, root, _ = disc_run
    want = predictions(root / "run", raw, tmp_path / "run")
    assert len(want) == 6
    assert predictions(packages / "folder", raw, tmp_path / "folder") == want
    assert predictions(packages / "packed.zip", raw, tmp_path / "zip") == want


@pytest.mark.parametrize("name", ["evil.py", "configs/more.json", "models/evil.pt", ".evil"])
def test_what_was_added_to_a_package_is_refused(packages, tmp_path, name):
    shutil.copytree(packages / "folder", tmp_path / "package")
    (tmp_path / "package" / name).write_text("x")
    zipped = changed(packages, tmp_path / "zipped.zip", lambda files: files.update({name: b"x"}))
    for path in (tmp_path / "package", zipped):
        with pytest.raises(DataError, match=f"PACKAGE_HASH: {name} was added"):
            verify(open_tree(path))


@pytest.mark.parametrize("name", ["sdunet/__init__.py", "a/b/C.PYC", "a/x.cp311.so", "a/.b/x"])
def test_what_python_could_run_and_what_is_hidden_is_refused_in_all_folders(
    packages, tmp_path, name
):
    shutil.copytree(packages / "folder", tmp_path / "package")
    added = tmp_path / "package" / name
    added.parent.mkdir(parents=True)
    added.write_text("x")
    with pytest.raises(DataError, match=f"PACKAGE_HASH: {name.removesuffix('/x')} was added"):
        verify(open_tree(tmp_path / "package"))


def test_a_name_that_leads_out_of_a_package_is_refused(packages, tmp_path):
    out = {"../../evil.txt": b"x", "own/a.txt": b"x"}
    zipped = changed(packages, tmp_path / "out.zip", lambda files: files.update(out))
    with pytest.raises(DataError, match=r"PACKAGE_HASH: \.\..* and 1 others were added"):
        verify(open_tree(zipped))


def test_a_package_may_hold_what_its_bundle_predicts_and_what_file_managers_leave(
    packages, tmp_path
):
    shutil.copytree(packages / "folder", tmp_path / "package")
    (tmp_path / "package/predictions").mkdir()
    (tmp_path / "package/predictions/a.png").write_bytes(b"x")
    for name in (".DS_Store", "predictions/._a.png", ".gitattributes", ".nfs01", "Thumbs.db"):
        (tmp_path / "package" / name).write_bytes(b"x")
    (tmp_path / "package/predictions/.sdunet").mkdir()
    assert load_model(tmp_path / "package").network


def test_rules_that_were_added_to_a_package_are_refused(packages, tmp_path):
    shutil.copytree(packages / "folder", tmp_path / "package")
    rules = {"rules": {"disc": "largest"}, "validation_dice": {}}
    (tmp_path / "package/postprocess.json").write_text(json.dumps(rules))
    with pytest.raises(DataError, match=r"PACKAGE_HASH: postprocess\.json was added"):
        verify(open_tree(tmp_path / "package"))


def test_the_card_says_in_hugging_faces_form_what_was_measured(packages, disc_run):
    _, root, _ = disc_run
    _, front, text = (packages / "folder/README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    dice = json.loads((root / "run/run.json").read_text())["validation_dice"]
    (result,) = front["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == pytest.approx(dice, abs=1e-4)
    assert front["pipeline_tag"] == "image-segmentation"
    assert "| 1 | disc | #ffd92f |" in text
    assert f"{dice:.4f}" in text


def test_the_program_runs_without_the_network_being_built(packages):
    program = torch.export.load(packages / "folder/program.pt2").module()
    for size in ((1, 1, 32, 32), (3, 1, 17, 50), (2, 1, 64, 21)):
        assert program(torch.zeros(size)).shape == (size[0], 2, *size[2:])


def run_alone(folder, *arguments):
    """Run the script of a package where neither PyTorch nor this project can be imported."""
    alone = (
        "import runpy, sys; "
        "sys.modules.update(dict.fromkeys(['torch', 'monai', 'sdunet', 'data_prep'])); "
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    command = [sys.executable, "-c", alone, folder / "predict_onnx.py", *arguments]
    return subprocess.run([*map(str, command)], check=False, capture_output=True, text=True)


def test_the_script_beside_the_onnx_file_predicts_without_torch_and_without_this(
    packages, disc_run, tmp_path
):
    raw, root, _ = disc_run
    wanted = predictions(root / "run", raw, tmp_path / "run")
    for number, path in enumerate(sorted((raw / "images").iterdir())[:2]):
        given, label = tmp_path / "image.npy", tmp_path / f"label_{number}.npy"
        np.save(given, np.asarray(Image.open(path))[None])
        assert not run_alone(packages / "folder", given, label).returncode
        expected = np.asarray(Image.open(io.BytesIO(wanted[path.name])))
        np.testing.assert_array_equal(np.load(label), expected)


def test_the_script_refuses_what_it_cannot_do_right(packages, tmp_path):
    folder = tmp_path / "package"
    shutil.copytree(packages / "folder", folder)
    image = np.zeros((1, 40, 40), np.float32)
    holes = image.copy()
    holes[0, 3, 3] = np.nan
    images = {"good": image, "nan": holes, "axes": image[0], "two": image.repeat(2, 0)}
    images["bool"] = image > 0
    for name, array in images.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.savez(tmp_path / "several.npz", image)
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    new = tmp_path / "new.npy"
    for given, label, told in (
        ("nan", new, "must hold numbers"),
        ("bool", new, "must hold numbers"),
        ("axes", new, "1 channels, 3 axes"),
        ("two", new, "1 channels, 3 axes"),
        ("text", new, "cannot be read as an array"),
        ("empty", new, "cannot be read as an array"),
        ("several", new, "holds several arrays"),
        ("good", tmp_path / "no" / "new.npy", "is no folder"),
        ("good", tmp_path / "good.npy", "must be a new name"),
    ):
        done = run_alone(folder, tmp_path / f"{given}.npy", label)
        assert done.returncode == 1
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert "Predict an array" in run_alone(folder).stderr
    assert not new.exists()
    (folder / "model.json").write_bytes((folder / "model.json").read_bytes() + b" ")
    assert "not as it was exported" in run_alone(folder, tmp_path / "good.npy", new).stderr


@pytest.mark.parametrize("seed", range(40))
def test_no_flipped_bit_passes(packages, tmp_path, seed):
    random = np.random.default_rng(seed)
    tree = open_tree(packages / "folder")
    name = str(random.choice([n for n in tree.names if n != LIST]))
    data = bytearray(tree.read(name))
    data[random.integers(len(data))] ^= 1 << random.integers(8)
    for other in tree.names:
        path = tmp_path / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if other == name else tree.read(other))
    with pytest.raises(DataError, match=f"PACKAGE_HASH: not as it was exported \\({name}\\)"):
        verify(open_tree(tmp_path))


def changed(packages, out, change):
    """A zip of the package with its files changed."""
    tree = open_tree(packages / "folder")
    files = {name: tree.read(name) for name in tree.names}
    change(files)
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out


def listed(content, **changes):
    content[LIST] = json.dumps(json.loads(content[LIST]) | changes).encode()


def around(files, *, folder="my model"):
    """Files as packed with the folder that holds them."""
    inside = {f"{folder}/{name}": files.pop(name) for name in [*files]}
    files.update(inside)


def test_a_package_packed_with_its_folder_is_the_package(packages, tmp_path):
    zipped = changed(packages, tmp_path / "a.zip", around)
    bare = changed(packages, tmp_path / "bare.zip", lambda files: None)  # as they were once
    unpack(bare, tmp_path / "bare")
    unpack(packages / "packed.zip", tmp_path / "packed")
    unpack(zipped, tmp_path / "around")
    for path in (tmp_path / "bare").iterdir():
        assert (tmp_path / "around" / path.name).read_bytes() == path.read_bytes()
        assert (tmp_path / "packed" / path.name).read_bytes() == path.read_bytes()
    evil = changed(packages, tmp_path / "b.zip", lambda f: (f.update({"x.py": b"x"}), around(f)))
    with pytest.raises(DataError, match=r"PACKAGE_HASH: x.py was added"):
        unpack(evil, tmp_path / "evil")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other/x.txt", r"PACKAGE_LIST: 'my model/.* a folder that is not alone: my model, other"),
        ("my model/../../evil.txt", r"PACKAGE_HASH: a path out of the package, '../evil.txt'"),
    ],
)
def test_what_lies_beside_a_package_in_its_zip_is_named(packages, tmp_path, name, message):
    path = changed(packages, tmp_path / "a.zip", lambda f: (around(f), f.update({name: b"x"})))
    with pytest.raises(DataError, match=message):
        unpack(path, tmp_path / "a")


def test_half_of_a_packed_package_is_called_damaged(packages, tmp_path):
    data = (packages / "packed.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="IO_ARCHIVE: it is cut or damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop(LIST), "PACKAGE_LIST: no MANIFEST.json in it"),
        (lambda f: listed(f, schema=2), "PACKAGE_LIST: .* schema 2, known is 1"),
        (lambda f: listed(f, files={}), "PACKAGE_LIST: .* model.json is not in it"),
        (lambda f: f.update({LIST: b"[" * 100_000}), "PACKAGE_LIST"),
        (lambda f: f.pop("program.pt2"), "PACKAGE_HASH: program.pt2 is missing"),
        (lambda f: f.update({WEIGHTS: b"\x80\x04cos\nsystem\n"}), "PACKAGE_HASH"),
    ],
)
def test_packages_that_are_none_are_refused_by_name(packages, disc_run, tmp_path, capsys, change,
                                                    message):  # fmt: skip
    raw, _, _ = disc_run
    package = changed(packages, tmp_path / "bad.zip", change)
    assert run("predict", "--model", package, "-i", raw, "-o", tmp_path / "p") == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("kept", [1, 3, 6, 9, 11])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_package_that_was_copied_in_part_is_none(packages, tmp_path, kept, backwards):
    tree = open_tree(packages / "folder")
    names = sorted(tree.names, reverse=backwards)
    assert kept < len(names)
    for name in {*names[:kept], "model.json", WEIGHTS}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(tree.read(name))
    with pytest.raises(DataError, match=r"PACKAGE_(LIST|HASH): "):
        load_model(tmp_path)


def test_a_package_among_the_runs_of_a_folder_is_verified_too(packages, disc_run, tmp_path, capsys):
    raw, _, _ = disc_run
    shutil.copytree(packages / "folder", tmp_path / "runs/one")
    (tmp_path / "runs/one/model.json").write_text("{}")
    for model in (tmp_path / "runs", tmp_path / "runs/one"):
        assert run("predict", "--model", model, "-i", raw, "-o", tmp_path / "p") == 1
        assert "PACKAGE_HASH" in capsys.readouterr().err


def test_a_package_beside_its_run_does_not_vote_again(packages, disc_run, tmp_path):
    _, root, _ = disc_run
    shutil.copytree(packages / "folder", root / "runs/package")
    assert find_models(root / "runs") == [root / "runs/package"]
    shutil.copytree(root / "run", root / "runs/fold_0")
    shutil.copytree(root / "run", root / "runs/.partial-x/package")
    assert find_models(root / "runs") == [root / "runs/fold_0"]


def test_a_folder_of_runs_is_no_run_without_a_list(trained_discs, tmp_path, capsys):
    for fold in "01":
        shutil.copytree(trained_discs / "run", tmp_path / "runs" / f"fold_{fold}")
    assert run("export", tmp_path / "runs", "-o", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "MODEL_MISSING" in told
    assert "name one of the runs in it: fold_0, fold_1" in told
    assert "RUN_UNLISTED" not in told


@pytest.mark.parametrize("pack", [False, True])
def test_what_another_export_made_meanwhile_is_not_replaced(
    trained_discs, tmp_path, monkeypatch, pack
):
    out = tmp_path / "out.zip"
    monkeypatch.setattr(package, "_check_afresh", lambda made: out.write_text("kept"))
    with pytest.raises(DataError, match=r"OUT_TAKEN: .*out\.zip is there"):
        export(trained_discs / "run", out, pack=pack)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("pack", [False, True])
def test_a_link_to_what_is_not_there_now_is_not_replaced(trained_discs, tmp_path, pack):
    out = tmp_path / "out.zip"
    out.symlink_to(tmp_path / "not mounted")
    with pytest.raises(DataError, match=r"OUT_TAKEN: .*out\.zip is there"):
        export(trained_discs / "run", out, pack=pack)
    assert out.is_symlink()


def test_a_zip_is_called_so(disc_run, tmp_path, capsys):
    _, root, _ = disc_run
    assert run("export", root / "run", "-o", tmp_path / "packed", "--zip") == 1
    assert "OUT_NAME" in capsys.readouterr().err


def test_names_that_lead_outside_write_nothing_there(packages, tmp_path):
    def change(files):
        files["../outside"] = b"x"

    package = changed(packages, tmp_path / "bad.zip", change)
    with pytest.raises(DataError, match=r"PACKAGE_HASH: a path out of the package, '\.\./outside'"):
        unpack(package, tmp_path / "inner/folder")
    assert not list(tmp_path.rglob("outside"))


def test_a_package_is_checked_against_what_the_network_gave(packages, tmp_path):
    tree = open_tree(packages / "folder")
    for name in tree.names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(tree.read(name))
    check_package(tmp_path)
    tensors, _ = read_tensors(tmp_path / EXAMPLE)
    write_weights(tmp_path / EXAMPLE, tensors | {"logits": tensors["logits"] + 0.01})
    record = json.loads((tmp_path / LIST).read_text())
    record["files"][EXAMPLE] = hashlib.sha256((tmp_path / EXAMPLE).read_bytes()).hexdigest()
    (tmp_path / LIST).write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"PACKAGE_CHECK: the network differs by 0\.01"):
        check_package(tmp_path)


def test_nothing_is_written_over_and_nothing_left_half_made(packages, disc_run, tmp_path, capsys):
    _, root, _ = disc_run
    assert run("export", root / "run", "-o", packages / "folder") == 1
    assert "OUT_TAKEN" in capsys.readouterr().err
    (root / "run" / WEIGHTS).write_bytes(b"x")
    assert run("export", root / "run", "-o", tmp_path / "new") == 1
    assert "MODEL_WEIGHTS" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["discs"]
