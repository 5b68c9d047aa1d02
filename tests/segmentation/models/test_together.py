"""What was not trained together does not predict together, unless it is named."""

import shutil

import pytest
from by_hand import rewrite

from data_prep.core.errors import DataError
from data_prep.files.hashed_json import write_hashed
from sdunet.runtime.checkpoint import STATE, StateIO, check_epochs
from sdunet.segmentation.inference.ensemble import find_models
from sdunet.segmentation.models.integrity import seal
from sdunet.segmentation.models.run_settings import SETTINGS
from sdunet.segmentation.models.together import listed_in
from sdunet.segmentation.models.trained_model import DESCRIPTION, RUNS, WEIGHTS

SETTINGS_OF = {
    "fold": 0,
    "data_sha256": "a",
    "set_sha256": "s",
    "network": {"name": "sdunet", "features": [4, 6]},
    "training": {"seed": 0, "learning_rate": 0.1, "epochs": 3},
}


def make(folder, **settings):
    """A run as far as finding it goes."""
    folder.mkdir(parents=True)
    for name in (DESCRIPTION, WEIGHTS):
        (folder / name).write_bytes(b"{}")
    write_hashed(folder / SETTINGS, SETTINGS_OF | settings)


@pytest.fixture
def folds(tmp_path):
    """Three folds that were trained together."""
    names = [f"fold_{fold}" for fold in range(3)]
    for fold, name in enumerate(names):
        make(tmp_path / name, fold=fold, data_sha256=str(fold))
    write_hashed(tmp_path / RUNS, {"runs": names})
    return tmp_path


def test_folds_and_seeds_of_one_training_are_an_ensemble(folds):
    assert [path.name for path in find_models(folds)] == ["fold_0", "fold_1", "fold_2"]
    (folds / RUNS).unlink()
    longer = SETTINGS_OF["training"] | {"seed": 4, "epochs": 9}
    make(folds / "seed_4", training=longer)  # trained by another command, without a list
    assert len(find_models(folds)) == 4


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"set_sha256": "other"}, "PRED_TEAM: .* another prepared set"),
        ({"network": {"name": "unet"}}, "PRED_TEAM: .* another network.name"),
        (
            {"training": SETTINGS_OF["training"] | {"learning_rate": 1}},
            "PRED_TEAM: .* another training.learning_rate",
        ),
        ({"fold": None}, "PRED_TEAM: .* another share of the cases"),
        ({"fold": 1}, "PRED_TWICE: .* are both of fold 1 and seed 0"),
        (
            {"training": SETTINGS_OF["training"] | {"seed": 1}},
            "PRED_LISTED: .*old is not in runs.json beside it",
        ),
    ],
)
def test_an_old_run_in_a_folder_of_folds_is_refused_by_its_name(folds, settings, error):
    make(folds / "old", **settings)
    with pytest.raises(DataError, match=f"^{error}.*; name the folders to use one by one"):
        find_models(folds)
    assert find_models(folds / "old") == [folds / "old"]  # named, it is what is meant


def test_a_fold_that_is_gone_or_another_in_its_place_is_refused(folds):
    shutil.rmtree(folds / "fold_2")
    with pytest.raises(DataError, match=r"MODEL_MISSING: .*fold_2 holds no whole model"):
        find_models(folds)
    shutil.copytree(folds / "fold_1", folds / "fold_2")
    with pytest.raises(DataError, match=r"PRED_TWICE: .* are both of fold 1 and seed 0"):
        find_models(folds)


def test_settings_of_older_versions_do_not_tell_runs_apart(folds):
    rewrite(folds / "fold_0" / SETTINGS, lambda record: record.pop("set_sha256"))
    assert len(find_models(folds)) == 3


def test_a_run_that_has_come_further_than_is_asked_for_is_refused_at_a_look(tmp_path):
    StateIO().save_checkpoint({"epoch": 5, "state_dict": {}}, tmp_path / STATE)
    check_epochs(tmp_path, 6)
    with pytest.raises(DataError, match=r"CONFIG_RESUME: .* has come to epoch 6, 5 are asked for"):
        check_epochs(tmp_path, 5)
    (tmp_path / STATE).write_bytes(b"damaged")
    check_epochs(tmp_path, 1)  # told where it is read whole


@pytest.mark.parametrize(
    ("name", "file"), [("fold_3", None), ("fold_3", SETTINGS), ("seed_1", None), ("mine", SETTINGS)]
)
def test_what_an_interrupted_copy_left_beside_folds_is_named(folds, name, file):
    (folds / RUNS).unlink()
    (folds / name).mkdir()
    (folds / "predictions").mkdir()  # of whoever has them there
    if file:
        shutil.copy(folds / "fold_1" / file, folds / name)
    with pytest.raises(DataError, match=f"MODEL_MISSING: .*{name} holds no whole model"):
        find_models(folds)
    assert find_models(folds / "fold_0") == [folds / "fold_0"]


def test_seeds_of_folds_and_packages_beside_them_are_no_halves(folds):
    (folds / RUNS).unlink()
    for fold in range(3):
        shutil.move(folds / f"fold_{fold}", folds / f"seed_0/fold_{fold}")
    (folds / "fold_9").mkdir()
    for name in (DESCRIPTION, WEIGHTS, "MANIFEST.json"):
        (folds / "fold_9" / name).write_bytes(b"{}")
    assert len(find_models(folds)) == 3


def other_package(path):
    """A package of a network that is none of the runs'."""
    path.mkdir(parents=True)
    for name in (DESCRIPTION, WEIGHTS, "facts.json"):
        (path / name).write_bytes(b"{} ")
    seal(path)
    return path


def test_networks_that_would_be_left_out_of_a_folder_are_named(folds):
    for folder in (folds, folds / "fold_1"):  # beside runs, and in one
        package = other_package(folder / "colleague")
        with pytest.raises(DataError, match=r"PRED_TEAM: .*colleague is another network"):
            find_models(folder)
        shutil.make_archive(str(folder / "mine"), "zip", package)
        shutil.rmtree(package)
        with pytest.raises(DataError, match=r"PRED_TEAM: .*mine\.zip is another network"):
            find_models(folder)
        (folder / "mine.zip").write_bytes(b"of something else")
        assert find_models(folder)


def test_a_run_in_another_is_named(folds):
    make(folds / "fold_1/fold_4", fold=4)
    assert find_models(folds / "fold_1") == [folds / "fold_1"]  # a copy, as far as weights go
    (folds / "fold_1/fold_4" / WEIGHTS).write_bytes(b"{} ")
    with pytest.raises(DataError, match=r"PRED_TEAM: .*fold_4 is another network than .*fold_1,"):
        find_models(folds / "fold_1")


@pytest.mark.parametrize("text", ["", "[1]", '{"runs": 3}'])
def test_a_damaged_list_of_runs_is_told_by_whatever_reads_it(folds, text):
    (folds / RUNS).write_text(text)
    with pytest.raises(DataError, match=r"MODEL_JSON: .*copy the folder again"):
        listed_in(folds)
    with pytest.raises(DataError, match=r"MODEL_JSON: .*copy the folder again"):
        find_models(folds)
