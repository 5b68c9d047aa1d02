"""A folder of predictions belongs to the models that claimed it first."""

import json

import pytest

from data_prep.core.errors import DataError
from data_prep.files.output_folder import own_folder
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.segmentation.inference.prediction_record import Manifest


def test_parts_of_other_models_keep_out_of_a_folder(disc_run, tmp_path):
    raw, root, _ = disc_run
    refused = []
    other = PredictOptions(mirror=True, shard=(1, 2))

    def meanwhile(items, title):
        with pytest.raises(DataError, match=r"OUT_OTHER: .* made with other --mirroring") as error:
            predict(root / "run", raw, tmp_path / "out", options=other)
        refused.append(error)
        return items

    own = PredictOptions(shard=(0, 2))
    done, _ = predict(root / "run", raw, tmp_path / "out", None, own, meanwhile)
    assert len(done) == 3
    assert refused
    recorded = json.loads((tmp_path / "out/predictions.json").read_text())
    assert not recorded["mirror"]
    assert set(recorded["cases"]) == set(done)


def test_of_two_that_begin_at_once_one_has_the_folder(tmp_path):
    one, other = (Manifest(tmp_path, {"models": [name]}) for name in "ab")
    assert one.before() == other.before() == {}
    refused = pytest.raises(DataError, match=r"OUT_OTHER: .* made with other weights")
    with own_folder(tmp_path, "predict", part=(0, 2)), one, refused, other:
        raise AssertionError
    assert json.loads((tmp_path / "predictions.json").read_text())["models"] == ["a"]
