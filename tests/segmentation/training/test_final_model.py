"""A training on all cases: it sees each, ends as planned, and has no score anywhere."""

import csv
from dataclasses import replace

import pytest
from training_runs import arguments_of, run, weights_of

from data_prep.core.errors import DataError
from data_prep.files.hashed_json import read_hashed
from data_prep.prepared.dataset import load_dataset
from sdunet.runtime.checkpoint import STATE
from sdunet.runtime.safetensors_io import read_tensors
from sdunet.segmentation.config import TaskConfig
from sdunet.segmentation.export.expected_score import scores_of_folds
from sdunet.segmentation.export.model_card import model_card
from sdunet.segmentation.export.package import _facts
from sdunet.segmentation.inference.ensemble import find_models
from sdunet.segmentation.models.trained_model import WEIGHTS, load_model
from sdunet.segmentation.training.cross_validation import find_rules, train_several
from sdunet.segmentation.training.data_module import Patches
from sdunet.segmentation.training.initial_weights import doubts_about
from sdunet.segmentation.training.lightning_module import SegmentationModule

STEPS = 12  # an epoch: all 6 cases, 4 patches each, in batches of 2
# Patience and checks need a validation, and shorten nothing here.
OPTIONS = ("--fold=none", "--training.ema=0.9", "--epochs=3", "--patience=0", "--seeds=1",
           "--training.validate_every=7")  # fmt: skip


@pytest.fixture(scope="module")
def final(trained_discs, tmp_path_factory):
    """A run on all cases, the ids of the cases that were drawn, and what was told of it."""
    out, drawn = tmp_path_factory.mktemp("final") / "run", []
    draws = Patches.__getitem__

    def spied(self, one):
        drawn.append(self.cases[one[0]])
        return draws(self, one)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Patches, "__getitem__", spied)
        given = None, trained_discs, trained_discs / "task.yaml"
        assert run(*arguments_of(given, out, *OPTIONS)) == 0
    return out, drawn


