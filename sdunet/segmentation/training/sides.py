"""Classes that name a side of the body: a mirrored patch would teach the other side's name."""

import re
from collections.abc import Collection

from data_prep.core.config import Plan
from data_prep.core.findings import Finding
from sdunet.segmentation.config import TrainingConfig

_WORDS = {"left", "right"}
_LETTERS = {"l": "r", "lh": "rh", "lt": "rt"}  # sides only where the other one is there, too


def sides_named(names: Collection[str]) -> list[str]:
    """Return the names of classes that name a side, sorted.

    Words are told apart by capitals and by all that is no letter. `left` and `right` name a side;
    `l` and `r` do if a class of the same other words has the other one.

    Examples:
        >>> sides_named(["background", "kidney_L", "kidney_R", "vitamin_l", "leftLung"])
        ['kidney_L', 'kidney_R', 'leftLung']
    """
    words = {name: _words(name) for name in names}
    found = {name for name, told in words.items() if _WORDS & {*told}}
    for name, told in words.items():
        for left, right in _LETTERS.items():
            others = tuple(right if word == left else word for word in told)
            if left in told and (twins := [n for n, w in words.items() if w == others]):
                found |= {name, *twins}
    return sorted(found)


def sides_of(plan: Plan) -> list[str]:
    """Return the names of classes and regions that name a side, sorted."""
    return sides_named([*plan.labels, *(region.name for region in plan.regions)])


def side_axis(plan: Plan) -> int:
    """Return the spatial axis along which sides lie.

    Scans that have a place are turned to RAS+, so that their first axis leads to the right; of
    pictures, `(H, W)`, columns do.
    """
    return 0 if plan.spatial_dims == 3 or plan.spacing is not None else 1


def doubt_about_sides(
    plan: Plan, config: TrainingConfig, flipped: Collection[int]
) -> list[Finding]:
    """Return what is told of a training whose classes name a side.

    Args:
        plan: names the classes.
        config: how to train.
        flipped: axes that patches are flipped along.
    """
    sides, axis = sides_of(plan), side_axis(plan)
    if not sides or config.augmentation == "none":
        return []
    named = ", ".join(sides[:4]) + ", ..." * (len(sides) > 4)
    if axis in flipped:
        found = f"patches are flipped along axis {axis}, and classes name a side: {named}"
        return [
            Finding("warning", "CONFIG_SIDES", found, f"leave {axis} out of training.flip_axes")
        ]
    found = f"classes name a side ({named}): patches are not flipped along axis {axis}"
    return [Finding("note", "CONFIG_SIDES", found, "")]


def _words(name: str) -> tuple[str, ...]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # `leftLung`
    return tuple(re.findall(r"[^\W\d_]+", apart.lower()))
