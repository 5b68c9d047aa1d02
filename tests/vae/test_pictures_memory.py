"""Pictures of what a VAE learned: memory is told before it ends, and drawing in parts is exact."""

import io

import pytest
import torch
from PIL import Image
from vae_runs import config

from data_prep.core.errors import DataError
from sdunet.cli.main import main
from sdunet.vae.config import ImagesConfig
from sdunet.vae.evaluation import samples, sheet
from sdunet.vae.evaluation.sheet import check_sheet, to_png
from sdunet.vae.model import build_vae

COMMANDS = [
    ("sample", ["--count=100000"], "lower --count"),
    ("interpolate", ["--pairs=1", "--steps=100000"], "lower --pairs or --steps"),
    ("reconstruct", ["--count=100000"], "lower --count"),
    ("neighbours", ["--count=100000"], "lower --count or --neighbours"),
]


def drawn(run, packed, out, command, given):
    data = [] if command == "sample" else [f"--data={packed}"]
    return main(["vae", command, f"--model={run}", f"--out={out}", "--device=cpu", *data, *given])


@pytest.mark.parametrize(("command", "given", "fix"), COMMANDS)
def test_more_pictures_than_memory_holds_are_refused_before_any_is_drawn(
    run, packed, tmp_path, capsys, monkeypatch, command, given, fix
):
    monkeypatch.setattr("sdunet.vae.evaluation.sheet.memory_each", lambda _: 1.0)
    assert drawn(run, packed, tmp_path / "out", command, given) == 1
    said = capsys.readouterr().err
    assert "RUN_MEMORY" in said
    assert "there are 1 GB" in said
    assert fix in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("command", "given", "fix"), COMMANDS)
def test_pictures_that_nobody_could_open_are_refused_before_any_is_drawn(
    run, packed, tmp_path, capsys, monkeypatch, command, given, fix
):
    monkeypatch.setattr("sdunet.vae.evaluation.sheet.memory_each", lambda _: None)
    assert drawn(run, packed, tmp_path / "out", command, given) == 1
    said = capsys.readouterr().err
    assert "OPTION" in said
    assert "pixels, the limit is" in said
    assert fix in said
    assert not (tmp_path / "out").exists()


def test_a_sheet_is_measured_as_it_is_drawn(monkeypatch):
    images = ImagesConfig(channels=1, size=(64, 64))
    one = Image.open(io.BytesIO(to_png(torch.zeros(6, 1, 64, 64, dtype=torch.uint8), 2, 3)))
    monkeypatch.setattr(sheet, "_MOST", one.width * one.height)
    check_sheet(images, 6, 3, fix="")
    with pytest.raises(DataError, match="OPTION"):
        check_sheet(images, 7, 3, fix="")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] data. DefaultCPUAllocator: no memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("command", ["sample", "traverse", "evaluate", "disentangle", "info"])
def test_memory_that_ends_is_named_in_all_commands(capsys, monkeypatch, command, error):
    def full(_):
        raise error

    given = [] if command == "info" else ["--model=run"]
    given += ["--data=set"] if command in ("traverse", "evaluate", "disentangle") else []
    given += ["--out=out"] if command in ("sample", "traverse") else []
    found = f"sdunet.cli.vae.{'samples' if '--out=out' in given else 'commands'}"
    monkeypatch.setattr(f"{found}.{'config_of' if command == 'info' else 'vae_of'}", full)
    assert main(["vae", command, *given]) == 1
    assert "RUN_MEMORY" in capsys.readouterr().err


def test_images_drawn_in_parts_are_those_of_their_latents(monkeypatch):
    network = build_vae(config()).eval()
    images = torch.randint(0, 16, (5, 1, 6, 8), dtype=torch.uint8)
    with torch.inference_mode():
        latents = [latent.z for latent in network(images).latents]
    at_once = samples.sample(network, 5, latents=latents)
    monkeypatch.setattr(samples, "_BATCH", 2)
    assert torch.equal(samples.sample(network, 5, latents=latents), at_once)
    assert samples.sample(network, 5).shape == samples.reconstruct(network, images).shape
