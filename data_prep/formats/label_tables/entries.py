"""What every table of names is made of: a value, and what it is called."""

import re
from collections.abc import Iterable

from data_prep.formats.structure_names import plain

MOST_BYTES = 1 << 20  # of a table; a name takes about a hundred
SILENT = re.compile(r"(segment|label|class)?[\W\d_]*", re.IGNORECASE)  # of a program


def table_of(entries: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Return names by value, without those that tell nothing and values of several names."""
    told: dict[int, dict[str, str]] = {}
    for value, name in entries:
        if not SILENT.fullmatch(name):
            told.setdefault(value, {})[plain(name)] = name.strip()
    return {value: next(iter(names.values())) for value, names in told.items() if len(names) == 1}
