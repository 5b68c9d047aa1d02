"""Tables of what is in what: names of cases, each beside that of the part or patient it is in."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from data_prep.layouts.words import role_of
from data_prep.planning.part_words import fold_number, is_part_word, part_listed

Table = dict[str, list[str]]  # cells of each column
DEPTH = 4  # of objects and lists within each other


def tables_of_members(called: str, holders: Sequence[tuple[str, object]]) -> list[Table]:
    """Return a table of what holders hold, however deep, for each key of their members.

    Where most members are in several, as classes are of which cases are counted, none is made.

    Args:
        called: what the holders are, such as `splits`.
        holders: names, such as `train`, and the list or object of each.
    """
    columns: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for holder, content in holders:
        for key, member in _below(content, "", DEPTH):
            columns[key].append((member, holder))
    head = called_one(called)
    tables = []
    for found in columns.values():
        places = Counter(member for member, _ in dict.fromkeys(found))
        shared = sum(number > 1 for number in places.values())
        within = [holder for _, holder in found]
        several = len({*within}) > 1 or part_listed(within[0]) is not None
        if len(found) > 1 and several and 2 * shared <= len(places):
            folds = all(fold_number(holder) is not None for holder in within)
            within = [_part_or_own(holder) for holder in within]
            tables.append({"": [member for member, _ in found], "fold" if folds else head: within})
    return tables


def called_one(several: str) -> str:
    """Return what each of several is called, if they are parts or groups; else their own name."""
    one = several.removesuffix("s")
    return one if role_of(one) in ("split", "fold", "group", "patient") else several


def _part_or_own(holder: str) -> str:
    """Return the word for the part that a list is called by, as `train_ids`; else its name."""
    part = part_listed(holder)
    return holder if part is None or is_part_word(holder) else part or "train"


def is_cell(value: object) -> bool:
    """Tell whether a value is one that a cell of a table holds."""
    return isinstance(value, str | int | float)


def _below(content: object, key: str, depth: int) -> Iterable[tuple[str, str]]:
    """Yield each name and whole number within, by the nearest key, and keys as values of none."""
    if isinstance(content, str | int):  # no measure, of which files may hold millions
        yield key, str(content)
    elif isinstance(content, list) and depth:
        for one in content:
            yield from _below(one, key, depth - 1)
    elif isinstance(content, dict) and depth:
        for name, value in content.items():
            yield "", str(name)
            yield from _below(value, str(name), depth - 1)
