"""Commands list the folders of raw data and of predictions once, however often they are named."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.files.file_tree import open_again
from sdunet.cli.main import main


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("listed")
    label, random = np.zeros((16, 12), np.uint8), np.random.default_rng(0)
    label[3:9, 4:9] = 1
    for folder in ("raw/images", "raw/labels", "first", "second"):
        (root / folder).mkdir(parents=True)
    for case in range(6):
        image = label * 100 + random.integers(0, 100, label.shape, np.uint8)
        Image.fromarray(image).save(root / f"raw/images/case_{case}.png")
        Image.fromarray(np.roll(label, case, 1)).save(root / f"raw/labels/case_{case}.png")
        for shift, folder in enumerate(("first", "second")):
            moved = np.roll(label, case + shift + 1, 1)
            Image.fromarray(moved).save(root / folder / f"case_{case}.png")
    for folder in ("first", "second"):
        pred = ["--pred", str(root / folder), "--ref", str(root / "raw")]
        assert main(["evaluate", *pred, "-o", str(root / f"scores_{folder}")]) == 0
    return root


@pytest.fixture
def listed(monkeypatch, root):
    """How often each folder was listed, by its name below the root."""
    counts, scandir = Counter(), os.scandir

    def counting(path="."):
        if isinstance(path, str | Path) and Path(path).is_relative_to(root):
            counts[Path(path).relative_to(root).as_posix()] += 1
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    open_again.cache_clear()
    return counts


COMMANDS = {
    "evaluate": ("--ref raw --pred first", ["first"]),
    "overlay": ("--images raw --ref raw --pred first", ["first"]),
    "compare": (
        "scores_first scores_second --images raw --ref raw --pred first second",
        ["first", "second"],
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_scoring_lists_each_folder_once(root, listed, tmp_path, command):
    words, folders = COMMANDS[command]
    here = [str(root / word) if (root / word).exists() else word for word in words.split()]
    assert main([command, *here, "-o", str(tmp_path / "out")]) == 0
    expected = ["raw", "raw/images", "raw/labels", *folders]
    assert {name: listed[name] for name in expected} == dict.fromkeys(expected, 1)


@pytest.mark.parametrize("command", ["plan", "convert --to monai", "prepare"])
def test_preparing_lists_once_and_once_more_where_cases_are_read(root, listed, tmp_path, command):
    out = ["-o", str(tmp_path / "out")]
    assert main([*command.split(), str(root / "raw"), *out]) == 0
    expected = ["raw", "raw/images", "raw/labels"]
    assert {name: listed[name] for name in expected} == dict.fromkeys(expected, 2)
