"""Training by the MONAI bundle of a network, which begins with its weights."""

import json

import numpy as np
import pytest
import torch
from bundle_workflows import workflow
from monai.bundle import ConfigParser
from PIL import Image

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.values.regions import regions_from
from sdunet import bundle
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.models.trained_model import load_model
from sdunet.segmentation.training.lightning_module import SegmentationModule

# MONAI warns that a label lacks a class to draw patches around, and of what it runs.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

CLASSES = {"background": 0, "disc": 1}
DISCS = Plan(2, ("a",), CLASSES, {255: 1}, "zscore", None, (32, 32))
PLANS = {
    "classes": DISCS,
    "regions": Plan(
        *(2, ("a",), CLASSES | {"core": 2}, {255: 1}, "zscore", None, (32, 32)),
        regions=regions_from({"all": [1, 2], "core": 2}),
    ),
    "ignored": Plan(2, ("a",), CLASSES, {255: 1}, "zscore", None, (32, 32), ignored=9),
}


@pytest.mark.parametrize("kind", PLANS)
def test_training_goes_on_with_the_weights_of_the_package(bundles, make_discs, tmp_path, kind):
    root = bundles(PLANS[kind])
    raw = make_discs(tmp_path / "raw", count=5, foreground=255, size=40)
    for path in (raw / "masks").iterdir():
        mask = np.asarray(Image.open(path)).copy()
        if kind == "regions":
            mask[:, 20:][mask[:, 20:] > 0] = 2
        if kind == "ignored":
            mask[:6] = 9
        Image.fromarray(mask).save(path)
    made = workflow("train", root, raw, tmp_path / "tuned", device="cpu", max_epochs=1)
    assert made.check_properties() == []
    before = load_model(root).network.state_dict()
    network = made.parser.get_parsed_content("network")
    assert all(torch.equal(before[n], w) for n, w in network.state_dict().items())
    assert made.network_def.state_dict().keys() == before.keys()
    made.run()
    assert made.trainer.state.iteration == 2  # four cases, two at a time
    assert np.isfinite(made.trainer.state.output["loss"].item())
    after = torch.load(tmp_path / "tuned/model_final.pt", weights_only=True)
    assert after.keys() == before.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert 0 <= made.evaluator.state.metrics["val_mean_dice"] <= 1
    assert (tmp_path / "tuned/model.pt").is_file()


@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize(
    "told",
    [
        {},
        {"name": "dice_ce", "weights": {}},
        {"name": "tversky", "weights": {}},
        {"name": "dice_focal", "weights": {"the last": 5.0}},
    ],
)
def test_the_loss_goes_on_by_its_name_and_weights(bundles, kind, told):
    plan = PLANS[kind]
    last = plan.regions[-1].name if plan.regions else plan.classes[-1]
    weights = {last: 5.0} if told.get("weights") else {}
    loss = {**told, "weights": weights} if told else {}
    root = bundles(plan, loss=loss)  # one without is of an earlier version
    step = json.loads((root / "configs/train.json").read_text())["loss"]
    assert {name: step.get(name) for name in told} == loss
    parser = ConfigParser({"package": bundle.load_package(str(root)), "loss": step})
    config = TrainingConfig(loss=told.get("name", "dice_ce"), class_weights=weights)
    of_training = SegmentationModule(torch.nn.Identity(), plan, config).loss
    torch.manual_seed(1)
    logits = torch.randn(2, plan.outputs, 6, 6)
    label = torch.randint(0, len(plan.classes), (2, 1, 6, 6))
    found = parser.get_parsed_content("loss")(logits, label)
    torch.testing.assert_close(found, of_training(logits, label), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"name": "dice"}, "no loss 'dice'; name one of dice_ce"),
        ({"weights": {"disk": 2.0}}, "CONFIG_CLASSES: .*name 'disc'"),
        ({"weights": {"disc": -1.0}}, "weights must be above 0, got -1.0 for 'disc'"),
    ],
)
def test_a_loss_that_is_none_is_named(bundles, told, wrong):
    with pytest.raises((DataError, ValueError), match=wrong):
        bundle.loss_of(bundle.load_package(bundles(DISCS)), **told)


def test_masks_for_dice_leave_out_what_is_ignored(bundles):
    package = bundle.load_package(bundles(PLANS["ignored"]))
    label = torch.tensor([[[0, 1, 2, 1]]])  # the third is ignored
    pred = torch.tensor([[[0.9, 0.2, 0.1, 0.8]], [[0.1, 0.8, 0.9, 0.2]]])
    masks = bundle.as_masks({"pred": pred, "label": label}, package)
    assert masks["pred"].tolist() == [[[0, 1, 0, 0]]]
    assert masks["label"].tolist() == [[[0, 1, 0, 1]]]


def test_labels_of_other_numbers_are_refused_by_name(bundles, make_discs, tmp_path):
    root = bundles(DISCS)
    raw = make_discs(tmp_path / "raw", count=4, foreground=7, size=40)
    package = bundle.load_package(root)
    with pytest.raises(DataError, match="LBL_"):
        bundle.prepare_like(package, str(raw), str(tmp_path / "tuned"))


@pytest.mark.parametrize("place", ["package", "raw", "run", "weights", "final weights"])
def test_training_replaces_nothing_of_others(bundles, make_discs, tmp_path, place):
    root = bundles(DISCS)
    raw = make_discs(tmp_path / "raw", count=4, foreground=255, size=40)
    out = {"package": root, "raw": raw}.get(place, tmp_path / "out")
    out.mkdir(exist_ok=True)
    kept = {"run": ".sdunet", "weights": "model.pt", "final weights": "model_final.pt"}.get(place)
    if kept:
        (out / kept).write_bytes(b"mine")
    with pytest.raises(DataError, match="OUT_"):
        bundle.prepare_like(bundle.load_package(root), str(raw), str(out))
    assert not (out / "prepared").exists()
