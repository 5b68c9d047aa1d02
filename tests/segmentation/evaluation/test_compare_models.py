"""Models compared over the same cases: tests, counts, and what is refused."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from by_hand import rewrite
from PIL import Image
from scipy import stats

from data_prep.core.errors import DataError
from data_prep.files.hashed_json import write_hashed
from sdunet.cli.main import main
from sdunet.segmentation.evaluation.compare_models import compare, read_scores
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.metrics.case_scores import ScoreOptions
from sdunet.segmentation.review.compare_page import side_by_side


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def made(make_discs, tmp_path_factory):
    """A raw set, and predictions and scores of two models, the second nearer by one row."""
    root = tmp_path_factory.mktemp("models")
    raw = make_discs(root / "raw", count=8)
    for name, shift in (("a", 4), ("b", 3)):
        for i in range(8):
            mask = np.asarray(Image.open(raw / f"masks/disc_{i}.png"))
            path = root / name / f"predictions/disc_{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.roll(mask, shift + i % 3, 0)).save(path)
        evaluate(path.parent, raw, root / name / "scores")
    return root


@pytest.fixture
def scored(made, tmp_path):
    """A copy of them to spoil: the raw set, the folders of both models."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "raw", tmp_path / "a", tmp_path / "b"


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["a/scores", "b/scores"], ["a", "b"]),
        (["a/scores", "a/more/scores"], ["a", "more"]),
        (["m/fold_0/e", "m/fold_1/e", "n/fold_0/e"], ["m_fold_0", "m_fold_1", "n_fold_0"]),
        (["a", "home/anna/b"], ["a", "b"]),
        (["../x/../a/e", "b/../b/e"], ["a", "b"]),
        (["a\x1b[2J/e", "b\\c/e", "d\ne/e"], ["a_[2J", "b_c", "d_e"]),
    ],
)
def test_names_of_models_are_names_without_folders(made, tmp_path, folders, names):
    for folder in folders:
        (tmp_path / folder).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(made / "a/scores", (tmp_path / folder).resolve(), dirs_exist_ok=True)
    scored, _ = read_scores([tmp_path / folder for folder in folders])
    assert [model.name for model in scored] == names


def test_folders_that_no_name_tells_apart_need_names(made, tmp_path):
    for name in ("a\x1b", "a_"):
        shutil.copytree(made / "a/scores", tmp_path / name)
    with pytest.raises(DataError, match="COMPARE_FEW"):
        read_scores([tmp_path / "a\x1b", tmp_path / "a_"])
    with pytest.raises(DataError, match="COMPARE_FEW: one folder of scores twice"):
        read_scores([made / "a/scores"] * 2)
    with pytest.raises(DataError, match="COMPARE_FEW"):
        read_scores([made / "a/scores", tmp_path / "a_"], ["one", " "])
    scored, _ = read_scores([tmp_path / "a\x1b", tmp_path / "a_"], ["one", "two"])
    assert [model.name for model in scored] == ["one", "two"]


@pytest.mark.parametrize("name", ["cases.csv", "components.csv", "run.json"])
def test_scores_beside_which_a_table_is_not_as_it_was_are_refused(name, scored, tmp_path):
    raw, a, b = scored
    assert run("evaluate", "--pred", a / "predictions", "--ref", raw, "-o", a / "scores") == 0
    spoilt = a / "scores" / name
    whole = spoilt.read_bytes()
    read_scores([a / "scores", b / "scores"])
    for data in (None, whole[:-9], whole.replace(b"0", b"1")):
        spoilt.unlink() if data is None else spoilt.write_bytes(data)
        with pytest.raises(
            DataError, match="RUN_RECORD" if data and name == "run.json" else "OUT_CHANGED"
        ):
            read_scores([a / "scores", b / "scores"])
    shutil.rmtree(
        a / "scores/.sdunet"
    )  # what is left is the user's own, and has a hash in run.json
    if name == "run.json":
        with pytest.raises(DataError, match="RUN_RECORD"):
            read_scores([a / "scores", b / "scores"])
        spoilt.unlink()
    read_scores([a / "scores", b / "scores"])


def test_a_model_that_is_always_nearer_wins_everywhere(scored, tmp_path):
    _, a, b = scored
    rows, problems = compare([a / "scores", b / "scores"], tmp_path / "out")
    assert not problems
    assert [row["metric"] for row in rows] == ["dice", "surface_dice", "hd95"]
    for row in rows:
        assert (row["first"], row["second"]) == ("a", "b")
        assert (row["wins"], row["ties"], row["losses"]) == (8, 0, 0)
        assert row["p"] == pytest.approx(2 / 2**8)  # exact: all eight signs alike
        assert row["p_holm"] == pytest.approx(3 * row["p"])
        assert (row["difference"] > 0) == (row["metric"] != "hd95")
        assert row["low"] <= row["difference"] <= row["high"]
    with (tmp_path / "out/compare.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [float(row["p_holm"]) for row in written] == pytest.approx(
        [row["p_holm"] for row in rows], abs=1e-6
    )
    assert (tmp_path / "out/compare.md").read_text().count("\n") == 5
    with Image.open(tmp_path / "out/differences.png") as picture:
        assert picture.format == "PNG"


