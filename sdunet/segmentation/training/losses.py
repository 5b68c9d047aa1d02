"""Losses by the name a configuration gives them, from MONAI's, and how they weigh classes."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TypedDict, get_args

import torch
import torch.nn.functional as F
from monai.losses import DeepSupervisionLoss, DiceCELoss, DiceLoss, FocalLoss, TverskyLoss
from monai.networks import one_hot
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.values.regions import Region
from sdunet.segmentation.config import LossName, TrainingConfig

LOSSES = get_args(LossName)
_ALARMS, _MISSES = 0.3, 0.7  # weights of Tversky


class _Options(TypedDict):
    include_background: bool
    to_onehot_y: bool
    softmax: bool


_ONE_HOT: _Options = {"include_background": False, "to_onehot_y": True, "softmax": True}
_SHOWN = 8


def weights_of(plan: Plan, config: TrainingConfig) -> tuple[float, ...]:
    """Return how much the loss counts each output of the network, as `class_weights` says.

    Names are those of what the network learns: regions where there are some, else classes; of
    objects these are their inside and boundary. What is not named counts 1.

    Raises:
        DataError: CONFIG_CLASSES for another name, or for the background if the loss leaves it out.
    """
    names = [region.name for region in plan.regions] or plan.classes
    asked = {str(name): weight for name, weight in config.class_weights.items()}
    for name in asked:
        if name not in names:
            learned = ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
            found = f"training.class_weights names {name!r}, the network learns {learned}"
            close = get_close_matches(name, names, n=1)
            fix = f"name {close[0]!r}" if close else "name what it learns"
            raise DataError("CONFIG_CLASSES", found, fix)
    if config.loss == "tversky" and not plan.regions and asked.get(names[0], 1) != 1:
        found = f"training.class_weights names {names[0]}, which training.loss tversky leaves out"
        raise DataError("CONFIG_CLASSES", found, "leave it out, or take another loss")
    return tuple(asked.get(name, 1.0) for name in names)


def build_loss(
    name: str,
    *,
    deterministic: bool = False,
    void: int | None = None,
    regions: Sequence[Region] = (),
    weights: Sequence[float] = (),
) -> nn.Module:
    """Return the loss of `(N, classes, ...)` logits, or of a list of them, and class numbers.

    With regions, logits are `(N, regions, ...)`, and the loss that of the sigmoid of each: Dice
    with binary cross-entropy or with focal loss, or Tversky.

    It is a mean over cases, so that several processes come to the same gradient as one. Of a
    list, the first counts 1, each further one half of the one before. `deterministic` has the
    same value, and on GPUs the same bits every time. Voxels of the number `void` are ignored.
    `weights` are of each channel of the logits, see `weights_of`; all 1 change nothing.
    """
    weights = () if {*weights} <= {1} else weights
    dice_ce = _DeterministicDiceCE if deterministic else DiceCELoss
    losses: dict[str, Callable[[], _Loss]] = {
        "dice_ce": lambda: dice_ce(**_ONE_HOT),
        "dice_focal": DiceFocal,
        "tversky": lambda: TverskyLoss(**_ONE_HOT, alpha=_ALARMS, beta=_MISSES),
    }
    if regions:
        loss: _Loss = OfRegions(name, regions, weights)
    else:
        loss = Weighted(name, weights) if weights else losses[name]()
    return DeepSupervisionLoss(loss if void is None else Ignoring(loss, void))


class OfRegions(_Loss):
    """A loss of the sigmoid of each region by itself, the mean over regions.

    Args:
        name: of the loss.
        regions: classes of each channel of the logits.
        weights: by which the loss of each region is multiplied. Default: 1.
    """

    def __init__(self, name: str, regions: Sequence[Region], weights: Sequence[float] = ()) -> None:
        super().__init__()
        self.sets = [region.classes for region in regions]
        parts: dict[str, Callable[[], list[_Loss]]] = {
            "dice_ce": lambda: [DiceLoss(sigmoid=True), nn.BCEWithLogitsLoss()],
            "dice_focal": lambda: [DiceLoss(sigmoid=True), FocalLoss()],
            "tversky": lambda: [TverskyLoss(sigmoid=True, alpha=_ALARMS, beta=_MISSES)],
        }
        plain = parts[name]()
        self.parts = nn.ModuleList([Scaled(p, weights) for p in plain] if weights else plain)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of logits `(N, regions, ...)` and class numbers `(N, 1, ...)`."""
        inside = [torch.isin(label, label.new_tensor(numbers)) for numbers in self.sets]
        there = torch.cat(inside, 1).to(logits)
        return torch.stack([part(logits, there) for part in self.parts]).sum()


