"""Settings that contradict the plan or the data, and settings that change nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.core.config import DataConfig, Plan, check_once
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.core.values.regions import as_settings, regions_from
from data_prep.files.written_files import is_written_by
from data_prep.layouts.cases import Layout
from data_prep.planning.classes import IGNORE, as_asked
from data_prep.planning.fingerprint import Fingerprint
from data_prep.planning.regions import check_no_objects
from data_prep.planning.splits import split_settings

_PLANNED = ("channels", "labels", "label_map", "structures", "intensity", "window", "resize")
_PLANNED = (*_PLANNED, "spacing", "patch_size")
_NAMED = (".nrrd", ".nhdr")  # files of labels that may name their segments
_FOR_PLANS = ("intensity", "window", "resize", "spacing", "patch_size", "memory_gb", "folds")
_FOR_PLANS = (*_FOR_PLANS, "test_share", "seed", "split_file", "group_pattern", "group_file")


def check_agrees(config: DataConfig, plan: Plan) -> None:
    """Refuse settings that are given, and differ from those of a plan to prepare by.

    What is left open, `intensity: auto` too, is the plan's.

    Raises:
        DataError: PLAN_CONFLICT, with the first of them and both its values.
    """
    nothing = DataConfig()
    told = {
        name: (getattr(config, name), getattr(plan, name))
        for name in _PLANNED
        if getattr(config, name) != getattr(nothing, name)
    }
    if config.accept:
        told["accept"] = sorted(set(config.accept)), sorted(set(plan.accept))
    if config.regions is not None:
        told["regions"] = as_settings(regions_from(config.regions)), as_settings(plan.regions)
    if "labels" in told:
        told["labels"] = config.labels, as_asked(config.labels, plan.stated, plan.ignored)
    if config.instances:
        told["instances"] = True, plan.instances is not None
    for name, (wanted, planned) in told.items():
        if wanted != planned or (name == "regions" and [*wanted] != [*planned]):
            raise _conflict(name, wanted, f"{planned} in the plan")
    if other := planned_for_other_memory(config, plan):
        raise _conflict("memory_gb", config.memory_gb, f"a plan of {other}")


def check_not_mapped(
    root: Path,
    label_map: Mapping[int, int],
    labels: Mapping[str, int],
    declared: Mapping[str, int] | None,
) -> None:
    """Refuse to map class numbers of a set that `sdunet convert` or `--fix` wrote to themselves.

    A map to other classes than the set declares is not the one that it was written by.

    Args:
        root: of the set.
        label_map: numbers in the files to class numbers.
        labels: the classes.
        declared: those that the set declares.

    Raises:
        DataError: SET_CONFLICT, with what would change; other numbers are not in such a set.
    """
    if not is_written_by(root, "convert") or (declared and dict(declared) != dict(labels)):
        return
    again = {a: b for a, b in label_map.items() if a != b and a in labels.values()}
    if again:
        found = f"labels of {root.name} hold class numbers, which dataset.label_map would map again"
        raise DataError("SET_CONFLICT", f"{found}: {again}", "leave label_map out for this copy")


def with_split(config: DataConfig, plan: Plan) -> DataConfig:
    """Return settings with those of folds and groups that a plan holds, where they are left open.

    Raises:
        DataError: PLAN_CONFLICT for one that differs, and for a file, which has to be given again.
    """
    asked, nothing = split_settings(config), split_settings(DataConfig())
    left_open = {}
    for name, planned in (plan.split_by or {}).items():
        if asked[name] == nothing[name] and name not in ("split_file", "group_file"):
            left_open[name] = planned
        elif asked[name] != planned:
            raise _conflict(name, asked[name], f"{planned} in the plan")
    return replace(config, **left_open)


def planned_for_other_memory(config: DataConfig, plan: Plan) -> str:
    """Return what was planned for another memory than is asked for; empty if none is, or it."""
    why = plan.why.get("patch_size", "")
    agrees = config.patch_size or f" {config.memory_gb or 0:g} GB" in why
    return "" if agrees or not config.memory_gb else f"patch_size {plan.patch_size} {why}".strip()


def _conflict(name: str, wanted: object, other: str) -> DataError:
    found = f"dataset.{name} {wanted} in the settings, {other}"
    return DataError("PLAN_CONFLICT", found, "leave it out, change the plan, or plan again")


def check_settings(config: DataConfig, layout: Layout) -> None:
    """Refuse settings that contradict each other or the dataset.

    Raises:
        DataError: SET_CONFLICT, naming both; CONFIG_TWICE for a channel named twice.
    """
    check_once("dataset", config)
    if config.split_file and config.test_share:
        raise DataError(
            "SET_CONFLICT",
            f"dataset.test_share {config.test_share} would take cases out of the folds of "
            f"dataset.split_file {config.split_file}",
            "give one of them",
        )
    if config.instances:
        told = layout.regions.values if layout.regions else {}
        check_no_objects(told if config.regions is None else config.regions)
    named, told = config.channels or (), layout.channels or ()
    wanted, there = [*map(_plain, named)], [*map(_plain, told)]
    if any(n in there and n not in there[place : place + 1] for place, n in enumerate(wanted)):
        raise DataError(
            "SET_CONFLICT",
            f"dataset.channels are {', '.join(named)}, those of the dataset {', '.join(told)}",
            "name them in the order of the dataset",
        )
    declared = {_plain(name): number for name, number in (layout.stated or {}).items()}
    asked = {_plain(str(name)): number for name, number in (config.labels or {}).items()}
    if layout.regions and layout.regions.ignored is not None:
        declared[IGNORE] = layout.regions.ignored
    other = [name for name in declared if asked.get(name, declared[name]) != declared[name]]
    if other and not config.label_map:
        name = other[0]
        raise DataError(
            "SET_CONFLICT",
            f"class {name!r} is {asked[name]} in dataset.labels, {declared[name]} in the dataset",
            "number it alike, or say by dataset.label_map which number becomes which",
        )


def renamed(config: DataConfig, layout: Layout) -> list[Finding]:
    """Return a note, SET_RENAMED, where settings call what the dataset names otherwise."""
    findings = Findings()
    declared = {number: name for name, number in (layout.stated or {}).items()}
    if layout.regions and layout.regions.ignored is not None:
        declared[layout.regions.ignored] = IGNORE
    for name, number in {} if config.label_map else (config.labels or {}).items():
        if number and _plain(declared.get(number, name)) != _plain(name):
            found = f"class {number}, {declared[number]!r} in the dataset, is called {name!r}"
            findings.note("SET_RENAMED", found)
    named, told = config.channels or (), layout.channels or ()
    if len(named) == len(told) and [*map(_plain, named)] != [*map(_plain, told)]:
        called = f"are called {', '.join(named)}"
        findings.note("SET_RENAMED", f"channels {', '.join(told)} of the dataset {called}")
    return findings.found


def of_planning(config: DataConfig) -> list[Finding]:
    """Return a warning, SET_UNUSED, for each setting that plays a part in planning alone."""
    findings, nothing = Findings(), DataConfig()
    for name in _FOR_PLANS:
        if getattr(config, name) != getattr(nothing, name):
            found = f"dataset.{name} {getattr(config, name)} changes nothing: nothing is planned"
            findings.warn("SET_UNUSED", found, "leave it out")
    return findings.found


def without_effect(
    config: DataConfig, layout: Layout, facts: Collection[Fingerprint]
) -> list[Finding]:
    """Return a warning, SET_UNUSED, for each setting that is given and changes nothing."""
    splits = {case.split for case in layout.cases}
    numbered = bool(config.split_file) or any(isinstance(split, int) for split in splits)
    kinds = {case.kind for case in layout.cases}
    tested = "test" in splits
    held = frozenset[int | str]().union(*(fact.held for fact in facts))
    reasons = {
        "spacing": config.spacing
        and facts
        and all(fact.spacing is None for fact in facts)
        and "2D images have none",
        "structures": config.structures
        and not kinds & {"contours", "segments", "class masks"}
        and not any(name.lower().endswith(_NAMED) for c in layout.cases for name in c.labels)
        and not any(isinstance(one, str) for one in held)
        and "no label is a DICOM RTSTRUCT or SEG, a file a class, or a NRRD that names segments",
        "label_map": config.label_map
        and not kinds & {"classes", "objects", "numbered"}
        and "all labels are DICOM RTSTRUCT or SEG, or a file a class, whose names tell the class",
        "label_folder": config.label_folder
        and layout.name != "folder pairs"
        and f"in the layout {layout.name}, labels are not told by one folder",
        "test_share": config.test_share and tested and "the dataset has a test set of its own",
        "seed": config.seed
        and numbered
        and (tested or not config.test_share)
        and "the folds are given",
        "memory_gb": config.memory_gb and config.patch_size and "patch_size is given",
    }
    findings = Findings()
    for name, reason in reasons.items():
        if reason:
            found = f"dataset.{name} {getattr(config, name)} changes nothing: {reason}"
            findings.warn("SET_UNUSED", found, "leave it out")
    return [*findings.found, *never_held(config, held)] if facts else findings.found


def never_held(config: DataConfig, held: Collection[int | str]) -> list[Finding]:
    """Return a warning, SET_UNUSED, for numbers and names that are mapped and in no label.

    Args:
        config: with `label_map` and `structures`.
        held: what the labels hold, see `Findings.held`.
    """
    findings = Findings()
    numbers = sorted(value for value in held if isinstance(value, int))
    names = sorted(value for value in held if isinstance(value, str))
    kinds: dict[str, Sequence[int | str]] = {"label_map": numbers, "structures": names}
    for name, there in kinds.items():
        # Where no label is of DICOM, `structures` as a whole has no effect, which is told.
        if name == "structures" and not there:
            continue
        mapped = getattr(config, name)
        never = [key for key in mapped if (key if name == "label_map" else _plain(key)) not in held]
        if never:
            found = (
                f"dataset.{name} maps {_several(never)}, which no label that is read holds; they "
                f"hold {_several(there) or 'no numbers of classes'}"
            )
            findings.warn("SET_UNUSED", found, "correct it, or leave it out")
    return findings.found


def _plain(name: str) -> str:
    return name.strip().lower()


def _several(values: Sequence[int | str]) -> str:
    more = f" and {len(values) - 8} more" * (len(values) > 8)
    return ", ".join(_written(value) for value in values[:8]) + more


def _written(value: int | str) -> str:
    return f"0x{value:06x}" if isinstance(value, int) and value > 0xFFFF else repr(value)
