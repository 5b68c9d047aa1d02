"""Voxels that labels say to ignore: no loss, no patch and no rule is drawn from them."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from data_prep.core.config import DataConfig, Plan
from data_prep.files.hashed_json import read_hashed
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from sdunet.cli.main import main
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.inference.postprocessing import compare_pieces, kept_pieces
from sdunet.segmentation.training.augmentation import augmentation, pad_patch, places_of
from sdunet.segmentation.training.data_module import Patches, load_case
from sdunet.segmentation.training.lightning_module import SegmentationModule
from sdunet.segmentation.training.losses import build_loss

CLASSES = 3
VOID = CLASSES
LOSSES = ("dice_ce", "dice_focal", "tversky")


def drawn(shape=(2, 6, 5), seed=0):
    """Logits and labels, of which about a third is to be ignored."""
    random = torch.Generator().manual_seed(seed)
    cases, *size = shape
    logits = torch.randn((cases, CLASSES, *size), generator=random, dtype=torch.float64)
    label = torch.randint(0, CLASSES, (cases, 1, *size), generator=random)
    label[torch.rand(label.shape, generator=random) < 0.3] = VOID
    return logits, label.to(torch.uint8)


def by_formula(name, logits, label):
    """The loss of one case, written out: what is ignored is 0 in every sum, and not counted."""
    kept = (label != VOID).double()
    probabilities = logits.softmax(0)
    there = F.one_hot(label[0].long() % VOID, CLASSES).movedim(-1, 0) * kept
    found = probabilities * kept
    axes = tuple(range(1, logits.ndim))
    both = (found * there).sum(axes)[1:]
    if name == "tversky":
        false = 0.3 * (found * (1 - there)).sum(axes)[1:]
        missed = 0.7 * ((1 - found) * there).sum(axes)[1:]
        return (1 - (both + 1e-5) / (both + false + missed + 1e-5)).mean()
    dice = 1 - (2 * both + 1e-5) / ((found + there).sum(axes)[1:] + 1e-5)
    entropy = -(there * probabilities.log()).sum(0)
    if name == "dice_focal":
        entropy = -(there * (1 - probabilities) ** 2 * probabilities.log()).sum(0) / CLASSES
    return dice.mean() + entropy.sum() / kept.sum()


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(2, 6, 5), (1, 4, 3, 5)], ids=str)
def test_a_loss_is_that_of_the_other_voxels(name, shape, deterministic):
    logits, label = drawn(shape)
    got = build_loss(name, deterministic=deterministic, void=VOID).loss(logits, label)
    want = torch.stack([by_formula(name, *case) for case in zip(logits, label, strict=True)])
    # MONAI's focal loss computes in single precision.
    tolerance = 1e-6 if name == "dice_focal" else 1e-12
    torch.testing.assert_close(got.double(), want.mean(), rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_voxels_have_no_gradient_and_change_no_loss(name):
    logits, label = drawn()
    loss = build_loss(name, void=VOID)
    void = (label == VOID).expand_as(logits)
    (gradient,) = torch.autograd.grad(loss(logits.requires_grad_(), label), logits)
    assert not gradient[void].any()
    assert gradient[~void].all()
    other = torch.where(void, 50 * torch.randn(logits.shape).double(), logits)
    assert loss(other, label) == loss(logits, label)


@pytest.mark.parametrize("name", LOSSES)
def test_a_case_of_ignored_voxels_alone_counts_0(name):
    logits, label = drawn()
    label[1] = VOID
    loss = build_loss(name, void=VOID)
    value = loss(logits.requires_grad_(), label)
    (gradient,) = torch.autograd.grad(value, logits)
    torch.testing.assert_close(value, loss(logits[:1], label[:1]) / 2)
    assert gradient[0].any()
    assert not gradient[1].any()
    label[:] = VOID
    value = loss(logits, label)
    assert value == 0
    assert not torch.autograd.grad(value, logits)[0].any()


@pytest.mark.parametrize("name", LOSSES)
def test_without_ignored_voxels_a_loss_is_the_usual_one(name):
    logits, label = drawn()
    label = label % VOID
    assert build_loss(name, void=VOID)(logits, label) == build_loss(name)(logits, label)


def test_coarser_heads_ignore_where_the_nearest_voxel_is_ignored():
    logits, label = drawn((2, 8, 4))
    coarse = drawn((2, 4, 2), seed=1)[0]
    nearest = F.interpolate(label, (4, 2), mode="nearest-exact")
    loss = build_loss("dice_ce", void=VOID)
    heads = [logits.requires_grad_(), coarse.requires_grad_()]
    value = loss(heads, label)
    torch.testing.assert_close(value, loss(logits, label) + loss(coarse, nearest) / 2)
    for gradient, there in zip(torch.autograd.grad(value, heads), (label, nearest), strict=True):
        assert not gradient[(there == VOID).expand_as(gradient)].any()
        assert gradient.any()


def test_patches_are_drawn_around_classes_alone_and_padded_with_background():
    label = np.full((1, 9, 7), VOID, np.uint8)
    label[0, :3] = 0
    label[0, 4, 4] = 2
    places = places_of(label, VOID)
    assert [set(label.flat[found]) for found in places] == [{0}, {2}]
    padded = pad_patch(label, (16, 16))
    assert (padded == VOID).sum() == (label == VOID).sum()
    assert not padded[:, 0].any()


@pytest.fixture
def prepared(tmp_path, write_picture):
    """A prepared set of three images, of which one corner is of a class and the other half void."""
    random = np.random.default_rng(0)
    label = np.zeros((32, 32), np.uint8)
    label[:3, :3], label[16:] = 1, 255
    for i in range(3):
        image = random.integers(0, 255, label.shape, np.uint8)
        write_picture(tmp_path / f"raw/images/{i}.png", image)
        write_picture(tmp_path / f"raw/labels/{i}.png", label)
    labels = {"background": 0, "corner": 1, "ignore": 255}
    config = DataConfig(labels=labels, patch_size=(16, 16), folds=3)
    return prepare(tmp_path / "raw", tmp_path / "set", config)[0]


def test_patches_around_foreground_hold_a_class(prepared):
    config = TrainingConfig(foreground=1.0, augmentation="none")
    patches = Patches(prepared, ["0"], config)
    for seed in range(12):
        assert (patches[0, seed]["label"] == 1).any()


def test_validation_counts_what_is_not_ignored(prepared):
    network = torch.nn.Conv2d(1, 2, 1)
    torch.nn.init.zeros_(network.weight)
    network.bias.data = torch.tensor([0.0, 1.0])  # the class, wherever
    module = SegmentationModule(network, prepared.plan, TrainingConfig())
    case = load_case(prepared, "0")
    batch = {name: torch.as_tensor(case[name])[None] for name in ("image", "label")}
    module.validation_step(batch, 0)
    (((counted,),),) = (module.counted,)
    assert (counted.tp, counted.fp, counted.fn, counted.tn) == (9, 16 * 32 - 9, 0, 0)
    logits = torch.randn(1, 2, 32, 32)
    kept = batch["label"][:, 0] != prepared.plan.rules.void
    other = torch.where(kept[:, None], logits, logits.flip(1))
    assert module.loss(logits, batch["label"]) == module.loss(other, batch["label"])


def test_augmentation_mixes_what_is_ignored_with_no_class():
    plan = Plan(2, ("a",), {"b": 0, "c": 1, "d": 2}, {}, "zscore", None, (16, 16), ignored=255)
    assert plan.rules.void == VOID
    label = np.zeros((1, 16, 16), np.uint8)
    label[0, 4:] = VOID
    warp = augmentation(plan, TrainingConfig(augmentation="full"))
    seen = set()
    for seed in range(20):
        warp.set_random_state(seed=seed)
        patch = warp({"image": np.zeros((1, 16, 16), np.float32), "label": label})
        seen |= set(patch["label"].unique().tolist())
    assert seen == {0, VOID}  # and none of the numbers between


def test_rules_of_components_are_chosen_by_what_is_not_ignored():
    reference, prediction = np.zeros((2, 6, 6), np.uint8)
    reference[:2, :2] = prediction[:2, :2] = 1
    prediction[4:, 1:] = 1  # ten voxels, all but two of them ignored
    reference[4:, 2:] = VOID
    pieces = compare_pieces(prediction, reference, (1,), VOID)
    everything, largest = (kept_pieces(pieces.sizes, rule, 1.0) for rule in (0.0, "largest"))
    assert pieces.dice(everything) == pytest.approx(8 / (4 + 2 + 4))
    assert largest.tolist() == [False, True]  # as it will be when nothing tells what to ignore
    without = compare_pieces(np.where(reference == VOID, 0, prediction), reference, (1,))
    assert without.dice(np.ones(2, bool)) == pieces.dice(everything)


@pytest.mark.long
def test_what_is_ignored_goes_from_raw_labels_to_scores(make_discs, tmp_path, write_picture):
    from PIL import Image

    raw = make_discs(tmp_path / "raw", count=4)
    for path in (raw / "masks").iterdir():
        mask = np.array(Image.open(path))
        mask[:, 30:] = 255
        write_picture(path, mask)
    (tmp_path / "task.yaml").write_text(
        "dataset:\n"
        "  labels: {background: 0, disc: 1, ignore: 255}\n"
        "  patch_size: [32, 32]\n"
        "  folds: 2\n"
        "network: {features: [4, 6], num_features: 3}\n"
        "training: {epochs: 2, batch_size: 2, patches_per_case: 4, device: cpu}\n"
    )
    raw, prepared, out, pred, scores, config = (
        str(tmp_path / n) for n in ("raw", "set", "run", "pred", "scores", "task.yaml")
    )
    assert main(["prepare", raw, prepared, "--config", config]) == 0
    assert all(record.ignored == 48 * 18 for record in load_dataset(prepared).cases.values())
    assert main(["train", "--config", config, "--data", prepared, "--out", out]) == 0
    assert main(["postprocess", "--model", out, "--data", prepared]) == 0
    assert main(["predict", "--model", out, "-i", f"{raw}/images", "-o", pred]) == 0
    for path in (tmp_path / "pred").glob("*.png"):
        assert set(np.unique(np.asarray(Image.open(path)))) <= {0, 1}
    # The record of the predictions tells what to ignore.
    assert main(["evaluate", "--pred", pred, "--ref", raw, "--out", scores]) == 0
    summary = read_hashed(tmp_path / "scores/summary.json")
    assert [case["n_ignored"] for case in summary["metric_per_case"]] == [48 * 18] * 4
    assert json.loads((tmp_path / "pred/predictions.json").read_text())["ignored"] == 255
