"""What a network learns from: patches, their order, augmentation, losses, learning rate."""

import itertools

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss

from data_prep.core.config import DataConfig, Plan
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from sdunet.segmentation.config import TrainingConfig
from sdunet.segmentation.training.augmentation import augmentation, draw_patch, places_of
from sdunet.segmentation.training.data_module import Patches, SegmentationData
from sdunet.segmentation.training.lightning_module import learning_rate_at
from sdunet.segmentation.training.losses import build_loss
from sdunet.segmentation.training.patch_order import PatchOrder

PLAN = Plan(2, ("a",), {"background": 0, "b": 1}, {}, "zscore", None, (16, 16))


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on few cores
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_patches_are_the_same_from_any_number_of_workers(disc_run, workers):
    _, root, _ = disc_run
    config = TrainingConfig(batch_size=2, patches_per_case=2, workers=workers)
    loader = SegmentationData(load_dataset(root / "set"), 0, config).train_dataloader()
    plain = SegmentationData(
        load_dataset(root / "set"), 0, TrainingConfig(batch_size=2, patches_per_case=2)
    ).train_dataloader()
    for _ in range(2):
        for got, want in zip(loader, plain, strict=True):
            assert torch.equal(got["image"], want["image"])
            assert torch.equal(got["label"], want["label"])


