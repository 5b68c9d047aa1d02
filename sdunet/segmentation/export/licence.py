"""The licence of a package: its name, as the Hugging Face Hub knows licences, and its text."""

from difflib import get_close_matches
from pathlib import Path

from data_prep.core.errors import DataError
from data_prep.core.parse import read_bounded, usable
from data_prep.core.safe_text import inert

LICENCE = "LICENSE"
_LAYOUT = "\n\r\t\f\ufeff"  # of texts, which is no letter
# docs/hub/repositories-licenses.md of huggingface/hub-docs, without those of others' weights.
_FAMILIES = {
    "afl": "3.0",
    "agpl": "3.0",
    "apache": "2.0",
    "artistic": "2.0",
    "bigcode-openrail": "m",
    "bigscience-bloom-rail": "1.0",
    "bigscience-openrail": "m",
    "bsd": "2-clause 3-clause 3-clause-clear",
    "bsl": "1.0",
    "cc-by": "2.0 2.5 3.0 4.0",
    "cc-by-nc": "2.0 3.0 4.0",
    "cc-by-nc-nd": "3.0 4.0",
    "cc-by-nc-sa": "2.0 3.0 4.0",
    "cc-by-nd": "4.0",
    "cc-by-sa": "3.0 4.0",
    "cc0": "1.0",
    "cdla-permissive": "1.0 2.0",
    "cdla-sharing": "1.0",
    "creativeml-openrail": "m",
    "ecl": "2.0",
    "epl": "1.0 2.0",
    "etalab": "2.0",
    "eupl": "1.1",
    "gpl": "2.0 3.0",
    "lgpl": "2.1 3.0",
    "lppl": "1.3c",
    "mpl": "2.0",
    "ofl": "1.1",
    "osl": "3.0",
}
_PLAIN = "bsd c-uda cc gfdl gpl isc lgpl lgpl-lr mit ms-pl ncsa odbl odc-by openrail openrail++"
_SINGLE = f"{_PLAIN} pddl postgresql unlicense wtfpl zlib"
NAMES = frozenset(
    {
        *_SINGLE.split(),
        *(f"{name}-{kind}" for name, kinds in _FAMILIES.items() for kind in kinds.split()),
    }
)


def check_licence(name: str | None, file: str | Path | None, *, needed: bool) -> None:
    """Refuse a name of a licence that the Hub would not take, and no licence where one is needed.

    Raises:
        DataError: PACKAGE_LICENCE.
    """
    if needed and name is None and file is None:
        fix = "name it, as --license apache-2.0, or give its text by --license-file"
        raise DataError("PACKAGE_LICENCE", "a folder for the Hub has no licence", fix)
    if name is not None and name not in NAMES:
        close = get_close_matches(name.lower(), sorted(NAMES), n=1)
        meant = f"did you mean --license {close[0]}? For" if close else "for"
        fix = f"{meant} a licence that the Hub has no name for, give its text by --license-file"
        raise DataError("PACKAGE_LICENCE", f"--license {name:.80} is none of the Hub's", fix)


def read_text(path: Path) -> bytes:
    """Return the text of a licence.

    Raises:
        DataError: PACKAGE_LICENCE.
    """
    with usable("PACKAGE_LICENCE", path, "give the text of the licence, or leave it out"):
        content = read_bounded(path)
        text = content.decode()
        if not text.strip():
            raise ValueError("it holds nothing")
        if inert(text, _LAYOUT) != text:
            raise ValueError("it holds characters that are no text")
        return content
