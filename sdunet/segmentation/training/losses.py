"""Losses by the name a configuration gives them, from MONAI's."""

from collections.abc import Callable, Sequence
from typing import TypedDict

import torch
from monai.losses import DeepSupervisionLoss, DiceCELoss, DiceLoss, FocalLoss, TverskyLoss
from monai.networks import one_hot
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

from data_prep.core.values.regions import Region

_ALARMS, _MISSES = 0.3, 0.7  # weights of Tversky


class _Options(TypedDict):
    include_background: bool
    to_onehot_y: bool
    softmax: bool


_ONE_HOT: _Options = {"include_background": False, "to_onehot_y": True, "softmax": True}


def build_loss(
    name: str,
    *,
    deterministic: bool = False,
    void: int | None = None,
    regions: Sequence[Region] = (),
) -> nn.Module:
    """Return the loss of `(N, classes, ...)` logits, or of a list of them, and class numbers.

    With regions, logits are `(N, regions, ...)`, and the loss that of the sigmoid of each: Dice
    with binary cross-entropy or with focal loss, or Tversky.

    It is a mean over cases, so that several processes come to the same gradient as one. Of a
    list, the first counts 1, each further one half of the one before. `deterministic` has the
    same value, and on GPUs the same bits every time. Voxels of the number `void` are ignored.
    """
    dice_ce = _DeterministicDiceCE if deterministic else DiceCELoss
    losses: dict[str, Callable[[], _Loss]] = {
        "dice_ce": lambda: dice_ce(**_ONE_HOT),
        "dice_focal": DiceFocal,
        "tversky": lambda: TverskyLoss(**_ONE_HOT, alpha=_ALARMS, beta=_MISSES),
    }
    loss = OfRegions(name, regions) if regions else losses[name]()
    return DeepSupervisionLoss(loss if void is None else Ignoring(loss, void))


class OfRegions(_Loss):
    """A loss of the sigmoid of each region by itself, the mean over regions.

    Args:
        name: of the loss.
        regions: classes of each channel of the logits.
    """

    def __init__(self, name: str, regions: Sequence[Region]) -> None:
        super().__init__()
        self.sets = [region.classes for region in regions]
        parts: dict[str, Callable[[], list[_Loss]]] = {
            "dice_ce": lambda: [DiceLoss(sigmoid=True), nn.BCEWithLogitsLoss()],
            "dice_focal": lambda: [DiceLoss(sigmoid=True), FocalLoss()],
            "tversky": lambda: [TverskyLoss(sigmoid=True, alpha=_ALARMS, beta=_MISSES)],
        }
        self.parts = nn.ModuleList(parts[name]())

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of logits `(N, regions, ...)` and class numbers `(N, 1, ...)`."""
        inside = [torch.isin(label, label.new_tensor(numbers)) for numbers in self.sets]
        there = torch.cat(inside, 1).to(logits)
        return torch.stack([part(logits, there) for part in self.parts]).sum()


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
        self.focal = FocalLoss(to_onehot_y=True, use_softmax=True)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return their sum."""
        return self.dice(logits, label) + self.focal(logits, label)
