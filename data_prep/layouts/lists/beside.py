"""Tables beside a dataset that no layout reads, and may tell a split or groups of its cases."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from data_prep.core.findings import Subject
from data_prep.files.file_tree import Tree
from data_prep.formats.registry import stem
from data_prep.layouts.cases import Case, Layout
from data_prep.layouts.dicom_files import hashed
from data_prep.layouts.lists.columns import (
    folds_apart,
    may_group,
    may_leave_out,
    may_tell_parts,
    parts_counted,
    told_parts,
)
from data_prep.layouts.lists.file_names import is_list_of_parts
from data_prep.layouts.lists.members import Table
from data_prep.layouts.lists.partings import groups_by_keys, parting_columns
from data_prep.layouts.lists.tables import has_part_keys, is_cut, tables_of
from data_prep.layouts.words import holds_left_out, role_of
from data_prep.planning.part_words import is_part_word

_PARTED = ("split", "fold")
_GROUPED = ("group", "patient")


@dataclass(frozen=True)
class Named:
    """Names in a table that are those of cases, or of what several are of, such as patients.

    Attributes:
        number: of different names, which are not shown: they may be those of people.
        cases: ids of those they name.
        own: whether all are ids, as settings want them.
        about: what the table may tell, and the dataset does not.
    """

    number: int
    cases: frozenset[str]
    own: bool
    about: tuple[Subject, ...] = ()


def named_by_tables(tree: Tree, names: Iterable[str], layout: Layout) -> dict[str, Named]:
    """Return what tables name of a dataset, of those that tell a split or groups of it.

    What the dataset states itself is not told again. A file that is called by a part of a split,
    such as `val.csv`, tells it of the cases that it names, if those are not all.

    Args:
        tree: the dataset.
        names: of tables, texts or files of JSON or YAML.
        layout: of the cases.
    """
    called = _names_of((*layout.cases, *layout.unlabelled))
    found = {name: _named_by(tree, name, layout, called) for name in names}
    return {name: named for name, named in found.items() if named}


def _named_by(
    tree: Tree, name: str, layout: Layout, called: Mapping[str, set[str]]
) -> Named | None:
    cases = (*layout.cases, *layout.unlabelled)
    if len(cases) < 2:
        return None
    tables = tables_of(tree, name)
    found = [
        replace(named, about=about)
        for table in tables
        if (about := _open(table, layout, called)) and (named := _named_in(table, called))
    ]
    most = max(found, key=_number, default=None)
    if most and _of_most(most, len(cases), cut=is_cut(tree, name)):
        about = tuple(dict.fromkeys(subject for named in found for subject in named.about))
        return replace(most, about=about)
    if states_split(layout):
        return None
    # What is called by a part itself, or lists some of the cases under a word for one alone.
    of_parts = tables if is_list_of_parts(name) else [*filter(_is_of_parts, tables)]
    within = filter(None, (_named_in(table, called) for table in of_parts))
    of_part = max(within, key=_number, default=None)
    if of_part is None or not 1 < len(of_part.cases) < len(cases):
        return None
    sure = is_list_of_parts(name) or of_part.own
    return replace(of_part, about=("split",)) if sure else None


def _is_of_parts(table: Table) -> bool:
    """Tell whether all that a table names is in parts of a split, and is no number."""
    cells = [column for head, column in table.items() if head]
    parted = any(column and all(map(is_part_word, column)) for column in cells)
    return parted and not all(cell.isdecimal() for cell in table.get("", ()))


def left_out_by_tables(tree: Tree, names: Iterable[str], layout: Layout) -> dict[str, list[str]]:
    """Return the columns, by table, that may tell which cases to leave out.

    Where the table itself is called so and names some cases, such as `blacklist.csv`, its columns
    are none.

    Args:
        tree: the dataset.
        names: of tables, texts or files of JSON or YAML.
        layout: of the cases.
    """
    cases = (*layout.cases, *layout.unlabelled)
    called = _names_of(cases)
    found = {}
    for name in names:
        tables = tables_of(tree, name)
        of_cases = [(table, _named_in(table, called)) for table in tables]
        cut = is_cut(tree, name)
        columns = [
            head or PurePosixPath(name).stem
            for table, named in of_cases
            for head, cells in table.items()
            if _of_most(named, len(cases), cut=cut) and may_leave_out(head, cells)
        ]
        listed = any(0 < _number(named) < len(cases) for _, named in of_cases)
        if columns or (listed and holds_left_out(PurePosixPath(name).stem)):
            found[name] = [*dict.fromkeys(columns)]
    return found


def parted_by_tables(tree: Tree, names: Iterable[str], layout: Layout) -> list[str]:
    """Return the tables, with their columns, that part most cases by words of unknown meaning.

    Their columns may be called in any language. None is told where the dataset states split and
    groups itself.

    Args:
        tree: the dataset.
        names: of tables, texts or files of JSON or YAML, of which nothing else is told.
        layout: of the cases.
    """
    cases = (*layout.cases, *layout.unlabelled)
    if not not_stated(layout):
        return []
    called = _names_of(cases)
    found = []
    for name in names:
        cut = is_cut(tree, name)
        columns = [
            head or "a column without a name"
            for table in tables_of(tree, name)
            if _of_most(_named_in(table, called), len(cases), cut=cut)
            for head in parting_columns(table, _naming(table, called))
        ]
        if columns:
            found.append(f"{name} by {', '.join(map(repr, dict.fromkeys(columns)))}")
    return found


def _open(table: Table, layout: Layout, called: Mapping[str, set[str]]) -> tuple[Subject, ...]:
    """Return what a table tells of split and groups, and the dataset says not itself."""
    parted, of_groups = what_is_told(table)
    of_groups = of_groups or groups_by_keys(table, _naming(table, called))
    return not_stated(layout, split=parted, groups=of_groups)


def _naming(table: Table, called: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Return the cells that name cases, by the columns of which most do."""
    named = {head: _named([head, *cells], called) for head, cells in table.items()}
    return {
        head: [cell for cell in (head, *table[head]) if cell and stem(cell).casefold() in called]
        for head, found in named.items()
        if found
    }


