"""Weights of classes: each value of a loss times its own, and means over cases as without."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss, FocalLoss, TverskyLoss
from training_runs import arguments_of, run

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.values.regions import regions_from
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.preprocessing.instances import object_classes
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.models.run_settings import SETTINGS
from sdunet.segmentation.models.together import differing, settings_of
from sdunet.segmentation.training.losses import build_loss, weights_of

LABELS = {"background": 0, "organ": 1, "tumour": 2}
REGIONS = regions_from({"all": [1, 2], "tumour": 2, "organ": 1})
PLAN = Plan(2, ("a",), LABELS, {}, "zscore", None, (16, 16))
VOID = PLAN.num_classes
LOSSES = ("dice_ce", "dice_focal", "tversky")
WEIGHTS = (0.7, 1.3, 3.0)
EACH = {"alpha": 0.3, "beta": 0.7, "reduction": "none"}


def drawn(cases=2, classes=3, void=0.0):
    """Logits and labels whose cases hold other shares of the classes."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn((cases, classes, 6, 5), generator=random, dtype=torch.float64)
    label = torch.rand((cases, 1, 6, 5), generator=random)
    label = (label ** torch.arange(1, cases + 1).reshape(-1, 1, 1, 1) * classes).long()
    label[torch.rand(label.shape, generator=random) < void] = VOID
    return logits, label


def of_classes(name, logits, label, weights):
    """The loss by PyTorch's values of voxels and MONAI's of classes, weighted by hand."""
    shares, there = logits.softmax(1), F.one_hot(label[:, 0], len(weights)).movedim(-1, 1)
    every, found = (torch.tensor(w, dtype=torch.float64) for w in (weights, weights[1:]))
    if name == "tversky":
        return (TverskyLoss(**EACH)(shares[:, 1:], there[:, 1:]) * found).mean()
    dice = DiceLoss(reduction="none")(shares[:, 1:], there[:, 1:])[..., 0, 0]
    voxels = F.cross_entropy(logits, label[:, 0], reduction="none")
    if name == "dice_focal":
        voxels = voxels * (1 - shares.gather(1, label)[:, 0]) ** 2 / len(weights)
    return (dice * found).mean() + (voxels * every[label[:, 0]]).mean()


