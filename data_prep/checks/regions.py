"""Which regions a dataset has: those that settings name, or that it declares, made of classes."""

from collections.abc import Sequence
from dataclasses import replace

from data_prep.core.config import DataConfig, Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.core.values.regions import Region, regions_from
from data_prep.layouts.cases import Regions
from data_prep.planning.classes import with_ignored
from data_prep.planning.regions import CLASSES_INSTEAD


def settle(
    config: DataConfig, declared: Regions | None, who: str = "the dataset declares"
) -> tuple[DataConfig, tuple[Region, ...]]:
    """Return the settings with the classes that declared regions are made of, and the regions.

    Classes that settings name stay. Where they name none, values of the same regions are a class,
    called by these, and numbered from 1 by the lowest value.

    Args:
        config: the user's decisions; `regions: {}` asks for none.
        declared: by the dataset, if it does.
        who: declares them, in words.

    Raises:
        DataError: LBL_REGIONS for regions that contradict each other or cannot be painted.
    """
    if declared is None or not declared.values:
        return config, regions_from(config.regions or {})
    if not config.labels:
        config = _with_classes(config, declared)
    if config.regions is not None and not config.regions:
        return config, ()
    found = _in_classes(config, declared)
    if config.regions is None:
        return config, found
    asked = regions_from(config.regions)
    if declared.order is None:  # which settings then tell
        asked, found = (tuple(sorted(some, key=lambda one: one.name)) for some in (asked, found))
        found = tuple(replace(one, painted=0) for one in found)
        check_same(tuple(replace(one, painted=0) for one in asked), found, who)
    else:
        check_same(asked, found, who)
    return config, regions_from(config.regions)


def check_same(ours: Sequence[Region], others: Sequence[Region], who: str) -> None:
    """Refuse regions of other classes, or painted otherwise, than are declared elsewhere.

    Args:
        ours: that settings or predictions have.
        others: that are declared.
        who: declares them, in words.

    Raises:
        DataError: LBL_REGIONS.
    """
    if [*ours] != [*others]:
        told, here = ({one.name: list(one.classes) for one in some} for some in (others, ours))
        found = f"regions {here}, {who} {told}"
        if told == here:
            found += f", painted as {[one.painted for one in others]}"
        raise DataError("LBL_REGIONS", found, f"correct one of them, {CLASSES_INSTEAD}")


def told_of(rules: Rules, declared: Regions | None = None) -> list[Finding]:
    """Return a note, LBL_REGIONS, of the regions that are to be found, and of their classes.

    So are told regions that the dataset declares and that are not to be found; as a warning where
    a class of other values has the name of one.

    Args:
        rules: say what is to be found.
        declared: by the dataset.
    """
    findings = Findings()
    classes = with_ignored(rules.labels, rules.ignored)
    if rules.regions:
        regions = ", ".join(f"{one.name} {list(one.classes)}" for one in rules.regions)
        mapped = f", of the values {rules.label_map}" if rules.label_map else ""
        findings.note("LBL_REGIONS", f"regions {regions} of classes {classes}{mapped}")
    elif declared is not None and declared.values:
        values = {name: [*told] for name, told in declared.values.items()}
        found = f"regions {values} of the dataset are not found, classes are {classes}"
        mapped = {name: {rules.label_map.get(n, n) for n in told} for name, told in values.items()}
        if any(mapped.get(name, {number}) != {number} for name, number in classes.items()):
            findings.warn("LBL_REGIONS", found, "take a plan of regions, or call classes otherwise")
        else:
            findings.note("LBL_REGIONS", found)
    return findings.found


def _with_classes(config: DataConfig, declared: Regions) -> DataConfig:
    """Return the settings with a class for each set of regions that a value is in."""
    own = config.label_map
    inside: dict[int, list[str]] = {}
    for name, values in declared.values.items():
        for value in dict.fromkeys(own.get(value, value) for value in values):
            inside.setdefault(value, []).append(name)
    inside = {value: inside[value] for value in sorted(inside) if value}
    sets = list(dict.fromkeys(map(tuple, inside.values())))
    labels = {"background": 0} | {"+".join(names): n for n, names in enumerate(sets, start=1)}
    if len(labels) <= len(sets):
        found = f"regions {', '.join(declared.values)} give two classes one name"
        raise DataError("LBL_REGIONS", found, "name the classes in dataset.labels")
    numbers = {value: sets.index(tuple(names)) + 1 for value, names in inside.items()}
    void = declared.ignored
    if void is not None and void in numbers.values():
        numbers[void] = len(labels)
        void = len(labels)
    moved = {value: number for value, number in numbers.items() if value != number}
    label_map = {value: moved.get(number, number) for value, number in own.items()}
    label_map = {value: n for value, n in moved.items() if value not in own} | label_map
    return replace(config, labels=with_ignored(labels, void), label_map=label_map)


def _in_classes(config: DataConfig, declared: Regions) -> tuple[Region, ...]:
    """Return declared regions by the numbers of classes.

    Raises:
        DataError: LBL_REGIONS for an order that is not one of these regions.
    """
    names, order = list(declared.values), declared.order
    if order is None and config.regions is None:
        found = f"regions {', '.join(names)}, and no regions_class_order"
        fix = "say in dataset.json which value is painted for each, in dataset.regions in which "
        raise DataError("LBL_REGIONS", found, f"{fix}order they are painted, {CLASSES_INSTEAD}")
    if order is not None and len(order) != len(names):
        found = f"regions {', '.join(names)}, and regions_class_order {list(order)}"
        raise DataError("LBL_REGIONS", found, "give one value for each region, in their order")
    regions = []
    for (name, values), value in zip(
        declared.values.items(), order or [v[0] for v in declared.values.values()], strict=True
    ):
        if value not in values:
            found = f"regions_class_order paints region {name!r} {list(values)} as {value}"
            raise DataError("LBL_REGIONS", found, "paint it as a value of its own")
        classes = {config.label_map.get(n, n) for n in values}
        painted = config.label_map.get(value, value)
        regions.append(Region(name, tuple(sorted(classes)), painted))
    return tuple(regions)
