"""Prediction: ensembles, memory, resuming, parts of the cases, scans unlike those of training."""

import errno
import json
import os

import numpy as np
import pytest
import tifffile
import torch
from bad_sets import gz, nifti, noise
from PIL import Image

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.preprocessing.grid import from_grid, grid_of, to_grid
from data_prep.preprocessing.intensity import normalise, scaling_of
from data_prep.reading.image import read_case_image
from sdunet.cli.main import main
from sdunet.runtime.torch_errors import is_out_of_memory
from sdunet.segmentation.inference import predict_folder as module
from sdunet.segmentation.inference.decision import entropy_of
from sdunet.segmentation.inference.ensemble import Ensemble, predict_scan
from sdunet.segmentation.inference.memory_estimate import needed_bytes
from sdunet.segmentation.inference.oom_fallback import Fallback
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.segmentation.inference.sliding_window import WindowPredictor, class_probabilities
from sdunet.segmentation.models.trained_model import Model


def run(*arguments):
    return main([str(a) for a in arguments])


def files_of(folder):
    found = (
        p
        for p in folder.rglob("*")
        if p.is_file() and p.name != "run.json" and ".sdunet" not in p.parts
    )
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def ensemble_of(plan, **options):
    torch.manual_seed(0)
    conv = torch.nn.Conv3d if plan.spatial_dims == 3 else torch.nn.Conv2d
    network = conv(len(plan.channels), plan.num_classes, 3, padding=1).eval()
    model = Model(network, plan, 0.5, tuple(range(plan.spatial_dims)), "", None)
    return Ensemble((model,), {}, **options)


PLAN3 = Plan(
    3, ("a",), {"background": 0, "b": 1, "c": 2}, {}, "zscore", (1.0, 1.2, 1.5), (12, 10, 8)
)
AFFINES = [np.diag([-1, 1, 2, 1.0]), np.diag([1.0, 1.2, 1.5, 1])[[1, 0, 2, 3]]]


def quiet(text):
    pass


@pytest.mark.parametrize("affine", AFFINES, ids=("resampled", "turned"))
def test_a_scan_predicted_by_slabs_is_the_scan_predicted_at_once(affine):
    scan = Scan(noise(size=(30, 14, 11))[None], affine)
    ensemble = ensemble_of(PLAN3, mirror=True)
    found = predict_scan(
        ensemble,
        scan,
        Findings(),
        quiet,
        uncertainty=True,
        probabilities_into=lambda s: np.zeros(s, "f4"),
    )
    grid = grid_of(scan, PLAN3.spacing)
    values = normalise(to_grid(scan.array, grid), scaling_of(scan.array, PLAN3))
    whole = class_probabilities(
        lambda x: WindowPredictor([ensemble.models[0].network], ensemble.window_predictor().flips)(
            x
        ).log(),
        torch.from_numpy(values)[None],
        PLAN3.patch_size,
        0.5,
    )
    probabilities = from_grid(whole[0].numpy(), grid)
    for number in range(3):
        np.testing.assert_allclose(
            found.probability_of(number)[0], probabilities[number], atol=2e-5
        )
    assert (found.label[0] == probabilities.argmax(0)).mean() > 0.999
    np.testing.assert_allclose(found.entropy[0], entropy_of(probabilities), atol=1e-3)


def test_entropy_runs_from_certain_to_all_alike():
    probabilities = np.array(
        [[1, 0.25, 0.5], [0, 0.25, 0.5], [0, 0.25, 0], [0, 0.25, 0]], np.float32
    )
    np.testing.assert_allclose(entropy_of(probabilities), [0, 1, 0.5], atol=1e-6)


def test_two_models_vote_and_fold_folders_are_found(disc_run, tmp_path):
    raw, root, config = disc_run
    command = ["train", "--config", config, "--data", root / "set", "--training.epochs=1"]
    assert run(*command, "--out", root / "cv", "--fold", "all") == 0
    folds = sorted(p.name for p in (root / "cv").glob("fold_*"))
    assert folds == ["fold_0", "fold_1", "fold_2"]
    assert run("predict", "--model", root / "cv", "-i", raw, "-o", tmp_path / "a") == 0
    parts = [root / "cv" / name for name in folds]
    assert run("predict", "--model", *parts, "-i", raw, "-o", tmp_path / "b") == 0
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    manifest = json.loads((tmp_path / "a/predictions.json").read_text())
    assert len(set(manifest["models"])) == 3


