"""Structures of several cases: those whose value says the class, and whose names do not agree."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.label_tables.entries import SILENT
from data_prep.formats.structure_names import plain
from data_prep.planning.classes import names_of

_CODE = "LBL_SEGMENT"
_NO_LETTERS = re.compile(r"[\W\d_]+")
_FIX = "say which they are, 0 for none: dataset.structures: {name: class number}"
_SHOWN = 8


def ask_other_names(
    held: Mapping[str, Collection[int | str]], rules: Rules, findings: Findings
) -> list[DataError]:
    """Return an error, LBL_SEGMENT, for each case whose structures others call by their class.

    It is of cases in which values alone say the class; what `label_map` names is not asked about.
    Where no case calls a structure by a class, names that differ are a warning.

    Args:
        held: names and values of what the label of each case holds, see `Findings.held`.
        rules: names the classes.
        findings: say what is accepted, and take what is noticed.
    """
    known = {plain(name): n for name, n in (rules.labels | names_of(rules)).items()}
    called, others = 0, {}
    for id_, there in held.items():
        names = {name for name in there if isinstance(name, str)}
        called += any(map(known.get, names))
        told = sorted(name for name in names if not SILENT.fullmatch(name))
        if told and names.isdisjoint(known) and rules.label_map.keys().isdisjoint(there):
            others[id_] = told
    if not called:
        _tell_names(others, findings)
        return []
    errors = []
    for id_, told in others.items():
        found = f"values say the class of {told[:_SHOWN]}, which {called} other cases call by name"
        try:
            findings.ask(_CODE, found, _FIX)
            findings.place(len(findings.found) - 1, case=id_)
        except DataError as error:
            errors.append(error.at(case=id_))
    return errors


def _tell_names(names: Mapping[str, list[str]], findings: Findings) -> None:
    """Warn of names that differ by more than numbers from case to case."""
    alike = {frozenset(_NO_LETTERS.sub("", name) for name in told) for told in names.values()}
    if len(alike) < 2:
        return
    times = Counter(", ".join(told) for told in names.values()).most_common(_SHOWN)
    shown = "; ".join(f"{told} ({count} cases)" for told, count in times)
    found = f"values say the class of structures that cases call differently: {shown}"
    _warn(found, _FIX, findings)


def tell_other_tables(
    told: Mapping[str, Collection[tuple[int, str]]], rules: Rules, findings: Findings
) -> None:
    """Warn of a value that tables call by several names, and of a name for several classes.

    Names of classes are left out, as each case is held to them; so are names that differ by
    numbers, and names that stand for several classes in one case.

    Args:
        told: values and names of each case, see `Findings.told`.
        rules: names the classes.
        findings: say what is accepted, and take what is noticed.
    """
    known = {plain(name) for name in names_of(rules)}
    of_values: dict[int, dict[str, str]] = defaultdict(dict)
    of_names: dict[str, set[frozenset[int]]] = defaultdict(set)
    for there in told.values():
        classes: dict[str, set[int]] = defaultdict(set)
        for value, name in sorted(there):
            if name not in known:
                of_values[value].setdefault(_NO_LETTERS.sub("", name), name)
                classes[name].add(rules.label_map.get(value, value))
        for name, numbers in classes.items():
            of_names[name].add(frozenset(numbers))
    apart = [
        f"value {value} is {', '.join(map(repr, sorted(names.values())[:_SHOWN]))}"
        for value, names in sorted(of_values.items())
        if len(names) > 1
    ]
    apart += [
        f"{name!r} is class {', '.join(map(str, sorted(set().union(*several))))}"
        for name, several in sorted(of_names.items())
        if len(several) > 1 and all(len(numbers) == 1 for numbers in several)
    ]
    if apart:
        found = f"tables of names differ from case to case: {'; '.join(apart[:_SHOWN])}"
        _warn(found, "correct them, or name the classes in dataset.labels as they do", findings)


def _warn(found: str, fix: str, findings: Findings) -> None:
    if _CODE in findings.accept:
        findings.note(_CODE, f"accepted: {found}")
    else:
        findings.warn(_CODE, found, f"{fix}, or accept it: {findings.how.format(code=_CODE)}")
