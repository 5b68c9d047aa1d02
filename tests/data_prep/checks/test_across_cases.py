"""What only shows when cases are compared, and what stands against a set as a whole."""

from dataclasses import replace

import numpy as np
import pytest
from bad_sets import SIZE, Volumes, blob, gz, nifti, noise

from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.prepared.prepare import planned, prepare


def test_no_foreground_anywhere_is_refused(tmp_path):
    planted = Volumes(tmp_path / "set")
    empty = gz(nifti(np.zeros(SIZE, np.uint8)))
    planted.label(empty)
    for i in range(3):
        planted.write(f"labels/good_{i}.nii.gz", empty)
    checked = check(tmp_path / "set", DataConfig())
    first = checked.findings[0]
    assert (first.level, first.code, first.case) == ("error", "LBL_ALL_EMPTY", None)
    with pytest.raises(DataError, match="LBL_ALL_EMPTY"):
        prepare(tmp_path / "set", tmp_path / "out", DataConfig())


def test_class_that_nobody_has_is_refused_unless_accepted(tmp_path):
    Volumes(tmp_path / "set")
    labels = {"background": 0, "organ": 1, "lesion": 2}
    checked = check(tmp_path / "set", DataConfig(labels=labels))
    assert [str(error) for error in checked.whole] == [
        "LBL_ABSENT: no case holds class 2 lesion; remove it from the classes, or accept it: "
        "dataset.accept: [LBL_ABSENT]"
    ]
    with pytest.raises(DataError, match="LBL_ABSENT"):
        convert(tmp_path / "set", tmp_path / "out", DataConfig(labels=labels))
    checked = check(tmp_path / "set", DataConfig(labels=labels, accept=("LBL_ABSENT",)))
    assert not checked.whole


def test_outliers_are_told(tmp_path):
    planted = Volumes(tmp_path / "set")
    for i in range(3, 6):
        planted.write(f"images/good_{i}.nii.gz", gz(nifti(noise(i))))
        planted.write(f"labels/good_{i}.nii.gz", gz(nifti(blob())))
    planted.image(gz(nifti(noise().astype(np.int32) * 300)))
    tiny = np.zeros(SIZE, np.uint8)
    tiny[5, 5, 5] = 1
    planted.label(gz(nifti(tiny)))
    found = {f.code for f in check(tmp_path / "set", DataConfig()).findings if f.case == "bad"}
    assert {"INT_OUTLIER", "LBL_OUTLIER"} <= found


def test_cases_left_out_are_named_where_too_few_are_left(tmp_path):
    planted = Volumes(tmp_path / "set")
    for name in ("bad", "good_0", "good_1"):
        planted.write(f"labels/{name}.nii.gz", gz(nifti(blob(), descrip=b"", scl_slope=2.0)))
    with pytest.raises(DataError, match=r"SPLIT_FEW: 1 groups .* 3 cases were left out, the first"):
        prepare(tmp_path / "set", tmp_path / "out", DataConfig())
    assert not (tmp_path / "out").exists()


def test_a_window_beyond_all_images_is_refused_also_in_a_plan(tmp_path):
    Volumes(tmp_path / "set")
    beyond = DataConfig(intensity="window", window=(1e6, 2e6))
    assert "INT_WINDOW" in [error.code for error in check(tmp_path / "set", beyond).whole]
    with pytest.raises(DataError, match="INT_WINDOW"):
        prepare(tmp_path / "set", tmp_path / "out", beyond)
    within = planned(check(tmp_path / "set", DataConfig()), DataConfig())
    plan = replace(within, intensity="window", window=(1e6, 2e6), levels=None)
    with pytest.raises(DataError, match="INT_WINDOW"):
        prepare(tmp_path / "set", tmp_path / "out", DataConfig(), plan=plan)
    assert not (tmp_path / "out").exists()