def test_the_other_way_round_signs_turn_and_p_stays(scored, tmp_path):
    _, a, b = scored
    there, _ = compare([a / "scores", b / "scores"], tmp_path / "out")
    back, _ = compare([b / "scores", a / "scores"], tmp_path / "out")
    for one, other in zip(there, back, strict=True):
        assert one["difference"] == -other["difference"]
        assert (one["wins"], one["losses"]) == (other["losses"], other["wins"])
        assert one["p"] == other["p"]


def test_p_is_that_of_scipy(scored, tmp_path):
    _, a, b = scored
    path = b / "scores/summary.json"
    random = np.random.default_rng(0)

    def redraw(summary):
        for record in summary["metric_per_case"]:
            record["metrics"]["1"]["Dice"] = float(random.random())

    rewrite(path, redraw)
    (row,), _ = compare([a / "scores", b / "scores"], tmp_path / "out", ["dice"])
    dice = [
        [s["1"]["Dice"] for s in model.cases.values()]
        for model in read_scores([a / "scores", b / "scores"])[0]
    ]
    assert row["p"] == pytest.approx(stats.wilcoxon(*dice).pvalue)


def test_a_model_with_itself_ties(scored, tmp_path):
    _, a, _ = scored
    shutil.copytree(a, tmp_path / "c")
    rows, _ = compare([a / "scores", tmp_path / "c/scores"], tmp_path / "out")
    assert {(row["wins"], row["ties"], row["losses"], row["p_holm"]) for row in rows} == {
        (0, 8, 0, 1.0)
    }


def test_rightly_predicting_nothing_beats_a_false_alarm(scored, tmp_path):
    raw, a, b = scored
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(raw / "masks/disc_0.png")
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(b / "predictions/disc_0.png")
    for model in (a, b):
        evaluate(model / "predictions", raw, model / "scores", {"disc_0"})
    rows, _ = compare([a / "scores", b / "scores"], tmp_path / "out", ["dice", "hd"])
    assert [(row["n"], row["wins"]) for row in rows] == [(1, 1), (1, 1)]
    assert rows[0]["difference"] == 1
    evaluate(b / "predictions", raw, a / "scores", {"disc_0"})
    rows, _ = compare([a / "scores", b / "scores"], tmp_path / "out", ["dice"])
    assert (rows[0]["n"], rows[0]["p"]) == (0, 1)


def test_three_models_are_compared_two_by_two(scored, tmp_path):
    _, a, b = scored
    shutil.copytree(a, tmp_path / "c")
    folders = [a / "scores", b / "scores", tmp_path / "c/scores"]
    rows, _ = compare(folders, tmp_path / "out", ["dice"], ["x", "y", "z"])
    assert [(r["first"], r["second"]) for r in rows] == [("x", "y"), ("x", "z"), ("y", "z")]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda s: s["mean"]["1"].update(name="ring"), "COMPARE_OTHER"),
        (lambda s: s["options"].update(tolerance=9.0), "COMPARE_OTHER"),
        (lambda s: s["metric_per_case"][3].update(reference_sha256="0"), "COMPARE_OTHER"),
        (lambda s: s["metric_per_case"][3]["metrics"]["1"].pop("HD"), "COMPARE_SCORES"),
        (lambda s: s["metric_per_case"][3]["metrics"]["1"].update(HD="x"), "COMPARE_SCORES"),
        (lambda s: s.pop("options"), "COMPARE_SCORES"),
        (lambda s: [c.update(case="x" + c["case"]) for c in s["metric_per_case"]], "COMPARE_NONE"),
    ],
)
def test_scores_that_do_not_compare_are_named(scored, tmp_path, change, code):
    _, a, b = scored
    rewrite(b / "scores/summary.json", change)
    with pytest.raises(DataError) as error:
        compare([a / "scores", b / "scores"], tmp_path / "out")
    assert error.value.code == code
    assert not (tmp_path / "out").exists()


