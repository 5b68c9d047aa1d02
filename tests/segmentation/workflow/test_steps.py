"""The MONAI bundle of a network predicts, voxel for voxel, what `sdunet predict` does."""

import json

import numpy as np
import pytest
import torch
from bundle_workflows import workflow

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.values.regions import regions_from
from data_prep.files.hashed_json import write_hashed
from data_prep.preprocessing.instances import object_classes
from sdunet import bundle
from sdunet.runtime.safetensors_io import write_weights
from sdunet.segmentation.inference.postprocessing import RULES
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.segmentation.models.trained_model import WEIGHTS, load_model

# MONAI warns of every configuration it reads, as those can run code; one of ours is read.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TWO = {"background": 0, "front": 1, "back": 2}
# Axes in another order, one backwards, and not those of the scanner.
TILTED = np.array([[0, -1.5, 0, 3], [0.72, 0, 1.5, -7], [0.54, 0, -2, 40], [0, 0, 0, 1]])
WINDOW = {"window": (0.0, 255.0)}
PLANS = {
    "2D": Plan(2, ("a",), TWO, {}, "zscore", None, (16, 16)),
    "2D resized": Plan(2, ("a",), TWO, {}, "window", None, (16, 24), resize=(16, 24), **WINDOW),
    "2D regions": Plan(
        *(2, ("a",), TWO, {}, "zscore", None, (16, 16)),
        regions=regions_from({"all": [1, 2], "back": 2}),
    ),
    "2D objects": Plan(
        *(2, ("a",), object_classes(), {}, "window", None, (16, 16)), instances="cell", **WINDOW
    ),
    "3D": Plan(3, ("t1", "t2"), TWO, {}, "zscore", (1.2, 1.2, 2.0), (16, 16, 8)),
}


@pytest.fixture
def scans(tmp_path, write_picture, write_nifti):
    """Maker of a folder of two scans for a plan."""

    def make(plan):
        random, root = np.random.default_rng(5), tmp_path / "scans"
        for number in range(2):
            size = (21 + number, 30, 17)[: plan.spatial_dims]
            for channel in range(len(plan.channels)):
                image = random.integers(0, 255, size).astype(np.uint8)
                file = f"case{number}_{channel:04}"
                if plan.spatial_dims == 2:
                    write_picture(root / f"case{number}.png", image)
                else:
                    write_nifti(root / f"{file}.nii.gz", image.astype(np.int16), TILTED)
        return root

    return make


def files_in(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".png", ".gz")}


@pytest.mark.parametrize("tidied", [False, True])
@pytest.mark.parametrize("kind", PLANS)
def test_a_bundle_predicts_what_the_command_does(bundles, scans, tmp_path, kind, tidied):
    plan = PLANS[kind]
    root, images = bundles(plan), scans(plan)
    if tidied:
        rules = {plan.scored[0].name: "largest"}
        write_hashed(root / RULES, {"rules": rules, "validation_dice": {}})
    predict(root, images, tmp_path / "want", options=PredictOptions(device="cpu"))
    made = workflow("infer", root, images, tmp_path / "got", device="cpu")
    assert made.check_properties() == []
    made.run()
    want = files_in(tmp_path / "want")
    assert len(want) == 2
    assert files_in(tmp_path / "got") == want
    assert np.unique(made.evaluator.state.output[0]["pred"]).size > 1  # or all would be alike


def test_objects_are_numbered_where_asked(bundles, scans, tmp_path):
    root, images = bundles(PLANS["2D objects"]), scans(PLANS["2D objects"])
    options = PredictOptions(device="cpu", instances=True)
    predict(root, images, tmp_path / "want", options=options)
    asked = {"postprocessing#transforms#0#instances": True}
    workflow("infer", root, images, tmp_path / "got", device="cpu", **asked).run()
    assert files_in(tmp_path / "got") == files_in(tmp_path / "want")


def test_a_bundle_is_sound_without_data_and_says_so_when_it_runs(bundles, tmp_path):
    made = workflow("infer", bundles(PLANS["2D"]), tmp_path / "none", tmp_path / "out")
    assert made.check_properties() == []
    with pytest.raises(RuntimeError) as raised:
        made.run()
    assert "IO_MISSING" in str(raised.value.__cause__)


