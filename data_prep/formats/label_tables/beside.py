"""Tables of names in files beside a label: JSON of dcmqi, texts of ITK-SNAP and LabelMe.

Forms: https://qiicr.gitbook.io/dcmqi-guide (`segmentAttributes`); ITK-SNAP's label descriptions;
LabelMe's `label_names.txt`, a line for each value.
"""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.parse import parse_json
from data_prep.files.file_tree import Tree
from data_prep.formats.label_tables.entries import MOST_BYTES, SILENT, table_of
from data_prep.formats.registry import stem

# Value, red, green, blue, opacity, whether it is shown and meshed, name.
_DESCRIBED = re.compile(r'^\s*(\d{1,9})(?:\s+\d{1,3}){3}\s+[\d.]+\s+[01]\s+[01]\s+"(.*)"\s*$')
_DESCRIPTIONS = ("_labels.txt", ".txt", ".label")  # what names of such files end in
_IGNORED = "__ignore__"  # a first line of LabelMe that is of value -1


def beside_label(tree: Tree, name: str, case: str) -> dict[str, dict[int, str]]:
    """Return the names by value that files beside a label give, by the file.

    Files that hold something else, or cannot be read, say nothing.

    Args:
        tree: where they are.
        name: of the label.
        case: id of its case, by which ITK-SNAP may call them, too.
    """
    readers: dict[str, Callable[[str], dict[int, str]]] = {
        "meta.json": _of_dcmqi,
        "label_names.txt": _of_labelme,
    }
    for own in (stem(name), PurePosixPath(case).name):
        readers[f"{own}.json"] = _of_dcmqi
        readers |= dict.fromkeys((f"{own}{end}" for end in _DESCRIPTIONS), _of_itk_snap)
    folder = PurePosixPath(name).parent
    wanted = {(folder / file).as_posix(): read for file, read in readers.items()}
    found = {}
    for file, read in wanted.items():
        if not tree.holds(file) or file in tree.outside:
            continue
        try:
            # With a limit, as what several cases share is no part of what each is made of.
            data = tree.read(file, MOST_BYTES + 1)
            if len(data) <= MOST_BYTES and (table := read(data.decode("utf-8-sig"))):
                found[file] = table
        except (DataError, ValueError, TypeError, AttributeError, KeyError):
            continue
    return dict(sorted(found.items()))


def _of_dcmqi(text: str) -> dict[int, str]:
    several = parse_json(text).get("segmentAttributes", [])
    return table_of((int(one["labelID"]), _called(one)) for file in several for one in file)


def _called(segment: dict) -> str:
    """Return the first name of a segment that tells something."""
    code = segment.get("SegmentedPropertyTypeCodeSequence", {}).get("CodeMeaning", "")
    names = (segment.get("SegmentLabel", ""), segment.get("SegmentDescription", ""), code)
    return next((str(name) for name in names if not SILENT.fullmatch(str(name))), "")


def _of_itk_snap(text: str) -> dict[int, str]:
    matches = filter(None, map(_DESCRIBED.match, text.splitlines()))
    return table_of((int(match[1]), match[2]) for match in matches)


def _of_labelme(text: str) -> dict[int, str]:
    lines = text.splitlines()
    return table_of(enumerate(lines, -1 if lines[0].strip() == _IGNORED else 0))
