"""Class numbers of segments that a header names: a name means one class, whatever its value."""

from collections.abc import Mapping

import numpy as np

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan, Segment
from data_prep.formats.label_tables.entries import SILENT
from data_prep.formats.structure_names import check_names, plain
from data_prep.planning.classes import names_of

_SHOWN = 8


def segments_to_classes(scan: Scan, rules: Rules, findings: Findings) -> np.ndarray:
    """Return class numbers, `(1, ...)`, of a label whose header names its segments.

    A segment is of the class it is called by. One that is not called by a class is of the class
    that `label_map` or its value says; but of one class alone, only where no other is called by
    its name.

    Args:
        scan: a layer for each channel, with `segments`.
        rules: names the classes.
        findings: what is noticed is added to it, with the names and values of what is there.

    Raises:
        DataError: LBL_SEGMENT for a segment whose value is that of a class and whose name is that
            of none, unless accepted; LBL_NEAR as `check_names`; LBL_UNKNOWN for a value that is
            no class; LBL_OVERLAP, unless accepted; HDR_CONFLICT for voxels of no segment, or
            for a name and a value in `label_map` that mean different classes.
    """
    names = {plain(name): n for name, n in names_of(rules).items()}
    there = [(one, scan.array[one.layer] == one.value) for one in _all(scan, rules.label_map)]
    named = any(plain(one.name) in names for one, _ in there)
    if named:
        told = [one.name for one, _ in there if not SILENT.fullmatch(one.name)]
        check_names(told, {name: n for name, n in names.items() if n}, findings)
    out = np.zeros(scan.size, np.uint8 if max(names.values()) < 256 else np.uint16)
    moved, unused = [], []
    for one, mask in there:
        findings.held |= {plain(one.name)} - {""}
        if not mask.any():
            continue
        findings.held.add(one.value)
        number = _class_of(one, names, rules, findings, named=named)
        if number is None and not named:
            known = ", ".join(f"{n} {name}" for name, n in rules.labels.items())
            found = f"segment {one.name!r} has value {one.value}, classes are {known}"
            raise DataError("LBL_UNKNOWN", found, "name it in dataset.structures")
        if number is None:
            unused.append(one.name)
            continue
        if plain(one.name) in names and number != one.value:
            moved.append(f"{one.value} is {number}")
        overlap = int((mask & (out != 0) & (out != number)).sum()) if number else 0
        if overlap:
            found = f"{overlap} voxels of {one.name!r} are in another class too"
            findings.ask("LBL_OVERLAP", found, "save segments that do not overlap")
        if number:
            np.maximum(out, number, out=out, where=mask, casting="unsafe")
    if unused:
        found = f"{len(unused)} segments are no class: {unused[:_SHOWN]}"
        findings.note("DCM_UNUSED", found)
    if moved:
        findings.note("LBL_BY_NAME", f"classes are those of the names: {', '.join(moved[:_SHOWN])}")
    return out[None]


def _all(scan: Scan, label_map: Mapping[int, int]) -> list[Segment]:
    """Return the segments, and one without a name for each value that only `label_map` knows."""
    several = list(scan.segments)
    for layer, array in enumerate(scan.array):
        declared = {one.value for one in scan.segments if one.layer == layer} | {0}
        for value in set(np.unique(array).tolist()) - declared:
            if value not in label_map:
                found = f"voxels of value {value:g}, which no segment has"
                raise DataError("HDR_CONFLICT", found, "save the segmentation again")
            several.append(Segment("", layer, int(value)))
    return several


def _class_of(
    one: Segment, names: Mapping[str, int], rules: Rules, findings: Findings, *, named: bool
) -> int | None:
    """Return the class of a segment; `None` if neither its name nor its value is one.

    So it is of one class alone, where a segment is `named` by it and this one otherwise.
    """
    by_name, by_map = names.get(plain(one.name)), rules.label_map.get(one.value)
    by_map = rules.void if by_map is not None and by_map == rules.ignored else by_map
    if None not in (by_name, by_map) and by_name != by_map:
        found = f"segment {one.name!r} is class {by_name}, its value {one.value} in label_map "
        raise DataError("HDR_CONFLICT", f"{found}class {by_map}", "take it out of label_map")
    if by_name is not None or by_map is not None:
        return by_map if by_name is None else by_name
    called = {number: name for name, number in rules.labels.items()}
    if one.value not in called:
        return rules.void if one.value == rules.ignored else None
    if not SILENT.fullmatch(one.name):
        found = f"segment {one.name!r} has value {one.value}, that of class {called[one.value]}"
        if len(called) > 2:  # of one class alone, there is no other that it could be
            fix = "say which it is, 0 for none: dataset.structures: {name: class number}"
            findings.ask("LBL_SEGMENT", found, fix)
        elif named:
            return None
        else:
            findings.note("LBL_SEGMENT", found)
    return one.value
