"""Around a prediction: whether the scan is like those of training, and what is removed."""

from dataclasses import replace

import numpy as np
import pytest
from by_hand import rewrite
from PIL import Image

from data_prep.core.config import Plan, Seen
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.core.values.regions import targets_of
from sdunet.cli.main import main
from sdunet.segmentation.inference.domain_check import check_like_training
from sdunet.segmentation.inference.postprocessing import (
    LARGEST,
    Pieces,
    choose_rule,
    compare_pieces,
    kept_pieces,
    read_rules,
    remove_pieces,
)

PLAN3 = Plan(
    3, ("a",), {"background": 0, "b": 1, "c": 2}, {}, "zscore", (1.0, 1.2, 1.5), (12, 10, 8)
)


def run(*arguments):
    return main([str(a) for a in arguments])


SEEN = Seen(9, (-1024.0,), (3071.0,), ((1000.0, 4000.0),), ((0.5, 1.0), (0.5, 1.0), (1.0, 5.0)))
CT = replace(PLAN3, channels=("CT",), intensity="ct", seen=SEEN)


def values(low, high):
    return np.linspace(low, high, 1000).reshape(1, 10, 10, 10)


@pytest.mark.parametrize(
    ("low", "high", "refused"),
    [
        (-1000, 2000, False),
        (-1000, 60, False),
        (0, 1, True),
        (-1024, 4095, False),
        (5000, 9000, True),
    ],
)
def test_values_that_cannot_be_hounsfield_units_are_refused(low, high, refused):
    scan = Scan(values(low, high), np.eye(4))
    if refused:
        with pytest.raises(DataError, match=r"PRED_RANGE: channel CT from .* in Hounsfield units"):
            check_like_training(scan, CT, Findings())
        accepted = Findings(("PRED_RANGE",))
        check_like_training(scan, CT, accepted)
        assert [f.level for f in accepted.found] == ["note"]
    else:
        check_like_training(scan, CT, findings := Findings())
        assert not findings.found


@pytest.mark.parametrize(
    ("low", "high", "code"),
    [
        (0, 4095, "CT_NOT_HU"),
        (24, 3000, "CT_NOT_HU"),
        (-2024, -767, "CT_NOT_HU"),
        (-10240, 30000, "PRED_RANGE"),
    ],
)
def test_a_ct_of_other_numbers_is_warned_of(low, high, code):
    check_like_training(Scan(values(low, high), np.eye(4)), CT, f := Findings())
    assert [(one.level, one.code) for one in f.found if one.level != "note"] == [("warning", code)]


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (-2024, -767), (-4096, 8000)])
def test_a_ct_is_held_to_hounsfield_units_whatever_was_seen(low, high):
    plan = replace(CT, seen=None)
    check_like_training(Scan(values(low, high), np.eye(4)), plan, f := Findings())
    assert "CT_NOT_HU" in [one.code for one in f.found]
    check_like_training(Scan(values(-1000, 1000), np.eye(4)), plan, f := Findings())
    assert not f.found


def test_a_single_slice_for_a_network_of_volumes_is_told():
    scan = Scan(values(-1000, 1000)[..., :1], np.eye(4))
    check_like_training(scan, replace(CT, seen=None), f := Findings())
    assert [one.code for one in f.found] == ["PRED_SLICE"]


def test_a_ct_without_air_is_like_training_without_air():
    plan = replace(CT, seen=replace(SEEN, low=(-200.0,), span=((100.0, 4000.0),)))
    check_like_training(Scan(values(-150, 1000), np.eye(4)), plan, f := Findings())
    assert not f.found


@pytest.mark.parametrize(("low", "high"), [(4000, 6000), (-5000, -2000)])
def test_values_that_training_had_none_of_are_warned_of(low, high):
    plan = replace(CT, channels=("MR",), intensity="zscore")
    check_like_training(Scan(values(low, high), np.eye(4)), plan, f := Findings())
    assert [(one.level, one.code) for one in f.found] == [("warning", "PRED_RANGE")]


def test_other_contrast_and_spacing_are_warned_of():
    plan = replace(CT, channels=("MR",), intensity="zscore")
    check_like_training(Scan(values(0, 1), np.diag([9.0, 0.6, 0.6, 1])), plan, f := Findings())
    assert [(one.level, one.code) for one in f.found] == [("warning", "PRED_RANGE")]
    scan = Scan(values(0, 2000), np.diag([0.6, 0.6, 30, 1]))
    check_like_training(scan, plan, f := Findings())
    assert [one.code for one in f.found] == ["PRED_SPACING"]
    check_like_training(scan, replace(plan, seen=None), f := Findings())
    assert not f.found


def label_of(*blocks):
    label = np.zeros((30, 20), np.uint8)
    for where, number in blocks:
        label[where] = number
    return label


BIG, SMALL, DOT = np.s_[2:12, 2:12], np.s_[15:18, 15:18], np.s_[25:26, 2:3]