def _named_in(table: Table, called: Mapping[str, set[str]]) -> Named | None:
    named = [_named([head, *cells], called) for head, cells in table.items()]
    return max(filter(None, named), key=_number, default=None)


def not_stated(layout: Layout, *, split: bool = True, groups: bool = True) -> tuple[Subject, ...]:
    """Return what of a split and groups, if those are asked about, a dataset says not itself."""
    asked: dict[Subject, bool] = {
        "split": split and not states_split(layout),
        "groups": groups and not states_groups(layout),
    }
    return tuple(subject for subject, open_ in asked.items() if open_)


def states_split(layout: Layout) -> bool:
    """Tell whether a dataset says itself which cases are for testing, or its folds."""
    cases = (*layout.cases, *layout.unlabelled)
    return bool(layout.apart) or any(case.split is not None for case in cases)


def states_groups(layout: Layout) -> bool:
    """Tell whether a dataset says itself whose its cases are."""
    return any(case.group or case.patient for case in (*layout.cases, *layout.unlabelled))


def tells_of_cases(tree: Tree, name: str) -> bool:
    """Tell whether JSON, YAML or Markdown holds parts of a split or groups, whatever of."""
    told = any(any(what_is_told(table)) for table in tables_of(tree, name))
    return told or (not name.lower().endswith(".md") and has_part_keys(tree, name))


def what_is_told(table: Table) -> tuple[bool, bool]:
    """Tell whether a column of a table tells parts of a split, and whether one tells groups."""
    counts = parts_counted(table)
    columns = {h: cells for h, cells in table.items() if h and any(cells) and h not in counts}
    roles = [role_of(head) for head in columns]
    perhaps = [may_group(head, cells) for head, cells in columns.items()]
    parted = any(
        told_parts(head, cells) or may_tell_parts(head, cells) for head, cells in columns.items()
    )
    return (
        parted or not {*roles, *perhaps}.isdisjoint(_PARTED) or bool(folds_apart(columns)),
        not {*roles, *perhaps}.isdisjoint(_GROUPED),
    )


def _names_of(cases: Iterable[Case]) -> Mapping[str, set[str]]:
    """Return the ids of cases by what may name them: id, beginnings of it, folders, and group."""
    called: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        ends = [found.start() for found in re.finditer(r"(?<=[^\W_])[\W_]", case.id)]
        names = [case.id, *(case.id[:end] for end in ends)]
        names += [*PurePosixPath(case.image).parts[:-1], case.group or "", case.patient or ""]
        names += [name.removeprefix("sub-") for name in names]
        for name in names:
            called[name.casefold()].add(case.id)
    return called


def _named(cells: Iterable[str], called: Mapping[str, set[str]]) -> Named | None:
    """Return what cells of a column name, if most do and no name is of all cases."""
    all_ = set[str]().union(*called.values())
    different = {cell: stem(cell).casefold() for cell in cells if cell}
    keys = {cell: (cell.casefold(), name, hashed(cell)) for cell, name in different.items()}
    found = {cell: next((called[k] for k in ks if k in called), all_) for cell, ks in keys.items()}
    there = {cell: ids for cell, ids in found.items() if ids != all_}
    if not there or 2 * len(there) < len(different):
        return None
    own = all(ids in ({cell}, {stem(cell)}) for cell, ids in there.items())
    return Named(len(there), frozenset().union(*there.values()), own)


def _of_most(found: Named | None, cases: int, *, cut: bool) -> bool:
    """Tell whether most cases are named; where a table is cut, what is left names some."""
    return _number(found) > 1 if cut else 2 * _number(found) > cases


def _number(found: Named | None) -> int:
    return len(found.cases) if found else 0