def of_regions(name, logits, label, weights):
    """The mean over regions of the weighted loss of each, alone."""
    found = []
    for i, (region, weight) in enumerate(zip(REGIONS, weights, strict=True)):
        one = logits[:, i : i + 1]
        there = torch.isin(label, torch.tensor(region.classes)).double()
        if name == "tversky":
            found.append(weight * TverskyLoss(**EACH)(one.sigmoid(), there).mean())
            continue
        voxels = F.binary_cross_entropy_with_logits(one, there)
        second = FocalLoss()(one, there) if name == "dice_focal" else voxels
        found.append(weight * (DiceLoss(sigmoid=True)(one, there) + second))
    return torch.stack(found).mean()


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("oracle", "regions"), [(of_classes, ()), (of_regions, REGIONS)])
def test_each_value_is_multiplied_by_its_weight(name, deterministic, oracle, regions):
    logits, label = drawn()
    whole = build_loss(name, deterministic=deterministic, regions=regions, weights=WEIGHTS)
    # MONAI's focal loss computes in single precision.
    tolerance = 1e-6 if name == "dice_focal" else 1e-12
    want = oracle(name, logits, label, WEIGHTS)
    got = whole.loss(logits, label)  # with other heads it is summed in single precision
    torch.testing.assert_close(got.double(), want, rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("regions", [(), REGIONS], ids=["classes", "regions"])
def test_equal_weights_are_the_plain_loss_so_many_times(name, regions):
    logits, label = drawn()
    plain, ones, twice = (
        build_loss(name, regions=regions, weights=weights)(logits, label)
        for weights in ((), (1.0, 1, 1), (2, 2, 2))
    )
    assert plain == ones
    torch.testing.assert_close(twice, 2 * plain)


@pytest.mark.parametrize("name", LOSSES)
def test_a_single_class_has_its_weight_too(name):
    logits, label = drawn(classes=2)
    plain, twice = (build_loss(name, weights=w)(logits, label) for w in ((), (2, 2)))
    torch.testing.assert_close(twice, 2 * plain)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("void", [0.0, 0.3])
@pytest.mark.parametrize("regions", [(), REGIONS], ids=["classes", "regions"])
def test_a_batch_counts_as_the_mean_of_its_cases(name, void, regions):
    logits, label = drawn(void=void)
    ignored = VOID if void else None
    loss = build_loss(name, void=ignored, regions=regions, weights=WEIGHTS)
    alone = torch.stack([loss(logits[i : i + 1], label[i : i + 1]) for i in range(2)])
    assert alone[0] != alone[1]
    torch.testing.assert_close(loss(logits, label), alone.mean())
    if not void:
        with_void = build_loss(name, void=VOID, regions=regions, weights=WEIGHTS)
        assert with_void(logits, label) == loss(logits, label)


def test_what_is_ignored_has_no_gradient_and_a_heavier_class_has_more():
    logits, label = drawn(void=0.3)
    slopes = []
    for weights in ((), (1, 1, 4)):
        loss = build_loss("dice_ce", void=VOID, weights=weights)
        (slope,) = torch.autograd.grad(loss(logits.requires_grad_(), label), logits)
        assert not slope[(label == VOID).expand_as(slope)].any()
        slopes.append(slope[:, 2][label[:, 0] == 2].abs().sum())
    assert slopes[1] > 3 * slopes[0]


@pytest.mark.parametrize(
    ("changes", "asked", "want"),
    [
        ({}, {}, (1, 1, 1)),
        ({}, {"tumour": 3, "background": 0.5}, (0.5, 1, 3)),
        ({"regions": REGIONS}, {"tumour": 3, "all": 2}, (2, 3, 1)),
        ({"labels": object_classes(), "instances": "cell"}, {"boundary": 2}, (1, 1, 2)),
        ({"labels": {"0": 0, "1": 1}}, {1: 2}, (1, 2)),  # as YAML reads a name of digits
    ],
)
def test_weights_are_of_the_outputs_of_the_network(changes, asked, want):
    plan = replace(PLAN, **changes)
    found = weights_of(plan, TrainingConfig(class_weights=asked))
    assert found == want
    assert len(found) == plan.outputs


@pytest.mark.parametrize(
    ("changes", "asked", "loss", "told"),
    [
        ({}, "tumor", "dice_ce", "learns background, organ, tumour; name 'tumour'"),
        ({"regions": REGIONS}, "background", "dice_ce", "learns all, tumour, organ; name what"),
        ({"labels": object_classes(), "instances": "cell"}, "cell", "dice_ce", "inside, boundary"),
        ({}, "background", "tversky", "tversky leaves out"),
    ],
)
def test_a_name_without_a_part_in_the_loss_is_refused(changes, asked, loss, told):
    config = TrainingConfig(class_weights={asked: 2}, loss=loss)
    with pytest.raises(DataError, match=f"CONFIG_CLASSES: .*names '?{asked}'?, .*{told}"):
        weights_of(replace(PLAN, **changes), config)


def test_wrong_weights_are_told_before_anything_is_written(disc_run, tmp_path, capsys):
    command = arguments_of(disc_run, tmp_path / "run", "--training.class_weights")
    assert run(*command, "{disk: 2}") == 1
    assert "learns background, disc; name 'disc'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run(*command, "{disc: 0}")
    assert "--training.class_weights takes numbers > 0" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_its_weights_and_is_told_from_others(disc_run, tmp_path, capsys):
    out, one = tmp_path / "run", "--training.class_weights.disc=3"
    command = arguments_of(disc_run, out, "--epochs=1")
    assert run(*command, one) == 0
    assert read_hashed(out / SETTINGS)["training"]["class_weights"] == {"disc": 3.0}
    assert run(*command, "--resume", one) == 0
    capsys.readouterr()
    assert run(*command, "--resume") == 1
    assert "training.class_weights: {'disc': 3.0} then, {} now" in capsys.readouterr().err
    other = settings_of(disc_run[1] / "run")
    assert other["training.class_weights"] == {}
    assert "training.class_weights" in differing(settings_of(out), other)
    settings = read_hashed(out / SETTINGS)
    settings["training"]["class_weights"] = {}
    write_hashed(out / SETTINGS, settings)
    assert run(*command, "--resume") == 1
    assert "RUN_OTHER" in capsys.readouterr().err
