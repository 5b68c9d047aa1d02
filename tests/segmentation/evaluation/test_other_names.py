"""References and predictions whose structures others call by their class are named."""

import numpy as np
import pytest
from volume_files import NRRD

from data_prep.core.config import DataConfig
from sdunet.segmentation.evaluation.evaluate import evaluate


def segment(name, columns):
    """A file of one segment, called so, of value 1."""
    array = np.zeros((4, 5, 6), np.int16)
    array[1:3, 1:4, 1 : 2 + columns] = 1
    keys = {"Name": name, "LabelValue": 1, "Layer": 0}
    told = "".join(f"Segment0_{key}:={value}\n" for key, value in keys.items())
    return NRRD.replace(b"key:=value\n", told.encode()) + array.tobytes(order="F")


@pytest.mark.parametrize(
    ("references", "predictions", "wrong"),
    [
        (("GTV", "gtv", "Segment_1"), ("GTV", "GTV", "GTV"), []),
        (("Heart", "GTV", "GTV"), ("GTV", "GTV", "GTV"), ["0.seg"]),
        (("GTV", "GTV", "GTV"), ("GTV", "GTV", "Heart"), ["2.seg (prediction)"]),
    ],
)
def test_a_name_that_the_others_contradict_is_an_error(tmp_path, references, predictions, wrong):
    for folder, names in (("references", references), ("predictions", predictions)):
        (tmp_path / folder).mkdir()
        for n, name in enumerate(names):
            columns = n + (folder == "predictions")
            (tmp_path / folder / f"{n}.seg.nrrd").write_bytes(segment(name, columns))
    config = DataConfig(labels={"background": 0, "GTV": 1})
    folders = tmp_path / "predictions", tmp_path / "references"
    _, problems = evaluate(*folders, tmp_path / "out", config=config)
    assert [(e.code, e.case) for e in problems] == [("LBL_SEGMENT", case) for case in wrong]
