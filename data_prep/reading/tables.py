"""Names that tables give the values of a label, held to the classes."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from data_prep.core.config import Rules
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan, Segment
from data_prep.formats.structure_names import plain
from data_prep.planning.classes import names_of

_FIX = "correct the numbers, or the names"
_SHOWN = 8


def by_table(scan: Scan, rules: Rules, findings: Findings) -> Scan:
    """Return the label, with segments if its header calls its values by names of other classes.

    Args:
        scan: `(1, ...)` of values, with `table`.
        rules: names the classes.
        findings: what is noticed is added to it.

    Raises:
        DataError: as `hold_to_table`, where a value other than 0 is not called by a class.
    """
    called = _called(scan.array, scan.table)
    known = _classes_of(called, rules)
    if not _moved(known, rules):
        findings.told.update((value, plain(name)) for value, name in called.items())
        findings.held.update(plain(called[value]) for value in known)
        return scan
    if set(np.unique(scan.array).tolist()) - {0} <= known.keys():
        return replace(scan, segments=tuple(Segment(called[v], 0, v) for v in known))
    hold_to_table(scan.array, scan.table, rules, findings, "its header")
    return scan


def hold_to_table(
    array: np.ndarray, table: Mapping[int, str], rules: Rules, findings: Findings, source: str
) -> None:
    """Refuse values that a table calls by names of other classes; names of no class say nothing.

    Args:
        array: `(1, ...)` of values.
        table: names by value.
        rules: names the classes.
        findings: what is noticed is added to it.
        source: of the table, for messages.

    Raises:
        DataError: LBL_SEGMENT, unless accepted.
    """
    called = _called(array, table)
    findings.told.update((value, plain(name)) for value, name in called.items())
    moved = _moved(_classes_of(called, rules), rules)
    if moved:
        several = [f"{v} {called[v]!r}, class {number}" for v, number in moved.items()]
        found = f"{source} calls value {'; value '.join(several[:_SHOWN])}"
        findings.ask("LBL_SEGMENT", found, _FIX)


def _called(array: np.ndarray, table: Mapping[int, str]) -> dict[int, str]:
    """Return the names of values that are there."""
    there = set(np.unique(array).tolist()) if table else set()
    return {value: name for value, name in sorted(table.items()) if value in there}


def _classes_of(called: Mapping[int, str], rules: Rules) -> dict[int, int]:
    """Return the classes of values by the names that are those of classes."""
    names = {plain(name): number for name, number in names_of(rules).items()}
    return {v: names[plain(name)] for v, name in called.items() if plain(name) in names}


def _moved(known: Mapping[int, int], rules: Rules) -> dict[int, int]:
    """Return what is of another class by its name than by its value."""
    out = {}
    for value, number in known.items():
        by_value = rules.label_map.get(value, value)
        if number != (rules.void if by_value == rules.ignored else by_value):
            out[value] = number
    return out