def course(out):
    with (out / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    clocks = ("training_seconds", "validation_seconds", "waiting", "memory_gb", "gpu_memory_gb")
    return [{n: v for n, v in row.items() if n not in clocks} for row in rows]


def test_every_case_is_drawn_as_often_and_the_average_is_kept(final, trained_discs):
    out, drawn = final
    cases = load_dataset(trained_discs / "set").cases
    assert {id_: drawn.count(id_) for id_ in cases} == dict.fromkeys(cases, 3 * 4)
    weights, _ = read_tensors(out / WEIGHTS)
    state, _ = read_tensors(out / STATE)
    held = [tensor.numpy().tobytes() for tensor in state.values()]
    assert all(tensor.numpy().tobytes() in held for tensor in weights.values())


def test_cases_of_the_test_set_are_left_out(trained_discs):
    dataset = load_dataset(trained_discs / "set")
    first, *rest = dataset.cases
    folds = [{side: [i for i in ids if i != first] for side, ids in f.items()}
             for f in dataset.folds]  # fmt: skip
    assert replace(dataset, test=(first,), folds=folds).sides(None) == {"train": rest, "val": []}


def test_a_score_appears_nowhere(final, trained_discs, capsys, tmp_path):
    out, _ = final
    rows = course(out)
    assert [list(row) for row in rows] == [["epoch", "train_loss", "learning_rate"]] * 3
    assert all(0 < float(row["train_loss"]) < 3 for row in rows)
    record = read_hashed(out / "run.json")
    assert (record["fold"], record["validation_dice"]) == (None, None)
    assert (record["training_cases"], record["validation_cases"]) == (6, 0)
    assert (record["steps"], record["epochs"], record["validations"]) == (3 * STEPS, 3, 0)
    assert not (out / "validation_cases.txt").exists()
    given = None, trained_discs, trained_discs / "task.yaml"
    assert run(*arguments_of(given, tmp_path / "seeds", "--fold=none", "--seeds=2", "--epochs=1")) \
        == 0  # fmt: skip
    said = capsys.readouterr()
    assert "trained on all cases, so without a score" in said.out
    assert "no validation: it trains on all cases to the end of the schedule" in said.err
    assert "dice" not in (said.out + said.err).lower().replace("dice_ce", "")
    assert [path.name for path in find_models(tmp_path / "seeds")] == ["seed_0", "seed_1"]
    model = load_model(out)
    card = model_card(model, _facts(model, out, ()))
    assert "trained on all 6 cases" in card
    assert "results: []" in card
    assert "Mean Dice" not in card


class Killed(BaseException):
    """Stands for a process that is gone."""


@pytest.mark.parametrize(("every", "step"), [(3, 5), (0, STEPS - 1), (0, STEPS), (0, 2 * STEPS)])
def test_killed_and_resumed_it_is_the_undisturbed_one_bit_for_bit(
    disc_run, final, tmp_path, monkeypatch, every, step
):
    goes_on = SegmentationModule.training_step

    def fails(self, batch, index):
        if self.global_step == step:
            raise Killed
        return goes_on(self, batch, index)

    options = [*OPTIONS, f"--training.save_steps={every}"]
    command = arguments_of(disc_run, tmp_path / "run", *options)
    monkeypatch.setattr(SegmentationModule, "training_step", fails)
    with pytest.raises(Killed):
        run(*command)
    monkeypatch.setattr(SegmentationModule, "training_step", goes_on)
    assert run(*command, "--resume") == 0
    out, _ = final
    assert weights_of(tmp_path / "run") == weights_of(out)
    for name in (WEIGHTS, "model.json"):
        assert (tmp_path / "run" / name).read_bytes() == (out / name).read_bytes()
    assert course(tmp_path / "run") == course(out)


def test_it_ends_in_time_and_is_no_run_of_a_fold(disc_run, tmp_path, capsys):
    command = arguments_of(disc_run, tmp_path / "run", "--fold=none", "--epochs=50")
    assert run(*command, "--max-time=0.0001") == 0
    assert len(course(tmp_path / "run")) == 1
    capsys.readouterr()
    assert run(*command[:-2], "--epochs=50", "--resume") == 1
    assert "fold: None then, 0 now" in capsys.readouterr().err


def test_what_would_make_scores_flatter_is_named(final, trained_discs, tmp_path):
    out, _ = final
    data = trained_discs / "set"
    with pytest.raises(DataError, match=r"RUN_CASES: .* was trained on all cases"):
        find_rules(out, data)
    model, dataset = load_model(out), load_dataset(data)
    assert [f.code for f in doubts_about(model, dataset, 0)] == ["INIT_SEEN"]
    assert not doubts_about(model, dataset, None)


@pytest.mark.parametrize("fold", ["nonee", "None", "-1", "1.5", "9" * 5000])
def test_a_fold_that_is_none_of_them_is_named(disc_run, tmp_path, capsys, fold):
    with pytest.raises(SystemExit):
        run(*arguments_of(disc_run, tmp_path / "run", f"--fold={fold}"))
    said = capsys.readouterr().err
    assert "--fold takes a whole number >= 0 and <= 100000, or `all` or `none`, not" in said
    assert not (tmp_path / "run").exists()


def test_a_fold_that_the_dataset_has_not_is_named(disc_run, tmp_path, capsys):
    assert run(*arguments_of(disc_run, tmp_path / "run", "--fold=3")) == 1
    assert "SPLIT_FOLD: fold 3 of 3" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_none_stands_alone(trained_discs, tmp_path):
    with pytest.raises(DataError, match="SPLIT_FOLD: fold 0 of 3 beside none"):
        train_several(TaskConfig(), trained_discs / "set", tmp_path / "run", [0, None], [0])


def test_the_card_names_the_scores_of_the_same_folds_only(final, trained_discs, tmp_path):
    out, _ = final
    own = trained_discs / "run"  # fold 0, without the average
    with pytest.raises(DataError, match=r"PACKAGE_FOLDS: .* with another training\.ema"):
        scores_of_folds(out, own)
    with pytest.raises(DataError, match=r"PACKAGE_FOLDS: .* no run of a fold"):
        scores_of_folds(out, out)
    with pytest.raises(DataError, match=r"PACKAGE_FOLDS: .* no run of a fold"):
        scores_of_folds(out, trained_discs / "set")
    with pytest.raises(DataError, match=r"PACKAGE_FOLDS: .* a validation score of its own"):
        scores_of_folds(own, own)
    given = None, trained_discs, trained_discs / "task.yaml"
    assert run(*arguments_of(given, tmp_path / "same", "--fold=none", "--epochs=1")) == 0
    (dice,) = scores_of_folds(tmp_path / "same", own)
    assert dice == read_hashed(own / "run.json")["validation_dice"]
    model = load_model(out)
    facts = _facts(model, out, ()) | {"cross_validation_dice": [0.5, 0.75]}
    assert "in 2 folds reached a mean validation Dice of 0.6250\n(0.5000 to 0.7500), each on" in (
        card := model_card(model, facts)
    )
    assert "results: []" in card
