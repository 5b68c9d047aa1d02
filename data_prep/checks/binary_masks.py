"""Masks of 0 and 255 alone: how programs that draw save background and foreground."""

from collections.abc import Collection
from dataclasses import replace

from data_prep.checks.run import Checked
from data_prep.core.config import DataConfig
from data_prep.core.findings import Finding
from data_prep.files.file_tree import Tree
from data_prep.formats.mask_images import drawn_masks, look_at_masks

_WHITE = 255
BINARY = {_WHITE: 1}  # label_map of such masks


def as_binary(config: DataConfig, checked: Checked) -> DataConfig | None:
    """Return settings that take 255 for the foreground, where a set may be meant so.

    It may be where nobody says what classes there are, and no label is of any, for what its values
    are. Checked by these settings, `are_binary` tells whether it is.
    """
    settled = config.labels or config.label_map or config.structures or checked.layout.labels
    other = config.instances or checked.rules.regions
    if settled or other or not _unknown(checked) or _held(checked) - {0}:
        return None
    return replace(config, label_map=dict(BINARY))


def are_binary(checked: Checked) -> bool:
    """Tell whether the labels of all cases hold 0 and 255 and nothing else.

    Beside classes 255 often marks what is not to count; where there is nothing else, it is the
    class.
    """
    return not _unknown(checked) and _held(checked) | {0} == {0, _WHITE}


def binary_note(checked: Checked) -> Finding:
    """Return the note that tells how labels were understood."""
    return note_of(f"labels of {len(checked.facts)} cases")


def note_of(which: str) -> Finding:
    """Return the note that tells how these were understood."""
    found = f"{which} hold 0 and 255 alone: 255 is the foreground"
    return Finding("note", "LBL_BINARY", found, "")


def show_binary(
    references: tuple[Tree, Collection[str]], *sets: tuple[Tree, Collection[str]]
) -> bool:
    """Tell whether references are 2D images of 0 and 255 alone, predictions of these or 0 and 1.

    Args:
        references: where masks are, and which.
        sets: of predictions, the same.
    """
    held = [_numbers(tree, names) for tree, names in (references, *sets)]
    if any(numbers is None for numbers in held):
        return False
    first, *others = ({*(numbers or ())} | {0} for numbers in held)
    white = {0, _WHITE}
    alike = all(numbers <= white or numbers <= {0, 1} for numbers in others)
    return first <= white and alike and _WHITE in first.union(*others)


def _numbers(tree: Tree, names: Collection[str]) -> frozenset[int] | None:
    """Return what masks hold; `None` if not all are 2D images of numbers, or one has a palette."""
    looks = look_at_masks(tree, names)
    if len(drawn_masks(names)) < len(names) or any(look.rgb or look.palette for look in looks):
        return None
    return frozenset[int]().union(*(look.plain for look in looks))


def _unknown(checked: Checked) -> bool:
    return any(error.code == "LBL_UNKNOWN" for error in checked.errors)


def _held(checked: Checked) -> frozenset[int | str]:
    return frozenset[int | str]().union(*(fact.held for fact in checked.facts.values()))
