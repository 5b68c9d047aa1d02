"""Regions held to the classes they are made of, which have to be told of them again."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.values.regions import Region, masks_of, paint

CLASSES_INSTEAD = "or give dataset.regions: {} to tell the classes apart instead"


def check_no_objects(regions: Collection[str]) -> None:
    """Refuse regions, by their names, where objects are to be told apart.

    Raises:
        DataError: SET_CONFLICT.
    """
    if regions:
        raise DataError(
            "SET_CONFLICT",
            f"dataset.instances tells objects apart, regions are of classes: {', '.join(regions)}",
            "leave one of them out; dataset.regions: {} leaves out those of the dataset",
        )


def check_regions(regions: Sequence[Region], labels: Mapping[str, int]) -> None:
    """Refuse regions that are not of classes, or that classes cannot be told of again.

    Args:
        regions: in the order in which they are painted.
        labels: class names to numbers, without what is ignored.

    Raises:
        DataError: LBL_REGIONS.
    """
    if not regions:
        return
    called = {number: name for name, number in labels.items()}
    for region in regions:
        if not isinstance(region.name, str) or not region.name.strip():
            raise DataError("LBL_REGIONS", f"a region is called {region.name!r}", "name it")
        of_none = [n for n in region.classes if type(n) is not int or n not in called or not n]
        if of_none or not region.classes:
            what = "background" if 0 in of_none[:1] else "no class"
            named = f"{of_none[0]!r}, which is {what}" if of_none else "no class"
            classes = {n: name for n, name in sorted(called.items()) if n}
            fix = f"name numbers of classes: {classes}"
            raise DataError("LBL_REGIONS", f"region {region.name!r} names {named}", fix)
        if region.painted not in region.classes:
            found = f"region {region.name!r} is painted as {region.painted!r}, no class of it"
            raise DataError("LBL_REGIONS", found, "paint it as one of its own classes")
    sets: dict[frozenset[int], str] = {}
    for region in regions:
        other = sets.setdefault(frozenset(region.classes), region.name)
        if other != region.name:
            found = f"regions {other!r} and {region.name!r} are of the same classes"
            found += f" {list(region.classes)}"
            raise DataError("LBL_REGIONS", found, f"keep one, {CLASSES_INSTEAD}")
    numbers = np.array(sorted(called))
    again = paint(masks_of(numbers, regions), regions)
    for number, got in zip(numbers.tolist(), again.tolist(), strict=True):
        if got != number:
            lost = f"class {number} ({called[number]}) is lost"
            instead = f"painted as {got} ({called[got]})" if got else "it is in no region"
            order = ", ".join(f"{one.name} as {one.painted}" for one in regions)
            fix = "order regions_class_order or dataset.regions so that each class lies on top "
            fix += f"of one region alone, {CLASSES_INSTEAD}"
            found = f"{lost}: {instead}, by the order {order}"
            raise DataError("LBL_REGIONS", found, fix)
