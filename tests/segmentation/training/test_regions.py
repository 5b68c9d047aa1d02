"""Regions that overlap are learned by a sigmoid each, painted to classes, and scored as regions."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bad_sets import gz, nifti
from monai.losses import DiceLoss, FocalLoss, TverskyLoss

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.core.values.regions import inside, paint, regions_from
from data_prep.files.hashed_json import read_hashed
from sdunet.cli.main import main
from sdunet.runtime.safetensors_io import write_weights
from sdunet.segmentation.config import NetworkConfig, TrainingConfig
from sdunet.segmentation.inference.decision import entropy_of, label_of
from sdunet.segmentation.inference.ensemble import Ensemble, load_ensemble, predict_scan
from sdunet.segmentation.inference.postprocessing import LARGEST, compare_pieces, remove_pieces
from sdunet.segmentation.models.trained_model import WEIGHTS, Model, network_for, save_description
from sdunet.segmentation.training.initial_weights import begin_from
from sdunet.segmentation.training.lightning_module import SegmentationModule
from sdunet.segmentation.training.losses import build_loss
from sdunet.segmentation.training.sides import sides_of

CLASSES = {"background": 0, "edema": 1, "necrosis": 2, "active": 3}
REGIONS = regions_from({"whole": [1, 2, 3], "core": [2, 3], "active": 3})
PLAN = Plan(2, ("a",), CLASSES, {}, "zscore", None, (16, 16), regions=REGIONS)
VOID = PLAN.num_classes
LOSSES = ("dice_ce", "dice_focal", "tversky")
SMALL = NetworkConfig(features=(4, 6, 8), num_features=3)


def drawn(shape=(2, 6, 5), seed=0, void=0.0):
    """Logits of regions and labels, of which a share is to be ignored."""
    random = torch.Generator().manual_seed(seed)
    cases, *size = shape
    logits = torch.randn((cases, len(REGIONS), *size), generator=random, dtype=torch.float64)
    label = torch.randint(0, VOID, (cases, 1, *size), generator=random)
    label[torch.rand(label.shape, generator=random) < void] = VOID
    return logits, label.to(torch.uint8)


def merged(label):
    """One channel a region, by NumPy."""
    sets = ([1, 2, 3], [2, 3], [3])
    return torch.from_numpy(np.concatenate([np.isin(label, s) for s in sets], 1)).double()


def by_monai(name, logits, there):
    """The loss of regions that are given as channels."""
    if name == "tversky":
        return TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7)(logits, there)
    dice = DiceLoss(sigmoid=True)(logits, there)
    if name == "dice_focal":
        return dice + FocalLoss()(logits, there)
    return dice + F.binary_cross_entropy(logits.sigmoid(), there)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(2, 6, 5), (1, 4, 3, 5)], ids=str)
def test_a_loss_is_that_of_regions_as_channels(name, shape):
    logits, label = drawn(shape)
    want = by_monai(name, logits, merged(label))
    for void in (None, VOID):
        loss = build_loss(name, regions=REGIONS, void=void).loss
        # MONAI's focal loss computes in single precision.
        tolerance = 1e-6 if name == "dice_focal" else 1e-12
        torch.testing.assert_close(loss(logits, label).double(), want, rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_voxels_have_no_gradient_and_the_loss_is_that_of_the_others(name):
    logits, label = drawn(void=0.3)
    loss = build_loss(name, regions=REGIONS, void=VOID)
    got = loss(logits.requires_grad_(), label)
    (gradient,) = torch.autograd.grad(got, logits)
    void = (label == VOID).expand_as(logits)
    assert not gradient[void].any()
    assert gradient[~void].all()
    kept = [(label[i, 0] != VOID) for i in range(2)]
    alone = [
        by_monai(name, logits[i][:, k][None], merged(label[i][:, k][None]))
        for i, k in enumerate(kept)
    ]
    torch.testing.assert_close(got.double(), torch.stack(alone).mean().double(), rtol=1e-6, atol=0)


def test_coarser_heads_learn_regions_of_the_nearest_voxel():
    logits, label = drawn((2, 8, 4))
    coarse = drawn((2, 4, 2), seed=1)[0]
    nearest = F.interpolate(label, (4, 2), mode="nearest-exact")
    loss = build_loss("dice_ce", regions=REGIONS)
    want = loss(logits, label) + loss(coarse, nearest) / 2
    torch.testing.assert_close(loss([logits, coarse], label), want)


def test_a_label_is_painted_where_regions_are_likelier_than_not():
    probabilities = np.random.default_rng(0).random((3, 5, 6), np.float32)
    probabilities[:, 0, 0] = 0.5  # as likely as not: background
    label = label_of(probabilities, REGIONS)
    assert label[0, 0] == 0
    np.testing.assert_array_equal(label, paint(probabilities > 0.5, REGIONS))
    # And of classes the likeliest, as ever.
    np.testing.assert_array_equal(label_of(probabilities), probabilities.argmax(0))


def test_entropy_of_regions_runs_from_certain_to_as_likely_as_not():
    probabilities = np.array([[1, 0.5, 0.5], [0, 0.5, 1]], np.float32)
    np.testing.assert_allclose(entropy_of(probabilities, of_regions=True), [0, 1, 0.5], atol=1e-6)


def test_validation_counts_regions():
    network = torch.nn.Conv2d(1, 3, 1)
    torch.nn.init.zeros_(network.weight)
    network.bias.data = torch.tensor([2.0, 1.0, -1.0])  # whole and core, wherever
    module = SegmentationModule(network, PLAN, TrainingConfig())
    _, label = drawn((1, 16, 16), void=0.2)
    module.validation_step({"image": torch.zeros(1, 1, 16, 16), "label": label}, 0)
    ((whole, core, active),) = module.counted
    kept, there = (label != VOID).numpy(), merged(label).numpy().astype(bool)
    assert (whole.tp, whole.fp, whole.fn) == (there[0, 0].sum(), kept.sum() - there[0, 0].sum(), 0)
    assert (core.tp, core.fn) == (there[0, 1].sum(), 0)
    assert (active.tp, active.fp, active.fn) == (0, 0, there[0, 2].sum())


@pytest.mark.parametrize("mirror", [False, True])
def test_a_prediction_is_painted_of_the_mean_sigmoid_of_networks_and_mirrored_windows(mirror):
    torch.manual_seed(0)
    networks = [torch.nn.Conv2d(1, 3, 3, padding=1).eval() for _ in range(2)]
    models = tuple(Model(net, PLAN, 0.5, (0, 1), str(i), None) for i, net in enumerate(networks))
    scan = Scan(np.random.default_rng(0).normal(size=(1, 16, 16)).astype(np.float32))
    found = predict_scan(
        Ensemble(models, {}, mirror=mirror), scan, Findings(), lambda text: None, uncertainty=True,
        probabilities_into=lambda shape: np.zeros(shape, np.float32))  # fmt: skip
    image = torch.from_numpy((scan.array - scan.array.mean()) / scan.array.std())[None]
    flips = [[], [2], [3], [2, 3]] if mirror else [[]]
    with torch.no_grad():
        looks = [net(image.flip(f)).sigmoid().flip(f) for net in networks for f in flips]
    mean = torch.stack(looks).mean(0)[0].numpy()
    for number in range(3):
        np.testing.assert_allclose(found.probability_of(number)[0], mean[number], atol=1e-5)
    assert (found.label[0] == paint(mean > 0.5, REGIONS)).mean() > 0.99
    assert len(np.unique(found.label)) > 2
    np.testing.assert_allclose(found.entropy[0], entropy_of(mean, of_regions=True), atol=1e-4)


def test_components_are_taken_out_of_a_region_and_of_those_within_it():
    label = np.zeros((12, 12), np.uint16)
    label[1:9, 1:9] = 1
    label[2:6, 2:6], label[3, 3] = 2, 3  # the core
    label[7, 7] = 3  # another, of one voxel
    label[10:, 10:] = 3  # and one outside
    before = label.copy()
    assert remove_pieces(label, {"core": LARGEST}, REGIONS, 1.0, of_regions=True) == 2
    want = before.copy()
    want[7, 7] = want[10:, 10:] = 1  # still of the whole
    np.testing.assert_array_equal(label, want)
    assert remove_pieces(label, {"whole": LARGEST}, REGIONS, 1.0, of_regions=True) == 1
    want[10:, 10:] = 0
    np.testing.assert_array_equal(label, want)
    pieces = compare_pieces(before, want, REGIONS[1].classes)
    assert pieces.sizes.tolist() == [16, 1, 4]
    assert pieces.reference == inside(want, (2, 3)).sum()


def saved(root, plan, seed):
    torch.manual_seed(seed)
    network = network_for(SMALL, plan)
    root.mkdir()
    save_description(root, SMALL, plan, 0.5, (0, 1))
    write_weights(root / WEIGHTS, network.state_dict())
    return network


def test_networks_of_other_regions_neither_predict_together_nor_lend_their_heads(tmp_path):
    other = replace(PLAN, regions=regions_from({"edema": 1, "core": [2, 3], "active": 3}))
    networks = [saved(tmp_path / str(i), plan, i) for i, plan in enumerate((PLAN, other))]
    (model,) = load_ensemble([tmp_path / "0"]).models
    assert model.plan == PLAN
    assert model.network(torch.zeros(1, 1, 16, 16)).shape == (1, 3, 16, 16)
    with pytest.raises(DataError, match=r"PRED_TEAM: .* other regions"):
        load_ensemble([tmp_path / "0", tmp_path / "1"])
    for plan, heads in ((PLAN, 0), (other, 2)):
        _, rest = begin_from(model, networks[1], TrainingConfig(), plan)
        assert len(rest) == heads


def test_regions_name_sides_too():
    assert sides_of(PLAN) == []
    assert sides_of(replace(PLAN, regions=regions_from({"left lung": [1, 2, 3]}))) == ["left lung"]


def balls(root, count=4, size=24):
    """A raw set of nnU-Net: three balls in each other, whose values are not in order."""
    random = np.random.default_rng(0)
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for i in range(count):
        middle = random.uniform(9, 15, (3, 1, 1, 1))
        away = np.sqrt(((np.indices((size,) * 3) - middle) ** 2).sum(0))
        label = np.select([away < 4, away < 6, away < 9], [4, 1, 2], 0).astype(np.uint8)
        label[:, :, 22:] = 3  # to be ignored
        grey = np.array([0, 150, 100, 0, 220], np.float32)[label]
        image = (grey + random.normal(0, 10, grey.shape)).astype(np.float32)
        for name, array in ((f"imagesTr/{i}_0000", image), (f"labelsTr/{i}", label)):
            (root / f"{name}.nii.gz").write_bytes(gz(nifti(array)))
    labels = {"background": 0, "whole": [1, 2, 4], "core": [1, 4], "active": 4, "ignore": 3}
    described = {"channel_names": {"0": "mr"}, "labels": labels, "numTraining": count}
    described |= {"regions_class_order": [2, 1, 4], "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(described))
    return root


@pytest.mark.long
def test_regions_go_from_a_raw_set_of_nnunet_to_scores_and_a_package(tmp_path):
    raw, out = balls(tmp_path / "raw"), tmp_path / "out"
    settings = {
        "dataset.patch_size": "[16,16,16]", "dataset.folds": 2, "network.features": "[6,8]",
        "training.epochs": 24, "training.patches_per_case": 6, "training.learning_rate": 0.01,
        "training.batch_size": 2, "training.device": "cpu", "network.name": "unet",
        "network.deep_supervision": "true"}  # fmt: skip
    given = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    assert main(["run", str(raw), "-o", str(out), "--folds", "1", *given]) == 0
    summary = read_hashed(out / "scores/summary.json")
    names = {key: means["name"] for key, means in summary["mean"].items()}
    assert names == {"(1, 2, 3)": "whole", "(1, 3)": "core", "3": "active"}
    dice = {means["name"]: means["Dice"] for means in summary["mean"].values()}
    assert min(dice.values()) > 0.7, dice
    assert summary["ignored"]["voxels"] == 2 * 24 * 24 * 2
    pred, scores = tmp_path / "pred", tmp_path / "scores"
    given = ["--model", str(out / "package"), "-i", str(raw), "-o", str(pred), "--probabilities"]
    assert main(["predict", *given, "--no-postprocess"]) == 0
    given = ["--pred", str(pred), "--ref", str(raw)]
    assert main(["evaluate", *given, "--out", str(scores)]) == 0
    assert set(read_hashed(scores / "summary.json")["calibration_error"]) == {*dice}
    by_class = ["--out", str(tmp_path / "classes"), "--dataset.regions", "{}"]
    assert main(["evaluate", *given, *by_class]) == 0
    assert [*read_hashed(tmp_path / "classes/summary.json")["mean"]] == ["1", "2", "3"]
    described = json.loads((raw / "dataset.json").read_text())
    described["labels"]["core"] = [1, 2]
    (raw / "dataset.json").write_text(json.dumps(described))
    assert main(["evaluate", *given, "--out", str(tmp_path / "other")]) == 1