class Weighted(_Loss):
    """A loss of the softmax whose values, of a class each, are multiplied by its weight.

    The means are over classes, voxels and cases as without weights: nothing is divided by a sum of
    weights, which would be another in each batch.

    Args:
        name: of the loss.
        weights: of each class, the background first; Dice and Tversky have none of that.
    """

    def __init__(self, name: str, weights: Sequence[float]) -> None:
        super().__init__()
        tversky = TverskyLoss(**_ONE_HOT, alpha=_ALARMS, beta=_MISSES)
        parts: dict[str, list[_Loss]] = {
            "dice_ce": [Scaled(DiceLoss(**_ONE_HOT), weights[1:]), CrossEntropy(weights)],
            "dice_focal": [Scaled(DiceLoss(**_ONE_HOT), weights[1:]), Scaled(_focal(), weights)],
            "tversky": [Scaled(tversky, weights[1:])],
        }
        self.parts = nn.ModuleList(parts[name])

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of logits `(N, classes, ...)` and class numbers `(N, 1, ...)`."""
        return torch.stack([part(logits, label) for part in self.parts]).sum()


class Scaled(_Loss):
    """The mean of the values of a loss, each multiplied by the weight of its channel.

    MONAI's own `weight` is of several channels alone, and Tversky has none.

    Args:
        loss: with a value for each case and channel, and perhaps each voxel.
        weights: of its channels.
    """

    def __init__(self, loss: _Loss, weights: Sequence[float]) -> None:
        super().__init__()
        loss.reduction = "none"
        self.loss = loss
        self.weights = tuple(weights)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the mean, of what the loss takes."""
        values = self.loss(logits, label)  # (N, channels, ...)
        shape = (-1, *[1] * (values.ndim - 2))
        return (values * values.new_tensor(self.weights).reshape(shape)).mean()


class CrossEntropy(_Loss):
    """The mean over voxels of the cross-entropy, each multiplied by the weight of its class.

    Args:
        weights: of each class.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights = tuple(weights)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of logits `(N, classes, ...)` and class numbers `(N, 1, ...)`."""
        # Of class numbers, PyTorch divides by the sum of the weights of the batch's voxels.
        there = one_hot(label, logits.shape[1], dtype=logits.dtype)
        return F.cross_entropy(logits, there, logits.new_tensor(self.weights))


class Ignoring(_Loss):
    """A loss of all voxels but the ignored: of each case that of the others alone, and their mean.

    Without any that are ignored it is the loss itself; a case of nothing else counts 0.

    Args:
        loss: a mean over cases, wherever their voxels lie.
        void: number of the ignored voxels in labels.
    """

    def __init__(self, loss: _Loss, void: int) -> None:
        super().__init__()
        self.loss = loss
        self.void = void

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of logits `(N, classes, ...)` and class numbers `(N, 1, ...)`."""
        kept = (label != self.void).flatten(1)
        if bool(kept.all()):
            return self.loss(logits, label)
        cases = zip(logits.flatten(2), label.flatten(2), kept, strict=True)
        return torch.stack([self._of_case(*case) for case in cases]).mean()

    def _of_case(self, logits: Tensor, label: Tensor, kept: Tensor) -> Tensor:
        (places,) = kept.nonzero(as_tuple=True)
        if not len(places):
            return logits[:, :0].sum()  # 0, and so is the gradient
        return self.loss(logits.index_select(1, places)[None], label[:, places][None])


class _DeterministicDiceCE(DiceCELoss):
    def ce(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the cross-entropy; that of class numbers has no deterministic form on a GPU."""
        return super().ce(logits, one_hot(label, logits.shape[1]))


class DiceFocal(_Loss):
    """Dice and focal loss, both over the softmax; MONAI's own sum takes sigmoids for the second."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = DiceLoss(**_ONE_HOT)
        self.focal = _focal()

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return their sum."""
        return self.dice(logits, label) + self.focal(logits, label)


def _focal() -> FocalLoss:
    return FocalLoss(to_onehot_y=True, use_softmax=True)
