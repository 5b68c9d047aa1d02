"""A raw dataset given where a prepared one is asked for is told as what it is."""

import json

import numpy as np
import pytest

from data_prep.core.errors import DataError
from data_prep.prepared.dataset import load_dataset
from sdunet.cli.main import main


def pairs(root, write_picture):
    for folder in ("images", "masks"):
        write_picture(root / folder / "a.png", np.eye(8, dtype=np.uint8))
    return root


def decathlon(root, write_picture):
    pairs(root, write_picture)
    listed = [{"image": "images/a.png", "label": "masks/a.png"}]
    described = {"channel_names": {"0": "grey"}, "labels": {"background": 0, "b": 1}}
    described |= {"numTraining": 1, "training": listed}
    (root / "dataset.json").write_text(json.dumps(described))
    return root


@pytest.mark.parametrize("make", [pairs, decathlon])
def test_raw_data_is_told_with_what_to_run(tmp_path, write_picture, capsys, make):
    raw = make(tmp_path / "raw", write_picture)
    assert main(["train", "--data", str(raw), "-o", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert f"error: SET_RAW: {raw} is a raw dataset of 1 cases, not a prepared one" in said
    assert "run sdunet run DATA -o OUT, which does it all, or sdunet prepare DATA" in said
    assert not (tmp_path / "run").exists()


def test_what_is_neither_stays_missing_or_damaged(tmp_path):
    with pytest.raises(DataError, match="SET_MISSING"):
        load_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text('{"schema": 3, "training": []}')
    with pytest.raises(DataError, match="SET_JSON"):
        load_dataset(tmp_path)
