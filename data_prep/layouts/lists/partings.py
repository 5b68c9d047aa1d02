"""Columns that part what a table names by values which several share, whatever they are called."""

import re
from collections.abc import Iterable, Mapping

from data_prep.layouts.lists.members import Table
from data_prep.layouts.words import role_of
from data_prep.planning.part_words import UNTOLD, plain_word, words_in

_GROUPS = 3  # values at least that look like names of patients; two may be any kinds
_MEASURED = re.compile(r"[\d\s.,:/+\-]+(e-?\d+)?%?")  # numbers, dates and times
# Of cases, and neither a part of a split nor a patient.
_KNOWN = (
    *("sex", "gender", "age", "race", "ethnicity", "side", "laterality", "view", "plane"),
    *("modality", "sequence", "protocol", "contrast", "scanner", "vendor", "manufacturer", "model"),
    *("site", "sites", "center", "centre", "hospital", "country", "diagnosis", "pathology"),
    *("disease", "type", "kind", "grade", "stage", "class", "classes", "label", "labels", "organ"),
    *("finding", "findings", "quality", "reader", "annotator", "rater"),
    *("license", "format", "unit", "handedness", "species", "strain", "education", "operator"),
    *("geschlecht", "sexe", "sexo", "sesso", "seite", "diagnose", "alter"),
)


def parting_columns(table: Table, named: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the columns of text, of no known meaning, that give several names one value.

    Each name has one value, and not all have the same: numbers, dates and what is different for
    each are none.

    Args:
        table: cells of each column.
        named: the cells, by column, that name what it is of.
    """
    return [head for head in table if head not in named and _values(table, head, named) > 1]


def groups_by_keys(table: Table, named: Mapping[str, Iterable[str]]) -> bool:
    """Tell whether a table that has no names of columns puts what it names into groups.

    So do objects of JSON whose keys or values are names, whatever the file is called, and rows
    without a head.

    Args:
        table: see `parting_columns`.
        named: see there.
    """
    if len(table) != 2 or not ("" in table or any(head in names for head, names in named.items())):
        return False
    return any(_values(table, head, named) >= _GROUPS for head in table if head not in named)


def _values(table: Table, head: str, named: Mapping[str, Iterable[str]]) -> int:
    """Return how many values part the names of a table; 0 if they are no such values."""
    known_word = not {*words_in(head)}.isdisjoint(_KNOWN)
    if known_word or role_of(head) in ("image", "label", "site", "id"):
        return 0
    for column, names in named.items():
        known = {*names}
        rows = zip([column, *table[column]], [head, *table[head]], strict=True)
        pairs = {(name, plain_word(value)) for name, value in rows if name in known}
        pairs = {(name, value) for name, value in pairs if value not in UNTOLD}
        values = {value for _, value in pairs}
        one_each = len({name for name, _ in pairs}) == len(pairs)
        if one_each and 1 < len(values) < len(pairs) and not _are_measured(values):
            return len(values)
    return 0


def _are_measured(values: Iterable[str]) -> bool:
    return all(_MEASURED.fullmatch(value) for value in values)
