"""Items of sequences, which a damaged length puts into each other: what they hold would be lost."""

from collections.abc import Iterable

from pydicom.dataset import Dataset

from data_prep.core.errors import DataError

_ITEM_GROUP = 0xFFFE  # of the tags that begin and end items, and are no elements
_SEQUENCES = (
    "StructureSetROISequence",
    "ROIContourSequence",
    "SegmentSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


def check_items(one: Dataset) -> None:
    """Refuse a file in whose contours, segments or frames an item lies where an element is due.

    Raises:
        DataError: IO_DAMAGED.
    """
    for name in _SEQUENCES:
        _check(one.get(name) or ())


def _check(items: Iterable[Dataset]) -> None:
    for item in items:
        tags = list(item.keys())  # an element that is asked for is decoded
        for tag in tags:
            if tag.group == _ITEM_GROUP:
                found = f"an item inside of another, as {tag}"
                raise DataError("IO_DAMAGED", found, "fetch or export the file again")
            if item.get_item(tag).VR == "SQ":
                _check(item[tag].value or ())
