"""The demo on its real image, with hardly any training."""

import re
from dataclasses import replace

import numpy as np
import pytest
from tifffile import imread

from data_prep.core.errors import DataError
from sdunet import demo as road
from sdunet.cli.main import main


def test_image_is_the_annotated_one():
    image, nuclei = road.nuclei_image()
    assert image.shape == nuclei.shape == (512, 512)
    assert len(np.unique(nuclei)) == 126  # 125 nuclei and the background


@pytest.mark.long
def test_demo_runs_and_uses_the_trained_model_again(tmp_path, monkeypatch, capsys):
    small = replace(road.TASK.network, features=(4, 6, 8), num_features=2)
    few = replace(road.TASK.training, epochs=1, patches_per_case=1)
    monkeypatch.setattr(road, "TASK", replace(road.TASK, network=small, training=few))
    out = tmp_path / "demo"
    status = main(["demo", "--out", str(out)])
    first = capsys.readouterr()
    ours, gain = map(float, re.search(r"SDU-Net +([\d.]+) +([-+][\d.]+)", first.out).groups())
    assert gain == pytest.approx(ours - 0.8721, abs=2e-4)
    assert status == (1 if gain <= 0 else 0)
    assert ("did not beat the threshold" in first.err) == (gain <= 0)
    assert "Otsu's threshold            0.8721" in first.out
    assert f"errors, to look through: {out / 'overlays/review.html'}" in first.out
    weights = (out / "run/best.safetensors").stat().st_mtime_ns
    assert main(["demo", "--out", str(out)]) == status
    again = capsys.readouterr()
    assert again.out == first.out
    assert "using the model trained before" in again.err
    assert (out / "run/best.safetensors").stat().st_mtime_ns == weights

    # Other settings train again in the same folder.
    monkeypatch.setattr(road, "TASK", replace(road.TASK, training=replace(few, seed=1)))
    main(["demo", "--out", str(out)])
    assert (out / "run/best.safetensors").stat().st_mtime_ns != weights


def test_training_tiles_and_held_out_part_share_no_pixel(tmp_path):
    image, nuclei = road.nuclei_image()
    columns = np.broadcast_to(np.arange(512, dtype=np.uint16), (512, 512))
    road._write_pairs(columns, nuclei, tmp_path)
    seen, held_out = (
        {int(c) for p in (tmp_path / part / "images").iterdir() for c in np.unique(imread(p))}
        for part in ("train", "test")
    )
    assert max(seen) + 32 < min(held_out)
    sizes = [imread(p).size for p in (tmp_path / "test/images").iterdir()]
    assert len(sizes) == 6
    assert sum(sizes) == 512 * len(held_out)
    assert image.dtype == np.uint16


def test_demo_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(road, "_PACKAGE", "not-installed-at-all")
    with pytest.raises(DataError, match=r'DEMO_IMAGE.*pip install "sdunet\[demo\]"'):
        road.nuclei_image()