def test_cases_of_one_model_only_are_named_and_the_others_compared(scored, tmp_path, capsys):
    raw, a, b = scored
    evaluate(b / "predictions", raw, b / "scores", {f"disc_{i}" for i in range(5)})
    capsys.readouterr()
    assert run("compare", a / "scores", b / "scores", "-o", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert said.err.count("COMPARE_CASE case disc_") == 3
    assert "5/0/0" in said.out


def test_cases_asked_for_are_those_compared(scored, tmp_path, capsys):
    _, a, b = scored
    (tmp_path / "some.txt").write_text("disc_1\ndisc_2\ndisc_5\n")
    given = ["compare", a / "scores", b / "scores", "-o", tmp_path / "out"]
    assert run(*given, "--cases", tmp_path / "some.txt") == 0
    assert "3/0/0" in capsys.readouterr().out
    (tmp_path / "some.txt").write_text("disc_1\nstranger\n")
    assert run(*given, "--cases", tmp_path / "some.txt") == 1
    assert "CASE_UNKNOWN: never scored: stranger" in capsys.readouterr().err


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"no image")])
def test_scores_of_cases_without_a_prediction_are_told_as_such(scored, tmp_path, capsys, spoil):
    raw, a, b = scored
    for case in (3, 5):
        spoil(b / f"predictions/disc_{case}.png")
    evaluate(b / "predictions", raw, b / "scores")
    given = ["compare", a / "scores", b / "scores", "-o", tmp_path / "out"]
    assert run(*given) == 0
    told = "b: warning COMPARE_MISSED: 2 of 8 cases have no prediction"
    assert told in capsys.readouterr().err
    assert "2 of 8 cases have no prediction" in (tmp_path / "out/compare.md").read_text()
    (tmp_path / "some.txt").write_text("disc_1\ndisc_2\n")
    shutil.rmtree(tmp_path / "out")
    assert run(*given, "--cases", tmp_path / "some.txt") == 0
    assert "COMPARE_MISSED" not in capsys.readouterr().err


def test_what_is_missing_of_a_model_is_told_with_its_name(scored, tmp_path):
    raw, a, b = scored
    (b / "predictions/disc_3.png").unlink()
    evaluate(b / "predictions", raw, b / "scores")
    models, _ = read_scores([a / "scores", b / "scores"])
    both = [a / "predictions", b / "predictions"]
    page, problems = side_by_side(raw, raw, both, models, tmp_path / "out")
    assert page.is_file()
    assert [str(p)[:40] for p in problems] == ["PRED_MISSING case disc_3: b: no predicti"]


def test_page_of_two_models_comes_with_the_table(scored, tmp_path, capsys):
    raw, a, b = scored
    scores = [a / "scores", b / "scores", "-o", tmp_path / "out"]
    images = ["--images", raw, "--ref", raw]
    both = ["--pred", a / "predictions", b / "predictions"]
    assert run("compare", *scores, *images, *both) == 0
    assert "side by side in" in capsys.readouterr().out
    assert (tmp_path / "out/review.html").is_file()
    assert run("compare", *scores, *images, "--pred", b / "predictions", a / "predictions") == 1
    assert "COMPARE_PRED" in capsys.readouterr().err
    assert run("compare", *scores, *images, "--pred", a / "predictions") == 1
    assert "COMPARE_PAGE" in capsys.readouterr().err


def test_a_page_that_cannot_be_is_refused_before_the_tables_are_written(scored, tmp_path, capsys):
    raw, a, b = scored
    command = ["compare", a / "scores", b / "scores", "-o", tmp_path / "out"]
    both = ["--pred", a / "predictions", b / "predictions"]
    assert run(*command, "--images", tmp_path / "none", "--ref", raw, *both) == 1
    assert "IO_MISSING" in capsys.readouterr().err
    record = {"labels": {"background": 0, "other": 1}, "label_map": {}}
    write_hashed(b / "predictions/predictions.json", record)
    assert run(*command, "--images", raw, "--ref", raw, *both) == 1
    said = capsys.readouterr().err
    assert "LBL_CLASSES" in said
    assert not (tmp_path / "out").exists()


def test_one_folder_is_no_comparison(scored, tmp_path):
    _, a, _ = scored
    with pytest.raises(DataError, match="give at least two"):
        compare([a / "scores"], tmp_path / "out")
    with pytest.raises(DataError, match="a name of its own"):
        compare([a / "scores"] * 2, tmp_path / "out")
    with pytest.raises(DataError, match="COMPARE_SCORES"):
        compare([a / "scores", a], tmp_path / "out")


def test_tolerances_reach_the_scores(scored, tmp_path):
    raw, a, _ = scored
    near = ["--score.tolerance", "50", "--score.match", "0.9"]
    given = ["--pred", a / "predictions", "--ref", raw, "-o", tmp_path / "e"]
    assert run("evaluate", *given, *near) == 0
    summary = json.loads((tmp_path / "e/summary.json").read_text())
    assert ScoreOptions(**summary["options"]) == ScoreOptions(50, 0.9)
    assert summary["mean"]["1"]["NSD"] == 1
