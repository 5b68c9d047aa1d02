"""Names that would do something where they are shown, and some that would not."""

import pytest

NASTY = {
    "escape": "\x1b[2Jgone",
    "newline": "a\nerror FORGED: nothing",
    "return": "shown\rhidden",
    "bell": "a\x07",
    "C1 control": "a\x9b31m",
    "right to left": "a\u202egnp.exe",
    "isolate": "a\u2066b",
    "mark of direction": "a\u200fb",
    "line separator": "a\u2028b",
    "zero width": "a\u200bb",
    "delete": "a\x7f",
}
HARMLESS = ["left lung", "Läsion", "肝臓", "печень", "كبد", "👍", "a\\b", "50 %", "x+y=1"]
NAMES = pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