def test_pieces_are_removed_by_size_or_but_for_the_largest():
    label = label_of((BIG, 1), (SMALL, 1), (DOT, 1), (np.s_[20:22, 5:9], 2))
    kept = label.copy()
    assert remove_pieces(kept, {"a": 5.0}, targets_of({"a": 1, "b": 2}, ()), 1.0) == 1
    assert (kept != label).sum() == 1
    assert remove_pieces(kept, {"a": 18.5}, targets_of({"a": 1, "b": 2}, ()), 2.0) == 1
    assert set(np.unique(kept)) == {0, 1, 2}
    kept = label.copy()
    assert remove_pieces(kept, {"a": LARGEST}, targets_of({"a": 1, "b": 2}, ()), 1.0) == 2
    assert np.array_equal(kept == 1, label_of((BIG, 1)) == 1)
    empty = np.zeros((4, 4), np.uint8)
    assert remove_pieces(empty, {"a": LARGEST}, targets_of({"a": 1}, ()), 1.0) == 0


def test_dice_of_kept_pieces_is_that_of_the_label_left():
    random = np.random.default_rng(0)
    for _ in range(20):
        label, reference = (random.random((2, 20, 20)) > 0.7).astype(np.uint8)
        pieces = compare_pieces(label, reference, (1,))
        for rule in (LARGEST, 0.0, 3.0, 9.0):
            left = label.copy()
            remove_pieces(left, {"a": rule}, targets_of({"a": 1}, ()), 1.5)
            both = 2 * (left & reference).sum() / (left.sum() + reference.sum())
            assert pieces.dice(kept_pieces(pieces.sizes, rule, 1.5)) == pytest.approx(both)


def test_a_rule_is_chosen_where_it_helps_and_only_there():
    dusty = [Pieces(np.array([100, 3]), np.array([90, 0]), 100) for _ in range(5)]
    rule, before, after = choose_rule(dusty, 1.0)
    assert rule == LARGEST
    assert after == pytest.approx(180 / 200)
    assert before == pytest.approx(180 / 203)
    both = [Pieces(np.array([50, 40, 1]), np.array([45, 36, 0]), 90) for _ in range(5)]
    rule, _, after = choose_rule(both, 2.0)
    assert rule == pytest.approx(0.03 * 180)
    assert after == pytest.approx(162 / 180)
    fine = [Pieces(np.array([50, 40]), np.array([45, 36]), 90) for _ in range(5)]
    assert choose_rule(fine, 1.0)[0] is None
    assert choose_rule([Pieces(np.array([3]), np.array([0]), 0)], 1.0)[0] is None


def test_rules_of_other_weights_are_not_followed(disc_run, tmp_path, capsys):
    raw, root, task = disc_run
    assert run("postprocess", root / "run", "--data", root / "set") == 0
    command = ["train", "--config", task, "--data", root / "set", "--out", root / "run"]
    assert run(*command, "--resume", "--training.epochs=9") == 0
    predict = ["predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "out"]
    for refused in (predict, ["export", root / "run", "-o", tmp_path / "package"]):
        capsys.readouterr()
        assert run(*refused) == 1
        assert "MODEL_POSTPROCESS: it cannot be used: of other weights" in capsys.readouterr().err
    assert not (tmp_path / "package").exists()
    assert run("postprocess", root / "run", "--data", root / "set") == 0
    assert run(*predict) == 0


def test_rules_are_found_on_the_set_of_the_training_and_not_over_files_of_users(disc_run, capsys):
    raw, root, task = disc_run
    for file in (raw / "images").iterdir():
        image = np.asarray(Image.open(file))
        Image.fromarray(255 - image).save(file)
    assert run("prepare", raw, root / "other", "--config", task) == 0
    assert run("postprocess", root / "run", "--data", root / "other") == 1
    assert "MODEL_DATA" in capsys.readouterr().err
    (root / "run/postprocess.json").write_bytes(b"mine")
    assert run("postprocess", root / "run", "--data", root / "set") == 1
    said = capsys.readouterr().err
    assert "OUT_TAKEN: postprocess.json" in said
    assert "%" not in said  # nothing was predicted
    assert (root / "run/postprocess.json").read_bytes() == b"mine"


def test_rules_found_on_validation_cases_are_followed(disc_run, tmp_path, capsys):
    raw, root, _ = disc_run
    assert run("postprocess", root / "run", "--data", root / "set") == 0
    assert "disc" in capsys.readouterr().out
    rewrite(root / "run/postprocess.json", lambda record: record.update(rules={"disc": 1e9}))
    command = ["predict", "--model", root / "run", "-i", raw]
    assert run(*command, "-o", tmp_path / "none") == 0
    assert run(*command, "-o", tmp_path / "all", "--no-postprocess") == 0
    labels = {n: np.asarray(Image.open(tmp_path / n / "disc_1.png")) for n in ("none", "all")}
    assert not labels["none"].any()
    assert labels["all"].any()
    for wrong in ('{"rules": {"cat": 1}}', '{"rules": {"disc": -1}}', "[]", "{"):
        (root / "run/postprocess.json").write_text(wrong)
        with pytest.raises(DataError, match="MODEL_POSTPROCESS"):
            read_rules(root / "run", {"background": 0, "disc": 1})