def test_several_seeds_are_summed_up(disc_run, capsys):
    _, root, config = disc_run
    command = ["train", "--config", config, "--data", root / "set", "--out", root / "seeds"]
    command += ["--seeds", 2, "--epochs", 1]
    assert run(*command) == 0
    assert "mean and deviation of 2 runs" in capsys.readouterr().out
    records = [json.loads((root / f"seeds/seed_{s}/run.json").read_text()) for s in (0, 1)]
    assert [record["training"]["seed"] for record in records] == [0, 1]
    before = files_of(root / "seeds")
    assert run(*command, "--resume") == 0
    assert files_of(root / "seeds") == before


def test_uncertainty_and_probabilities_are_written_and_left_out_of_scoring(disc_run, tmp_path):
    raw, root, _ = disc_run
    out = tmp_path / "p"
    extra = ["--uncertainty", "--probabilities"]
    assert run("predict", "--model", root / "run", "-i", raw, "-o", out, *extra) == 0
    for path in out.glob("*.png"):
        label = np.asarray(Image.open(path))
        entropy = tifffile.imread(out / f"uncertainty/{path.stem}.tif")
        probabilities = [
            tifffile.imread(out / f"probabilities/{n}/{path.stem}.tif") for n in (0, 1)
        ]
        np.testing.assert_allclose(sum(probabilities), 1, atol=1e-5)
        assert np.array_equal(label, probabilities[1] > probabilities[0])
        np.testing.assert_allclose(entropy, entropy_of(np.stack(probabilities)), atol=1e-5)
    assert run("evaluate", "--pred", out, "--ref", raw, "-o", tmp_path / "e") == 0
    assert not list(out.glob(".partial-*"))


def test_resumed_prediction_keeps_what_is_there_and_makes_the_rest(disc_run, tmp_path, monkeypatch):
    raw, root, _ = disc_run
    whole, out = tmp_path / "whole", tmp_path / "out"
    predict(root / "run", raw, whole)
    stopped, calls = module.predict_scan, []

    def counting(ensemble, *arguments, **options):
        calls.append(ensemble)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return stopped(ensemble, *arguments, **options)

    monkeypatch.setattr(module, "predict_scan", counting)
    monkeypatch.setattr("sdunet.segmentation.inference.prediction_record._PAUSE", 0.0)
    with pytest.raises(KeyboardInterrupt):
        predict(root / "run", raw, out)
    (out / "disc_1.png").write_bytes(b"edited")
    done, problems = predict(root / "run", raw, out, options=PredictOptions(resume=True))
    assert len(done) == 5
    assert str(problems[0]).startswith("OUT_TAKEN case disc_1: disc_1.png in ")
    assert (out / "disc_1.png").read_bytes() == b"edited"
    assert len(calls) == 4 + 6 - 3  # all but three
    (out / "disc_1.png").unlink()
    predict(root / "run", raw, out, options=PredictOptions(resume=True))
    assert len(calls) == 4 + 6 - 3 + 1  # and the one removed
    assert files_of(out) == files_of(whole)
    Image.fromarray(np.asarray(Image.open(raw / "images/disc_2.png")).T).save(
        raw / "images/disc_2.png"
    )
    calls.clear()
    predict(root / "run", raw, out, options=PredictOptions(resume=True))
    assert len(calls) == 1


