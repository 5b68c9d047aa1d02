"""Results of different models and images are never taken for those of one."""

import shutil

import pytest

from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.files.output_folder import Output
from sdunet.cli.main import main
from sdunet.cli.vae import samples
from sdunet.runtime.safetensors_io import read_weights, write_weights
from sdunet.vae.model import WEIGHTS


def test_table_never_mixes_images_of_one_name(run, packed, tmp_path, capsys):
    assert main(["vae", "evaluate", "--model", str(run), "--data", packed]) == 0
    record = read_hashed(run / "evaluation.json")
    older = {name: value for name, value in record.items() if name != "images_sha256"}
    for name, told in (("other", record | {"images_sha256": "0" * 64}), ("a|<b>", older)):
        (tmp_path / name).mkdir()
        write_hashed(tmp_path / name / "evaluation.json", told)
    capsys.readouterr()
    assert main(["vae", "table", str(run), str(tmp_path / "other")]) == 1
    assert "other images, though both are of made0" in capsys.readouterr().err
    assert main(["vae", "table", str(run), str(tmp_path / "a|<b>")]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "&lt;b&gt;" in line]
    assert [row.replace(r"\|", "").count("|") for row in rows] == [7]


@pytest.fixture
def other(run, tmp_path):
    """The same model of other weights."""
    folder = tmp_path / "other"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(".sdunet"))
    weights = read_weights(run / WEIGHTS)
    write_weights(folder / WEIGHTS, {name: tensor * 1.01 for name, tensor in weights.items()})
    return folder


@pytest.mark.parametrize("at", ["remove", "write_hashed", "write_bytes"])
def test_a_stop_leaves_no_picture_under_the_record_of_another_model(
    run, other, tmp_path, monkeypatch, at
):
    def draw(model, out, *temperatures):
        given = ["--count=1", "--temperature", *temperatures]
        return main(["vae", "sample", "--model", str(model), "-o", str(out), *given])

    def stop(*_):
        raise KeyboardInterrupt

    out, own = tmp_path / "out", tmp_path / "own"
    assert draw(run, own, "1", "0.5", "0.7") == draw(run, out, "1", "0.5") == 0
    with monkeypatch.context() as patch:
        patch.setattr(*((Output, at) if at == "remove" else (samples, at)), stop)
        assert draw(other, out, "0.7") == 130
    assert draw(run, out, "1") == 0
    left = {path.name: path.read_bytes() for path in out.glob("*.png")}
    assert "samples_1.png" in left
    assert all(content == (own / name).read_bytes() for name, content in left.items())
