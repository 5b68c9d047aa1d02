"""Losses by the name a configuration gives them, from MONAI's."""

from collections.abc import Callable
from typing import TypedDict

from monai.losses import DeepSupervisionLoss, DiceCELoss, DiceLoss, FocalLoss, TverskyLoss
from monai.networks import one_hot
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss


class _Options(TypedDict):
    include_background: bool
    to_onehot_y: bool
    softmax: bool


_ONE_HOT: _Options = {"include_background": False, "to_onehot_y": True, "softmax": True}


def build_loss(name: str, *, deterministic: bool = False) -> nn.Module:
    """Return the loss of `(N, classes, ...)` logits, or of a list of them, and class numbers.

    It is a mean over cases, so that several processes come to the same gradient as one. Of a
    list, the first counts 1, each further one half of the one before. `deterministic` has the
    same value, and on GPUs the same bits every time.
    """
    dice_ce = _DeterministicDiceCE if deterministic else DiceCELoss
    losses: dict[str, Callable[[], _Loss]] = {
        "dice_ce": lambda: dice_ce(**_ONE_HOT),
        "dice_focal": DiceFocal,
        "tversky": lambda: TverskyLoss(**_ONE_HOT, alpha=0.3, beta=0.7),
    }
    return DeepSupervisionLoss(losses[name]())


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
