"""The words of names of columns and folders, however those are written together."""

import re
from unicodedata import category, normalize

# Runs of capitals, of a capital and small letters, of other letters, and of digits.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+|\d+")


def tokens_of(name: str) -> list[str]:
    """Return the words and numbers of a name: `patient`, `id` and `5` of `PatientID5`.

    They end at anything that is no letter or digit, at capitals, and between letters and digits.
    They are without accents and capitals.
    """
    return [word.casefold() for word in _WORD.findall(_without_accents(name))]


def _without_accents(text: str) -> str:
    bare = "".join(c for c in normalize("NFD", text) if category(c) != "Mn")
    return normalize("NFC", bare)
