"""Write the pages of docs/reference that are made of the sources."""

from pathlib import Path

from data_prep.core.codes import Group, groups

FOLDER = Path(__file__).parents[1] / "docs/reference"
_ERRORS = """# Codes of errors and findings

Made of `data_prep/core/codes.yaml` by `python scripts/make_reference.py`; change it there.
`sdunet info CODE` prints a row. [Check and prepare data](../how-to/prepare-data.md) tells
how errors, warnings and notes differ.

A code with a text in the last column can be accepted, for example by
`dataset.accept: [GEO_SQFORM]` in the task, or by `--accept GEO_SQFORM` for new scans that are
predicted; the text tells what is done then.
"""


def errors_page() -> str:
    """Return the page of all codes, a table a group."""
    return "\n".join([_ERRORS, *map(_table, groups())])


def _table(group: Group) -> str:
    prefixes = ", ".join(group.prefixes)
    rows = [
        f"| `{code.name}` | {code.meaning} | {code.fix} | {code.accepted} |" for code in group.codes
    ]
    head = "| code | what is wrong | what to do | when accepted |\n|---|---|---|---|"
    return "\n".join([f"## {prefixes}\n\n{group.about}\n", head, *rows, ""])


PAGES = {"errors.md": errors_page}


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
