"""Channels of a dataset are those of the model by their names, or it is said that they are not."""

import json

import numpy as np
import pytest

from data_prep.checks.settings import check_settings
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan_checks import order_of_channels
from data_prep.files.file_tree import open_tree
from data_prep.formats.registry import read_scan
from data_prep.layouts.cases import Layout
from sdunet.cli.main import main


@pytest.mark.parametrize(
    ("declared", "wanted", "order", "code"),
    [
        (None, ("T1", "T2"), [0, 1], None),
        (("T1", "T2"), ("T1", "T2"), [0, 1], None),
        (("t1 ", "T2"), ("T1", "t2"), [0, 1], None),
        (("T2", "T1"), ("T1", "T2"), [1, 0], "CH_ORDER"),
        (("c", "a", "b"), ("a", "b", "c"), [1, 2, 0], "CH_ORDER"),
        (("T1", "T2"), ("image",), [0], None),  # trained where nothing was named
        (("zscore", "zscore"), ("zscore", "zscore"), [0, 1], None),
    ],
)
def test_channels_are_taken_by_their_names(declared, wanted, order, code):
    findings = Findings()
    assert order_of_channels(declared, wanted, findings) == order
    assert [finding.code for finding in findings.found] == [code] * bool(code)


@pytest.mark.parametrize(
    ("declared", "wanted"), [(("MR",), ("CT",)), (("a", "b"), ("a", "c")), (("a",), ("a", "b"))]
)
def test_other_channels_are_refused_unless_accepted(declared, wanted):
    with pytest.raises(DataError, match="CH_OTHER"):
        order_of_channels(declared, wanted, Findings())
    accepted = order_of_channels(declared, wanted, Findings({"CH_OTHER"}))
    assert accepted == [*range(len(wanted))]


def test_names_in_another_order_than_the_dataset_gives_are_refused():
    layout = Layout("nnunet", (), channels=("T1", "T2"))
    check_settings(DataConfig(channels=("first", "second")), layout)  # new names
    with pytest.raises(DataError, match=r"SET_CONFLICT: dataset\.channels are T2, T1"):
        check_settings(DataConfig(channels=("T2", "T1")), layout)


def two_channels(root, names, write_nifti, order=(0, 1)):
    """Balls in two channels of other contrast, in nnU-Net's layout."""
    random = np.random.default_rng(0)
    for case in range(4):
        at = np.indices((16, 16, 16)) - 8 + case
        label = (np.linalg.norm(at, axis=0) < 5).astype(np.uint8)
        images = [label * 90 + random.normal(0, 9, label.shape) for _ in range(2)]
        images[1] = 400 - 3 * images[1]
        for place, channel in enumerate(order):
            name = f"imagesTr/c{case}_{place:04}.nii.gz"
            write_nifti(root / name, images[channel].astype(np.float32))
        write_nifti(root / f"labelsTr/c{case}.nii.gz", label)
    described = {"channel_names": dict(enumerate(names)), "labels": {"background": 0, "ball": 1}}
    (root / "dataset.json").write_text(json.dumps(described))
    return root


@pytest.mark.long
def test_a_dataset_in_another_order_of_channels_is_predicted_alike(tmp_path, write_nifti, capsys):
    right = two_channels(tmp_path / "right", ("T1", "T2"), write_nifti)
    turned = two_channels(tmp_path / "turned", ("T2", "T1"), write_nifti, (1, 0))
    other = two_channels(tmp_path / "other", ("T1", "FLAIR"), write_nifti)
    (tmp_path / "task.yaml").write_text(
        "dataset: {patch_size: [16, 16, 16], folds: 2}\n"
        "network: {features: [4, 6], num_features: 3}\n"
        "training: {epochs: 1, batch_size: 2, patches_per_case: 1, device: cpu}\n"
    )
    config = ["--config", str(tmp_path / "task.yaml")]
    assert main(["prepare", str(right), "-o", str(tmp_path / "set"), *config]) == 0
    command = ["train", *config, "--data", str(tmp_path / "set"), "-o", str(tmp_path / "run")]
    assert main(command) == 0

    def predict(images, *more):
        command = ["predict", "--model", str(tmp_path / "run"), "-i", str(images), *more]
        return main([*command, "-o", str(tmp_path / f"of_{images.name}")])

    assert [predict(right), predict(turned)] == [0, 0]
    assert "CH_ORDER" in capsys.readouterr().err
    for case in range(4):
        found = [
            read_scan(open_tree(tmp_path / folder), f"c{case}.nii.gz").array
            for folder in ("of_right", "of_turned")
        ]
        assert np.array_equal(*found)
    assert predict(other) == 1
    assert "CH_OTHER" in capsys.readouterr().err
    assert not (tmp_path / "of_other").exists()
    assert predict(other, "--accept", "CH_OTHER") == 0
