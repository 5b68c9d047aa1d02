"""Classes that other tools leave beside their predictions: nnU-Net's `dataset.json`, and lists."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.parse import MAX_BYTES, UNUSABLE, parse_json, usable
from data_prep.files.file_tree import Tree
from data_prep.layouts.by_list import declared
from sdunet.segmentation.inference.prediction_record import MANIFEST

_NNUNET = "dataset.json"  # which its prediction copies beside what it predicts
_LISTS = {"training", "validation", "test", "testing", "channel_names", "modality"}


def classes_beside(tree: Tree) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield each JSON file of predictions, at most one folder deep, that numbers their classes.

    Regions of several values number none. Our own record is read by `read_recorded`.

    Raises:
        DataError: LAY_JSON if a `dataset.json` is damaged.
    """
    for name in tree.names:
        path = PurePosixPath(name)
        if path.suffix.lower() != ".json" or len(path.parts) > 2 or path.name == MANIFEST:
            continue
        if path.name == _NNUNET:
            with usable("LAY_JSON", name, "repair it, or take it out of the predictions"):
                labels, _ = declared(parse_json(tree.read(name, MAX_BYTES + 1)))
        else:
            try:
                described = parse_json(tree.read(name, MAX_BYTES + 1))
                labels, _ = declared(described if _LISTS & described.keys() else {})
            except (DataError, *UNUSABLE):
                continue  # whatever it is, no list
        if labels:
            yield name, labels


def check_named_alike(stated: Iterable[tuple[str, Mapping[str, int]]]) -> None:
    """Refuse classes that are numbered or called differently, whatever their capitals.

    Args:
        stated: who says so, and names of classes to numbers.

    Raises:
        DataError: LBL_CLASSES, with the first two that differ.
    """
    first, *others = stated or [("", {})]
    for who, classes in others:
        if _plain(classes) != _plain(first[1]):
            raise DataError(
                "LBL_CLASSES",
                "predictions, dataset and settings name classes differently: "
                f"{first[0]} {dict(first[1])}, {who} {dict(classes)}",
                "score predictions of the same classes, numbered alike; or correct what is wrong",
            )


def _plain(classes: Mapping[str, int]) -> dict[str, int]:
    return {" ".join(name.casefold().replace("_", " ").split()): n for name, n in classes.items()}
