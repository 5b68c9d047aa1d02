"""The licence of a package: its name, as the Hugging Face Hub knows licences, and its text."""

from difflib import get_close_matches
from pathlib import Path

from data_prep.core.errors import DataError
from data_prep.core.parse import read_bounded, usable
from data_prep.core.safe_text import inert

LICENCE = "LICENSE"
_LAYOUT = "\n\r\t\f\ufeff"  # of texts, which is no letter
# docs/hub/repositories-licenses.md of huggingface/hub-docs, without those of others' weights.
_NAMES = """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
    bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc
    cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
    cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
    cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0
    creativeml-openrail-m ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 gfdl gpl gpl-2.0 gpl-3.0
    isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1
    openrail openrail++ osl-3.0 pddl postgresql unlicense wtfpl zlib
"""
NAMES = frozenset(_NAMES.split())


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