@pytest.mark.long
def test_augmentation_computes_as_in_a_worker(discs, tmp_path):
    prepare(discs(), tmp_path / "set", DataConfig(patch_size=(256, 256)))
    dataset = load_dataset(tmp_path / "set")
    patches = Patches(dataset, list(dataset.cases), TrainingConfig(augmentation="full"))
    drawn = [(number, seed) for number in range(len(patches)) for seed in range(20)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = [patches[one]["image"] for one in drawn]
        torch.set_num_threads(4)
        assert all(torch.equal(patches[d]["image"], a) for d, a in zip(drawn, alone, strict=True))
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(threads)


def test_an_order_of_patches_goes_on_from_any_step():
    whole = list(itertools.chain(*(PatchOrder(7, 3, 2, 5, lambda e=e: 10 * e) for e in range(3))))
    for done in range(30):
        rest = list(PatchOrder(7, 3, 2, 5, lambda done=done: done))
        assert rest == whole[done : 10 * (done // 10 + 1)]


def test_what_is_left_over_after_the_last_whole_step_is_not_drawn():
    steps = list(PatchOrder(7, 3, 2, 0))
    assert len(steps) == 10
    assert all(len(step) == 2 for step in steps)
    assert max(np.bincount([case for step in steps for case, _ in step])) == 3


def test_no_patch_is_drawn_twice_and_every_case_as_often():
    epochs = [list(PatchOrder(6, 4, 3, 0, lambda e=e: 8 * e)) for e in range(3)]
    seeds = [seed for epoch in epochs for step in epoch for _, seed in step]
    assert len(set(seeds)) == len(seeds) == 72
    for epoch in epochs:
        cases = [case for step in epoch for case, _ in step]
        assert np.bincount(cases).tolist() == [4] * 6
    assert epochs[0] != epochs[1]
    assert list(PatchOrder(6, 4, 3, 1)) != epochs[0]


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_patches_of_one_process_with_the_whole_batch(ranks):
    whole = list(PatchOrder(6, 6, 2 * ranks, 3))
    parts = [list(PatchOrder(6, 6, 2, 3, rank=r, ranks=ranks)) for r in range(ranks)]
    assert whole == [list(itertools.chain(*step)) for step in zip(*parts, strict=True)]


def test_an_epoch_has_a_step_however_few_cases_there_are():
    assert len(list(PatchOrder(1, 1, 8, 0))) == 1
    (step,) = PatchOrder(1, 1, 8, 0, rank=1, ranks=2)
    assert [case for case, _ in step] == [0]


@pytest.mark.parametrize("sizes", [(40, 50), (20, 30, 25), (5, 60)])
def test_patches_lie_inside_and_around_the_cells_they_are_drawn_for(sizes):
    label = np.zeros((1, *sizes), np.uint8)
    label[(0, *(n // 2 for n in sizes))] = 1
    label[(0, *(n - 1 for n in sizes))] = 2
    patch = tuple(min(n, 9) for n in sizes)
    random = np.random.RandomState(0)
    held = np.zeros(3)
    for _ in range(400):
        where = draw_patch(sizes, patch, places_of(label), 0.8, random)
        assert label[(0, *where)].shape == patch
        held += np.bincount(np.unique(label[(0, *where)]), minlength=3)
    assert (held[1:] > 400 * 0.4 * 0.8).all()


def test_scans_without_foreground_are_drawn_from_anywhere():
    places = places_of(np.zeros((1, 30, 30), np.uint8))
    random = np.random.RandomState(0)
    starts = {draw_patch((30, 30), (8, 8), places, 0.9, random)[0].start for _ in range(200)}
    assert len(starts) > 10


@pytest.mark.parametrize("level", ["light", "full"])
@pytest.mark.parametrize(
    ("patch", "rotate"), [((16, 16), True), ((12, 20), False), ((9, 8, 7), False)]
)
def test_image_and_label_are_flipped_turned_and_warped_alike(patch, rotate, level):
    plan = Plan(len(patch), ("a",), PLAN.labels, {}, "zscore", None, patch)
    augment = augmentation(plan, TrainingConfig(rotate=rotate, augmentation=level))
    only_image = ("Intensity", "Noise", "Smooth", "Contrast", "Resolution")
    kept = [t for t in augment.transforms if not any(n in str(type(t)) for n in only_image)]
    augment.transforms = kept
    for transform in kept:  # nearest, so that both must be equal
        if hasattr(transform, "mode"):
            transform.mode = ("nearest", "nearest")
    label = np.random.default_rng(0).integers(0, 200, (1, *patch))
    seen = set()
    for seed in range(30):
        augment.set_random_state(seed=seed)
        drawn = augment({"image": label.astype(np.float32), "label": label.astype(np.float32)})
        assert drawn["image"].shape == (1, *patch)
        assert torch.equal(drawn["image"], drawn["label"])
        seen.add(drawn["label"].numpy().tobytes())
    assert len(seen) >= (8 if len(patch) == 3 or rotate else 4)


@pytest.mark.parametrize("patch", [(16, 16), (9, 8, 7)], ids=len)
def test_all_of_the_augmentation_together_keeps_shape_and_classes(patch):
    plan = Plan(len(patch), ("a", "b"), PLAN.labels, {}, "zscore", None, patch)
    config = TrainingConfig(augmentation="full", rotate=len(patch) == 2)
    augment = augmentation(plan, config)
    random = np.random.default_rng(0)
    for transform in augment.transforms:
        if hasattr(transform, "prob"):
            transform.prob = 1
    for seed in range(10):
        augment.set_random_state(seed=seed)
        image = random.normal(size=(2, *patch)).astype(np.float32)
        drawn = augment({"image": image, "label": random.integers(0, 2, (1, *patch))})
        assert drawn["image"].shape == (2, *patch)
        assert drawn["image"].isfinite().all()
        assert not np.allclose(drawn["image"], image, atol=0.01)
        assert set(drawn["label"].unique().tolist()) == {0, 1}


def test_thick_slices_are_turned_in_their_plane_only():
    plan = Plan(3, ("a",), PLAN.labels, {}, "zscore", (5.0, 1.0, 1.0), (6, 16, 16))
    augment = augmentation(plan, TrainingConfig(augmentation="full", flip_axes=(1, 2)))
    (warp,) = (t for t in augment.transforms if "Affine" in str(type(t)))
    image = np.arange(6, dtype=np.float32)[None, :, None, None].repeat(16, 2).repeat(16, 3)
    for seed in range(20):
        warp.set_random_state(seed=seed)
        drawn = warp({"image": torch.tensor(image), "label": torch.tensor(image)})["image"]
        torch.testing.assert_close(torch.as_tensor(drawn), torch.tensor(image), rtol=0, atol=1e-4)


def test_learning_rate_falls_from_its_start_to_zero():
    for schedule, half in (("cosine", 0.5), ("poly", 0.5**0.9)):
        config = TrainingConfig(schedule=schedule, learning_rate=0.1)
        rates = [learning_rate_at(share, config) for share in np.linspace(0, 1, 9)]
        assert rates == sorted(rates, reverse=True)
        assert rates[4] == pytest.approx(0.1 * half)
        assert (rates[0], rates[-1]) == (0.1, pytest.approx(0, abs=1e-12))
    assert learning_rate_at(0.7, TrainingConfig(schedule="constant", learning_rate=0.1)) == 0.1


@pytest.mark.parametrize("name", ["dice_ce", "dice_focal", "tversky"])
def test_losses_fall_to_zero_and_are_means_over_cases(name):
    loss = build_loss(name)
    torch.manual_seed(0)
    label = torch.randint(0, 3, (4, 1, 8, 8))
    right = torch.nn.functional.one_hot(label[:, 0], 3).movedim(-1, 1).float()
    assert loss(200 * right, label) < 1e-3 < 0.3 < loss(-200 * right, label)
    logits = torch.randn(4, 3, 8, 8)
    parts = torch.stack([loss(logits[i : i + 2], label[i : i + 2]) for i in (0, 2)])
    torch.testing.assert_close(loss(logits, label), parts.mean())


def test_the_deterministic_loss_is_the_same():
    torch.manual_seed(0)
    label = torch.randint(0, 3, (4, 1, 8, 8))
    logits = torch.randn(4, 3, 8, 8, requires_grad=True)
    both = [build_loss("dice_ce", deterministic=d)([logits], label) for d in (False, True)]
    torch.testing.assert_close(*both)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in both))


def test_focal_loss_is_that_of_the_softmax():
    torch.manual_seed(0)
    label = torch.randint(0, 3, (2, 1, 5, 4))
    logits = torch.randn(2, 3, 5, 4, requires_grad=True)
    focal = build_loss("dice_focal").loss.focal(logits, label)
    exact = logits.detach().double().requires_grad_()
    chance = exact.softmax(1).gather(1, label)
    want = -((1 - chance) ** 2 * chance.log()).mean() / 3  # over the classes, too
    torch.testing.assert_close(focal.double(), want)
    got, want = (torch.autograd.grad(*pair)[0] for pair in ((focal, logits), (want, exact)))
    torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-8)


# MONAI's focal loss computes in single precision, too coarse for differences.
@pytest.mark.parametrize("name", ["dice_ce", "tversky"])
@pytest.mark.parametrize("kind", ["mixed", "empty", "full", "one voxel"])
def test_gradients_of_losses_match_finite_differences(name, kind):
    loss = build_loss(name).loss.double()
    label = torch.zeros(2, 1, 3, 4)
    if kind == "mixed":
        label = torch.arange(24).reshape(2, 1, 3, 4) % 3
    elif kind == "full":
        label += 2
    elif kind == "one voxel":
        label[0, 0, 1, 2] = 1
    logits = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: loss(x, label.double()), logits)


def test_deeper_outputs_count_half_as_much():
    loss = build_loss("dice_ce")
    torch.manual_seed(0)
    label = torch.randint(0, 2, (2, 1, 8, 8)).float()
    full, half = torch.randn(2, 2, 8, 8), torch.randn(2, 2, 4, 4)
    plain = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True)
    want = plain(full, label) + 0.5 * plain(half, label[..., 1::2, 1::2])
    torch.testing.assert_close(loss([full, half], label), want)
