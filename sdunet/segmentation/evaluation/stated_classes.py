"""Classes that other tools leave beside their predictions: nnU-Net's `dataset.json`, and lists."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from data_prep.checks.settings import overlapping
from data_prep.core.errors import DataError
from data_prep.core.parse import MAX_BYTES, UNUSABLE, parse_json, usable
from data_prep.files.file_tree import Tree
from data_prep.layouts.by_list import declared, regions_of
from data_prep.layouts.cases import Regions
from sdunet.segmentation.inference.prediction_record import MANIFEST

_REPAIR = "repair it, or take it out of the predictions"
_NNUNET = "dataset.json"  # which its prediction copies beside what it predicts
_LISTS = {"training", "validation", "test", "testing", "channel_names", "modality"}


def classes_beside(tree: Tree) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield each JSON file of predictions, at most one folder deep, that numbers their classes.

    Regions of several values number none, see `check_regions`; our own record is read by
    `read_recorded`.

    Raises:
        DataError: LAY_JSON if a `dataset.json` is damaged.
    """
    for name, described in _described(tree):
        with usable("LAY_JSON", name, _REPAIR):
            labels, _ = declared(described)
        if labels:
            yield name, labels


def check_regions(regions: Regions | None, predictions: Tree, *, declared: bool) -> None:
    """Refuse regions of several values where classes are due, and values of other regions.

    nnU-Net writes, of the regions that a voxel lies in, the value of the last: that of a label
    again only where `regions_class_order` says so.

    Args:
        regions: of the references.
        predictions: which may tell of their regions in a file beside.
        declared: whether settings or a dataset name classes, one for each value.

    Raises:
        DataError: LBL_REGIONS; LAY_JSON if a `dataset.json` is damaged.
    """
    if regions and regions.values and not declared:
        raise overlapping(regions.values)
    for name, described in _described(predictions):
        with usable("LAY_JSON", name, _REPAIR):
            told = regions_of(described)
        if told and told.values:
            _check_order(name, told.values, described.get("regions_class_order"))
            if not declared:
                raise overlapping(told.values).at(file=name)


def _check_order(name: str, regions: Mapping[str, tuple[int, ...]], order: object) -> None:
    several = {region: values for region, values in regions.items() if values != (0,)}
    if not isinstance(order, list) or len(order) != len(several):
        found = f"regions {', '.join(several)}, and regions_class_order {order!r:.60}"
        raise DataError("LBL_REGIONS", found, "say which value is predicted for each", file=name)
    last = {v: region for region, values in several.items() for v in values}
    written = dict(zip(several, order, strict=True))
    for value, region in sorted(last.items()):
        if written[region] != value:
            found = f"label value {value} is predicted as {written[region]!r:.20}, that of {region}"
            fix = "bring predictions to the values of the labels, and take this file out of them"
            raise DataError("LBL_REGIONS", found, fix, file=name)


def _described(tree: Tree) -> Iterator[tuple[str, dict]]:
    """Yield what JSON files say that describe a dataset, `dataset.json` and lists.

    Raises:
        DataError: LAY_JSON if a `dataset.json` is damaged.
    """
    for name in tree.names:
        path = PurePosixPath(name)
        if path.suffix.lower() != ".json" or len(path.parts) > 2 or path.name == MANIFEST:
            continue
        if path.name == _NNUNET:
            with usable("LAY_JSON", name, _REPAIR):
                described = parse_json(tree.read(name, MAX_BYTES + 1))
        else:
            try:
                described = parse_json(tree.read(name, MAX_BYTES + 1))
                if not _LISTS & described.keys():
                    continue
                declared(described)
                regions_of(described)
            except (DataError, *UNUSABLE):
                continue  # whatever it is, no list
        yield name, described


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