@pytest.mark.long
def test_resumed_with_more_asked_for_that_is_made_too(disc_run, tmp_path):
    raw, root, _ = disc_run
    command = ["predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "p"]
    assert run(*command) == 0
    assert run(*command, "--resume", "--uncertainty", "--probabilities") == 0
    assert len(list((tmp_path / "p/uncertainty").iterdir())) == 6
    assert len(list((tmp_path / "p/probabilities/1").iterdir())) == 6


def test_where_all_fail_the_record_says_so(disc_run, tmp_path):
    raw, root, _ = disc_run
    command = ["predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "p"]
    assert run(*command) == 0
    assert run(*command, "--max-ram", 0.00001) == 1
    record = json.loads((tmp_path / "p/predictions.json").read_text())
    assert not record["cases"]
    assert len(record["failed"]) == 6
    assert not list((tmp_path / "p").glob("*.png"))


def test_predictions_of_another_model_are_not_mixed(disc_run, tmp_path, capsys):
    raw, root, _ = disc_run
    command = ["predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "p"]
    assert run(*command) == 0
    assert run(*command, "--mirroring") == 1
    assert "OUT_OTHER" in (said := capsys.readouterr().err)
    assert "holds predictions made with other --mirroring" in said
    (tmp_path / "p/predictions.json").write_text("[1")
    assert run(*command) == 1
    assert "PRED_MANIFEST" in capsys.readouterr().err


def test_more_memory_than_allowed_is_refused_before_and_by_the_header(disc_run, tmp_path, capsys):
    raw, root, _ = disc_run
    command = ["predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "p"]
    assert run(*command, "--max-ram", 0.00002) == 1
    assert "IO_MEMORY" in capsys.readouterr().err
    assert run(*command, "--max-ram", 0.00005) == 1
    assert "PRED_MEMORY" in capsys.readouterr().err


def test_memory_grows_with_the_scan_and_not_with_classes_alone():
    small, large = (Scan(np.zeros((1, n, 40, 40), np.int16), np.eye(4)) for n in (100, 400))
    needed = [
        needed_bytes(s, grid_of(s, (1.0, 1.0, 1.0)), k, (16, 40, 40), uncertainty=False)
        for s in (small, large)
        for k in (2, 20)
    ]
    assert needed[2] - needed[0] == needed[3] - needed[1] > 300 * 40 * 40 * 2
    assert needed[2] < 4 * needed[0]


def test_skew_scans_need_all_planes_at_once():
    skew = np.diag([1.0, 1, 1, 1])
    skew[0, 1] = 0.3
    straight, skewed = (Scan(np.zeros((1, 90, 40, 40), np.int16), a) for a in (np.eye(4), skew))
    needed = [
        needed_bytes(s, grid_of(s, (0.9, 0.9, 0.9)), 9, (16, 40, 40), uncertainty=False)
        for s in (straight, skewed)
    ]
    assert needed[1] > needed[0] + 9 * 4 * 90 * 40 * 40


def test_no_memory_on_a_processor_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as error:
        torch.empty(10**15)
    assert is_out_of_memory(error.value)
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))


class OutOfMemory(torch.nn.Module):
    """Fits so many windows at a time."""

    def __init__(self, windows):
        super().__init__()
        self.windows = windows
        self.calls = []

    def forward(self, x):
        self.calls.append(len(x))
        if len(x) > self.windows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x


def test_out_of_memory_goes_on_window_by_window_and_says_so():
    network, said = OutOfMemory(1), []
    x = torch.randn(4, 2, 8, 8)
    probabilities = Fallback(WindowPredictor([network]), said.append)
    assert torch.equal(probabilities(x), x.softmax(1))
    probabilities(x)
    assert network.calls == [4, 1, 1, 1, 1, 1, 1, 1, 1]
    assert said == ["out of GPU memory: windows are predicted one by one from here on"]
    with pytest.raises(DataError, match="PRED_MEMORY: no memory for one window"):
        Fallback(WindowPredictor([OutOfMemory(0)]), said.append)(x)


def test_windows_are_brought_to_a_device_only_while_it_has_room():
    network = OutOfMemory(1)
    probabilities = Fallback(WindowPredictor([network], device="meta"), quiet)
    network.windows = 0
    with pytest.raises(DataError, match="no memory for one window"):
        probabilities(torch.zeros(1, 2, 8, 8))
    assert probabilities.windows.device == torch.device("cpu")  # where it was tried last
    network.windows = 1
    assert torch.equal(probabilities(torch.zeros(1, 2, 8, 8)), torch.full((1, 2, 8, 8), 0.5))


def test_a_step_back_is_recorded_with_its_case(disc_run, tmp_path, capsys, monkeypatch):
    raw, root, _ = disc_run
    whole, calls = WindowPredictor.__call__, []

    def full_at_first(ensemble, windows):
        calls.append(len(windows))
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(ensemble, windows)

    monkeypatch.setattr(WindowPredictor, "__call__", full_at_first)
    assert run("predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "p") == 0
    assert max(calls) > 1
    assert (
        "disc_0 out of GPU memory: windows are predicted one by one from here on"
        in capsys.readouterr().err
    )
    cases = json.loads((tmp_path / "p/predictions.json").read_text())["cases"]
    assert "DEVICE_MEMORY" in str(cases["disc_0"]["found"])
    assert "DEVICE_MEMORY" not in str(cases["disc_1"]["found"])


def test_one_scan_without_memory_leaves_the_others(disc_run, tmp_path, capsys, monkeypatch):
    raw, root, _ = disc_run

    def full(ensemble, scan, findings, say_, **options):
        if not left.pop():
            raise MemoryError("Unable to allocate 9 TiB")
        return predict_scan(ensemble, scan, findings, say_, **options)

    left = [True, True, True, False, True, True]
    monkeypatch.setattr("sdunet.segmentation.inference.predict_folder.predict_scan", full)
    assert run("predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "p") == 1
    assert "IO_MEMORY case disc_2: memory is full: Unable to allocate" in capsys.readouterr().err
    assert len(list((tmp_path / "p").glob("*.png"))) == 5


def test_what_was_predicted_is_listed_whatever_ends_it(disc_run, tmp_path, monkeypatch):
    raw, root, _ = disc_run

    def broken(ensemble, scan, findings, say_, **options):
        if len(list((tmp_path / "p").glob("*.png"))) == 2:
            raise KeyboardInterrupt
        return predict_scan(ensemble, scan, findings, say_, **options)

    monkeypatch.setattr("sdunet.segmentation.inference.predict_folder.predict_scan", broken)
    assert run("predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "p") == 130
    listed = json.loads((tmp_path / "p/predictions.json").read_text())["cases"]
    assert list(listed) == ["disc_0", "disc_1"]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="a disk's room is not taken ahead")
def test_a_disk_without_room_for_probabilities_is_named(disc_run, tmp_path, capsys, monkeypatch):
    raw, root, _ = disc_run

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    command = ["predict", "--model", root / "run", "-i", raw, "-o", tmp_path / "p"]
    assert run(*command, "--probabilities") == 1
    assert "OUT_DISK: No space left on device, " in capsys.readouterr().err
    assert not list((tmp_path / "p").glob(".partial-*"))


def test_other_errors_of_a_network_are_not_taken_for_it():
    def wrong(x):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Fallback(WindowPredictor([wrong]), quiet)(torch.zeros(1, 2, 8, 8))


def test_the_bounds_of_training_are_kept_of_enough_cases_only(disc_run):
    _, root, _ = disc_run
    plan = json.loads((root / "run/model.json").read_text())["plan"]
    assert plan["seen"]["cases"] == 6
    assert Plan.from_json(plan).seen.spacing is None


def test_a_volume_larger_than_a_window_comes_back_whole(tmp_path):
    affine = np.diag([1.0, -1.2, 1.5, 1])
    (tmp_path / "a.nii.gz").write_bytes(gz(nifti(noise(size=(40, 23, 17)), affine)))
    tree = open_tree(tmp_path)
    (case,) = find_layout(tree, need_labels=False).cases
    scan = read_case_image(tree, case)
    found = predict_scan(ensemble_of(PLAN3), scan, Findings(), quiet)
    assert found.label.shape == (1, 40, 23, 17)
    assert set(np.unique(found.label)) <= {0, 1, 2}
