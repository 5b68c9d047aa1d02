"""The one registry of codes: what each error or finding means, and what to do about it.

Its texts stand in `codes.yaml`, by subject; `scripts/make_reference.py` makes a page of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import yaml

from data_prep.core.errors import DataError


@dataclass(frozen=True)
class Code:
    """One code of errors or findings.

    Attributes:
        name: such as `GEO_SHAPE`.
        meaning: what of the data, file, option or run is wrong, in one sentence.
        fix: what to do about it, in one sentence.
        accepted: what is done where the user accepts it; empty for what cannot be accepted.
    """

    name: str
    meaning: str
    fix: str
    accepted: str = ""


@dataclass(frozen=True)
class Group:
    """Codes of one subject.

    Attributes:
        prefixes: that its codes begin with, such as `GEO`.
        about: the subject.
        codes: in the order of the registry.
    """

    prefixes: tuple[str, ...]
    about: str
    codes: tuple[Code, ...]


@cache
def groups() -> tuple[Group, ...]:
    """Return all codes by subject; read at the first call."""
    text = Path(__file__).with_name("codes.yaml").read_text(encoding="utf-8")
    return tuple(
        Group(
            tuple(group["prefixes"]),
            group["about"],
            tuple(Code(name, **texts) for name, texts in group["codes"].items()),
        )
        for group in yaml.safe_load(text)
    )


def acceptable(names: str | Iterable[str], option: str) -> tuple[str, ...]:
    """Return codes that a user accepts; one alone is a text.

    Args:
        names: the codes.
        option: by which they are given.

    Raises:
        DataError: PRED_ACCEPT for one that does not exist or cannot be accepted.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    known = [code.name for group in groups() for code in group.codes if code.accepted]
    for name in names:
        if name not in known:
            close = get_close_matches(str(name), known, n=1)
            fix = f"did you mean {close[0]}" if close else "give the code as the finding shows it"
            raise DataError("PRED_ACCEPT", f"{option} {name!s:.80}", fix)
    return names


def explain(name: str) -> Code:
    """Return a code by its name, in any case.

    Raises:
        ValueError: for an unknown code, with the nearest known one.

    Examples:
        >>> explain("OUT_BUSY").fix
        'Wait for it.'
    """
    known = {code.name: code for group in groups() for code in group.codes}
    if name.upper() in known:
        return known[name.upper()]
    close = get_close_matches(name.upper(), known, n=1, cutoff=0)
    raise ValueError(f"unknown code {name!r}; did you mean {close[0]!r}?")