def named(error):
    """The errors that led to one, as text."""
    told = []
    while error is not None:
        told.append(str(error))
        error = error.__cause__
    return " ".join(told)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda package, images: bundle.read_scan({"image": str(images)}, package), "PACKAGE_STEP"),
        (lambda package, images: bundle.read_scan({"image": f"{images}/no"}, package), "IO_MISS"),
        (lambda package, _: bundle.decide({"image": torch.zeros(1)}, package), "PACKAGE_STEP"),
        (lambda package, _: bundle.decide({}, package, instances=True), "PRED_INSTANCES"),
        (lambda package, images: bundle.check_paths(package, images, images), "OUT_IN_DATA"),
        (
            lambda package, images: bundle.check_paths(package, images, package.folder),
            "OUT_IN_DATA",
        ),
    ],
)
def test_what_a_step_cannot_do_is_refused_by_name(bundles, scans, change, code):
    plan = PLANS["2D"]
    package, images = bundle.load_package(bundles(plan)), scans(plan)
    with pytest.raises(DataError, match=code):
        change(package, images)


def test_a_case_that_cannot_be_predicted_ends_the_run_by_name(bundles, scans, tmp_path):
    plan = PLANS["2D"]
    root, images = bundles(plan), scans(plan)
    (images / "case1.png").write_bytes((images / "case1.png").read_bytes()[:-40])
    with pytest.raises(RuntimeError) as raised:
        workflow("infer", root, images, tmp_path / "out", device="cpu").run()
    assert "IO_" in named(raised.value)
    assert not (tmp_path / "out/case1.png").exists()


def test_what_others_wrote_is_not_replaced(bundles, scans, tmp_path):
    plan = PLANS["2D"]
    root, images, out = bundles(plan), scans(plan), tmp_path / "out"
    out.mkdir()
    (out / "case0.png").write_bytes(b"mine")
    with pytest.raises(RuntimeError) as raised:
        workflow("infer", root, images, out, device="cpu").run()
    assert "OUT_TAKEN" in named(raised.value)
    assert (out / "case0.png").read_bytes() == b"mine"


def test_weights_of_another_checkpoint_are_taken_and_rules_left_out(bundles, scans, tmp_path):
    plan = PLANS["2D"]
    root, images = bundles(plan), scans(plan)
    write_hashed(root / RULES, {"rules": {"front": "largest"}, "validation_dice": {}})
    other = load_model(root).network
    torch.manual_seed(8)
    for parameter in other.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    torch.save(other.state_dict(), tmp_path / "tuned.pt")
    workflow(
        "infer", root, images, tmp_path / "got", device="cpu", checkpoint=str(tmp_path / "tuned.pt")
    ).run()
    write_weights(root / WEIGHTS, other.state_dict())
    untidied = PredictOptions(device="cpu", tidy=False)
    predict(root, images, tmp_path / "want", options=untidied)
    assert files_in(tmp_path / "got") == files_in(tmp_path / "want")


def test_outputs_are_described_as_what_they_are(bundles):
    for kind, (form, channels) in {
        "2D regions": ("classes", {"0": "all", "1": "back"}),
        "2D objects": ("labels", {str(n): name for name, n in object_classes().items()}),
        "3D": ("labels", {"0": "background", "1": "front", "2": "back"}),
    }.items():
        root = bundles(PLANS[kind])
        text = (root / "configs/metadata.json").read_text()
        pred = json.loads(text)["network_data_format"]["outputs"]["pred"]
        assert (pred["format"], pred["channel_def"]) == (form, channels)
        assert pred["num_channels"] == PLANS[kind].outputs


def test_own_weights_are_known_by_what_they_hold_and_not_by_their_path(
    bundles, tmp_path, monkeypatch, capsys
):
    root = bundles(PLANS["2D"])
    write_hashed(root / RULES, {"rules": {"front": "largest"}, "validation_dice": {}})
    package, own = bundle.load_package(root), root / "models/model.pt"
    monkeypatch.chdir(root)
    (tmp_path / "copy.pt").write_bytes(own.read_bytes())
    for path in (own, "models/model.pt", "./models/../models/model.pt", tmp_path / "copy.pt"):
        assert bundle.has_own_weights(package, str(path))
    (tmp_path / "copy.pt").write_bytes(own.read_bytes()[:-1])
    capsys.readouterr()
    assert not bundle.has_own_weights(package, str(tmp_path / "copy.pt"))
    assert "rules of postprocessing are left out" in capsys.readouterr().err


def test_predictions_of_the_command_are_not_replaced(bundles, scans, tmp_path):
    plan = PLANS["2D"]
    root, images = bundles(plan), scans(plan)
    predict(root, images, tmp_path / "out", options=PredictOptions(device="cpu"))
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    with pytest.raises(RuntimeError) as raised:
        workflow("infer", root, images, tmp_path / "out", device="cpu").run()
    assert "OUT_TAKEN" in named(raised.value)
    assert before == {path: path.read_bytes() for path in before}
