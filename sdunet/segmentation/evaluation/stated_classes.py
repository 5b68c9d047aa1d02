"""Classes that other tools leave beside their predictions: nnU-Net's `dataset.json`, and lists."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from data_prep.checks.regions import check_same, settle
from data_prep.core.config import DataConfig, Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.core.parse import MAX_BYTES, UNUSABLE, parse_json, usable
from data_prep.core.values.regions import Region, as_settings, regions_from
from data_prep.files.file_tree import Tree
from data_prep.layouts.cases import Regions
from data_prep.layouts.lists.declared import declared, regions_of
from sdunet.segmentation.inference.prediction_record import MANIFEST

_REPAIR = "repair it, or take it out of the predictions"
SETTINGS = "dataset.labels"  # as those of settings are called among who names classes
_NNUNET = "dataset.json"  # which its prediction copies beside what it predicts
_LISTS = {"training", "validation", "test", "testing", "channel_names", "modality"}


def classes_beside(tree: Tree) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield each JSON file of predictions, at most one folder deep, that numbers their classes.

    Regions of several values number none, see `with_regions`; our own record is read by
    `read_recorded`.

    Raises:
        DataError: LAY_JSON if a `dataset.json` is damaged.
    """
    for name, described in _described(tree):
        with usable("LAY_JSON", name, _REPAIR):
            labels, _ = declared(described)
        if labels:
            yield name, labels


def with_regions(
    config: DataConfig, known: Rules | None, references: Regions | None, predictions: Tree
) -> tuple[DataConfig, tuple[Region, ...]]:
    """Return settings with the classes that regions are made of, and the regions to be scored.

    They are those of the settings, of the predictions' record, of the references, or of what
    another tool left beside its predictions, which must agree. `regions: {}` in settings, and a
    record of a network that tells classes apart, score classes.

    Args:
        config: settings, with classes and a label map where any are stated.
        known: what is recorded with the predictions, if anything is.
        references: regions that they declare.
        predictions: which may tell of their regions in a file beside.

    Raises:
        DataError: LBL_REGIONS, also for predicted values that are not those of classes; LAY_JSON
            if a `dataset.json` is damaged.
    """
    if known is not None and config.regions is None:
        config = replace(config, regions=as_settings(known.regions))
    elif known is not None and config.regions and known.regions:
        check_same(regions_from(config.regions), known.regions, "the record of the predictions")
    found = [settle(config, references)] if references and references.values else []
    for name, told in regions_beside(predictions):
        who = f"{name} beside the predictions declares"
        try:
            found.append(settle(config, told, who))
            check_same(found[0][1], found[-1][1], who)
        except DataError as error:
            raise error.at(file=name) from None
    return found[0] if found else settle(config, None)


def regions_beside(tree: Tree) -> Iterator[tuple[str, Regions]]:
    """Yield each JSON file of predictions that declares regions, as `classes_beside`.

    Raises:
        DataError: LAY_JSON if a `dataset.json` is damaged.
    """
    for name, described in _described(tree):
        with usable("LAY_JSON", name, _REPAIR):
            told = regions_of(described)
        if told and told.values:
            yield name, told


def doubt_about_regions(
    asked: DataConfig,
    classes: Iterable[tuple[str, Mapping[str, int]]],
    regions: Iterable[tuple[str, Regions | None]],
    scored: Collection[Region],
) -> list[Finding]:
    """Return what is told where one side names classes and another regions: one is not scored.

    Names of regions are no names of classes, so that nobody can tell whether both mean the same
    numbers. Where settings say which are scored, nothing is doubtful.

    Args:
        asked: settings of the user.
        classes: who names classes, and which; left out where regions of these are declared.
        regions: who declares regions, and which, if any.
        scored: regions that are scored; none where classes are.
    """
    if asked.regions is not None:
        return []
    named = [(who, [*names]) for who, names in classes if names]
    declared = [(who, [*told.values]) for who, told in regions if told and told.values]
    kept, left = (declared, named) if scored else (named, declared)
    kind, other = ("regions", "classes") if scored else ("classes", "regions")
    findings = Findings()
    by = "".join(f" of {who}, {', '.join(names)}" for who, names in kept[:1])
    for who, names in left:
        found = f"scored are the {kind}{by}; {who} names {other}: {', '.join(names)}"
        if who == SETTINGS:  # which may name what regions are made of
            findings.note("LBL_REGIONS", found)
        else:
            fix = "say by dataset.regions which regions are meant, `{}` for classes"
            findings.warn("LBL_REGIONS", found, fix)
    return findings.found


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
