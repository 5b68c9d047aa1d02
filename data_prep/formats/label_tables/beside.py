"""Tables of names in files beside a label: of dcmqi, ITK-SNAP, Slicer, LabelMe, BIDS and others.

Forms: https://qiicr.gitbook.io/dcmqi-guide (`segmentAttributes`); ITK-SNAP's label descriptions;
LabelMe's `label_names.txt`, a line for each value; `dseg.tsv` of
https://bids-specification.readthedocs.io (discrete segmentations); others as `texts` tells.
"""

import csv
from collections.abc import Collection
from itertools import islice
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.parse import parse_json
from data_prep.files.file_tree import Tree
from data_prep.formats.label_tables.entries import MOST_BYTES
from data_prep.formats.label_tables.texts import in_dcmqi, in_lines, names_in
from data_prep.formats.registry import stem

_SUFFIXES = (".json", ".csv", ".tsv", ".txt", ".label", ".ctbl", ".lut", ".xml")
_CALLED = ("_labels", "_ColorTable", "_LabelMap")  # what names of tables of one label end in
_OF_FOLDER = ("labels", "ColorTable", "LabelMap", "label_map", "labelmap", "class_names")
_BIDS = ("dseg.tsv", "dseg.json")


def beside_label(
    tree: Tree, name: str, case: str, known: Collection[str] = ()
) -> dict[str, dict[int, str]]:
    """Return the names by value that files beside a label give, by the file.

    Files that hold something else, or cannot be read, say nothing.

    Args:
        tree: where they are.
        name: of the label.
        case: id of its case, by which programs may call them, too.
        known: names of classes, see `plain`; what is no table of names for sure is one of these.
    """
    folder = PurePosixPath(name).parent
    wanted = {"meta.json": False, "label_names.txt": True}  # whether it is sure to be a table
    for own in (stem(name), PurePosixPath(case).name):
        wanted |= {f"{own}{end}": False for end in _SUFFIXES}
        wanted |= {f"{own}{word}{end}": True for word in _CALLED for end in _SUFFIXES}
    wanted |= {f"{word}{end}": True for word in _OF_FOLDER for end in _SUFFIXES}
    files = {(folder / file).as_posix(): sure for file, sure in wanted.items()}
    files |= dict.fromkeys(_inherited(tree, name), True)
    found = {}
    for file, sure in files.items():
        if not tree.holds(file) or file in tree.outside:
            continue
        try:
            # With a limit, as what several cases share is no part of what each is made of.
            data = tree.read(file, MOST_BYTES + 1)
            if len(data) <= MOST_BYTES and (table := _read(file, data, known, sure=sure)):
                found[file] = table
        except (DataError, ValueError, TypeError, LookupError, AttributeError, csv.Error):
            continue
        except RecursionError:
            continue  # of objects in objects
    return dict(sorted(found.items()))


def _read(file: str, data: bytes, known: Collection[str], *, sure: bool) -> dict[int, str]:
    text, path = data.decode("utf-8-sig"), PurePosixPath(file)
    if path.name == "label_names.txt":
        return in_lines(text.splitlines())
    if path.name == "meta.json":
        return in_dcmqi(parse_json(text))
    return names_in(text, path.suffix.lower(), known, sure=sure)


def _inherited(tree: Tree, name: str) -> list[str]:
    """Return the table of BIDS that is nearest to a label that has none of its own.

    It lies in a folder of the label or above, and is called by its suffix and some of its entities.
    """
    *entities, suffix = stem(name).split("_")
    if not entities or suffix != "dseg":
        return []
    own = PurePosixPath(name).parent / f"{stem(name)}.tsv"
    if tree.holds(own.as_posix()):
        return []
    begins = (*(f"{entity}_" for entity in entities), "")
    files = [f"{begin}{table}" for table in _BIDS for begin in begins]
    above = ((folder / file).as_posix() for folder in PurePosixPath(name).parents for file in files)
    return [*islice(filter(tree.holds, above), 1)]
