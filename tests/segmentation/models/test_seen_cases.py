"""Scores of cases that a network was trained on say so, whatever the cases are called."""

import json
import shutil

import pytest
from training_runs import arguments_of

from data_prep.core.errors import DataError
from data_prep.prepared.dataset import load_dataset
from sdunet.cli.main import main
from sdunet.runtime.checkpoint import PREVIOUS, STATE
from sdunet.segmentation.evaluation.compare_models import read_scores
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.export.package import _facts
from sdunet.segmentation.inference.ensemble import load_ensemble
from sdunet.segmentation.models.integrity import seal
from sdunet.segmentation.models.seen_cases import TRAINING_CASES, is_seen, read_seen
from sdunet.segmentation.models.trained_model import WEIGHTS, load_model


def run(*arguments):
    return main([str(a) for a in arguments])


def test_all_files_of_a_scan_are_of_one_case_that_was_trained_on():
    seen = frozenset({frozenset("abc"), frozenset("de")})
    assert [is_seen(files, seen) for files in ("ab", "d", "ad", "f", "")] == \
        [True, True, False, False, False]  # fmt: skip


@pytest.fixture(scope="module")
def renamed(trained_discs, tmp_path_factory):
    """The raw set under other names, predicted by the run, and the names of what it has seen."""
    root = tmp_path_factory.mktemp("seen")
    for kind in ("images", "masks"):
        (root / "raw" / kind).mkdir(parents=True)
        for path in (trained_discs / "raw" / kind).iterdir():
            shutil.copy(path, root / "raw" / kind / path.name.replace("disc", "new"))
    assert run("predict", "--model", trained_discs / "run", "-i", root / "raw", "-o", root / "p") \
        == 0  # fmt: skip
    fold = load_dataset(trained_discs / "set").folds[0]
    return root, {side: {id_.replace("disc", "new") for id_ in fold[side]} for side in fold}


def test_predictions_tell_which_images_were_trained_on(renamed):
    root, fold = renamed
    cases = json.loads((root / "p/predictions.json").read_text())["cases"]
    assert {id_ for id_, case in cases.items() if case.get("seen")} == fold["train"]


@pytest.mark.parametrize(("side", "told"), [("val", False), ("train", True), ("all", True)])
def test_scores_pages_and_comparisons_say_so(renamed, tmp_path, capsys, side, told):
    root, fold = renamed
    ids = fold.get(side, fold["val"] | fold["train"])
    (tmp_path / "cases.txt").write_text("\n".join(ids))
    only = ["--cases", tmp_path / "cases.txt"]
    data = ["--pred", root / "p", "--ref", root / "raw"]
    for out in "ab":
        assert run("evaluate", *data, "-o", tmp_path / out, *only) == 0
    assert ("warning PRED_SEEN: some of these cases" in capsys.readouterr().err) == told
    doubts = json.loads((tmp_path / "a/summary.json").read_text())["doubts"]
    assert doubts == ["PRED_SEEN"] * told
    assert run("compare", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "c") == 0
    assert ("PRED_SEEN" in (tmp_path / "c/compare.md").read_text()) == told


def test_a_comparison_of_some_cases_is_told_of_those_alone(renamed, tmp_path):
    root, fold = renamed
    for out in "ab":
        evaluate(root / "p", root / "raw", tmp_path / out)
    for side in ("val", "train"):
        scored, _ = read_scores([tmp_path / "a", tmp_path / "b"], only=fold[side])
        assert scored[0].doubts == ("PRED_SEEN",) * (side == "train")


def test_an_ensemble_has_seen_what_any_of_it_has_and_a_package_does_not_tell(
    trained_discs, tmp_path
):
    dataset = load_dataset(trained_discs / "set")
    source = {id_: {*case.source.values()} for id_, case in dataset.cases.items()}
    seen = read_seen(trained_discs / "run")
    known = {id_ for id_ in source if is_seen(source[id_], seen)}
    assert known == {*dataset.folds[0]["train"]}
    assert load_ensemble([trained_discs / "run"]).seen == seen
    shutil.copytree(trained_discs / "run", tmp_path / "old")
    (tmp_path / "old" / TRAINING_CASES).unlink()
    with pytest.raises(DataError, match="OUT_CHANGED: gone since sdunet train wrote it"):
        load_ensemble([tmp_path / "old"])
    shutil.rmtree(tmp_path / "old/.sdunet")
    assert not load_ensemble([tmp_path / "old"]).seen
    package = tmp_path / "package"
    package.mkdir()
    for name in ("model.json", "best.safetensors"):
        shutil.copy(trained_discs / "run" / name, package)
    seal(package)
    assert not load_ensemble([package]).seen
    facts = json.dumps(_facts(load_model(package), trained_discs / "run", ()))
    assert not [sha256 for case in seen for sha256 in case if sha256 in facts]


@pytest.mark.parametrize("name", ["settings.json", "postprocess.json", "predictions.json"])
def test_what_was_recorded_and_is_gone_is_missed(trained_discs, tmp_path, capsys, name):
    run_, raw = tmp_path / "run", trained_discs / "raw"
    shutil.copytree(trained_discs / "run", run_)
    assert run("postprocess", run_, "--data", trained_discs / "set") == 0
    predict = ["predict", "--model", run_, "-i", raw, "-o", tmp_path / "p"]
    if name == "predictions.json":
        assert run(*predict) == 0
        (tmp_path / "p" / name).unlink()
        refused = ["evaluate", "--pred", tmp_path / "p", "--ref", raw, "-o", tmp_path / "scores"]
    else:
        (run_ / name).unlink()
        refused = predict
    capsys.readouterr()
    assert run(*refused) == 1
    said = capsys.readouterr().err
    assert "OUT_CHANGED: gone since sdunet" in said
    assert f"({name})" in said


def test_a_finished_run_whose_state_is_gone_does_not_begin_anew(disc_run, tmp_path, capsys):
    command = arguments_of(disc_run, tmp_path / "run", "--epochs=1")
    assert run(*command) == 0
    for name in (STATE, PREVIOUS):
        (tmp_path / "run" / name).unlink(missing_ok=True)
    before = (tmp_path / "run" / WEIGHTS).read_bytes()
    longer = arguments_of(disc_run, tmp_path / "run", "--epochs=2")
    assert run(*longer, "--resume") == 1
    assert "OUT_CHANGED: gone since sdunet train wrote it" in capsys.readouterr().err
    assert (tmp_path / "run" / WEIGHTS).read_bytes() == before
