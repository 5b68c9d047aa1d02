"""Names of groups that are those of parts of a split: whole parts would stay together."""

import re
from collections.abc import Collection

from data_prep.planning.part_words import (
    ASKING,
    PART_OF,
    PARTS,
    UNTOLD,
    Part,
    part_in_name,
    part_told,
    plain_word,
    words_in,
)

# What else parts are called by, and other things, too: as values of a split they are not taken.
_OTHERS: dict[str, Part] = {
    **dict.fromkeys(("derivation", "discovery", "development"), ""),
    "replication": "validation",
}
_PART_OF = PART_OF | _OTHERS
_SETS = (
    *("set", "data", "dataset", "cohort", "kohorte", "daten", "datensatz", "group", "gruppe"),
    *("grupo", "gruppo", "sample", "subset", "population", "jeu", "conjunto", "split", "part"),
)
_BESIDE = (
    *(*ASKING, *_SETS, "external", "internal", "extern", "intern", "externe", "interne"),
    *("independent", "prospective", "retrospective", "cases", "of", "the", "de"),
)
_GROUP = re.compile(r"(?<=.)s?(gruppe|group)$")  # `Testgruppe`
_FEW = 6  # names that are of several cases each; of more, those of patients


def parts_alone(values: Collection[object]) -> list[str]:
    """Return what values are called, if they name several parts and nothing else for sure.

    Those of two letters alone may be places: Trento and Trieste.
    """
    told = {str(value).strip() for value in values if plain_word(value) not in UNTOLD}
    parts = {_part_within(value) if _is_of_part_alone(value) else None for value in told}
    return sorted(told) if len(parts) > 1 and None not in parts and _are_plain(told) else []


def may_be_parts(values: Collection[object]) -> bool:
    """Tell whether values name several parts of a split, perhaps by words beside others."""
    words = [word for value in values if (word := plain_word(value)) not in UNTOLD]
    if len({part_told(word) for word in words} - {None}) > 1:
        return True
    different = {*words}
    shared = len(different) <= _FEW and len(different) < len(words)
    return shared and len({_part_within(word) for word in different} - {None}) > 1


def _part_within(value: str) -> Part | None:
    """Return the part that words of a value name; `None` if none does, or they name several."""
    told = part_told(value)
    found = {_part_of_group(word) for word in words_in(value)} - {None}
    return told if told is not None else found.pop() if len(found) == 1 else None


def _part_of_group(word: str) -> Part | None:
    """Return the part that one word of a group's name tells: `training`, `test2`, `Testgruppe`."""
    return part_in_name(re.sub(_GROUP, "", word), _PART_OF)


def _is_of_part_alone(value: str) -> bool:
    """Tell whether all words of a value are of a part: `external test`, `training set 1`."""
    words = words_in(value)
    numbered = any(word in _SETS for word in words)
    return part_told(value) is not None or all(
        word in _BESIDE or (numbered if word.isdecimal() else _names_part(word)) for word in words
    )


def _names_part(word: str) -> bool:
    return not word[-1].isdecimal() and _part_of_group(word) is not None


def _are_plain(values: Collection[str]) -> bool:
    """Tell whether one of the values is called by the usual word for a part, of some letters."""
    usual = tuple(word for words in PARTS.values() for word in words if len(word) > 2)
    words = {word for value in values for word in (plain_word(value), *words_in(value))}
    told = any(part_told(value) is not None and len(value) > 2 for value in values)
    return told or any(word.startswith(usual) for word in words)
