"""One scan from one path, as a user in Python wants it."""

from collections.abc import Collection
from functools import partial
from pathlib import Path

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.files.file_tree import Tree, open_tree, with_files_beside
from data_prep.layouts import find_layout
from data_prep.layouts.unused import voxels_beside
from data_prep.reading.image import read_case_image


def read_scan(path: str | Path, findings: Findings | None = None) -> Scan:
    """Read an image file or the folder of a DICOM series, in its exact values.

    Of a header, such as `.mhd`, the voxels are read from the file beside that it names.

    Args:
        path: of the file or folder.
        findings: what is noticed is added to it. Default: warnings and notes are dropped.

    Raises:
        DataError: IO_SEVERAL if there is more than one image; else what makes the file unusable.
    """
    tree = open_tree(path)
    if len(tree.names) == 1 and not tree.root.is_file():  # one file of a folder
        tree = with_files_beside(tree, partial(_voxels_of, tree.names[0]))
    layout = find_layout(tree, need_labels=False)
    if layout.problems:
        raise layout.problems[0]
    if len(layout.cases) != 1:
        found = f"{len(layout.cases)} images in {path}"
        raise DataError("IO_SEVERAL", found, "give one file, or the folder of one DICOM series")
    return read_case_image(tree, layout.cases[0], Findings() if findings is None else findings)


def _voxels_of(header: str, folder: Tree) -> Collection[str]:
    return voxels_beside(folder, [header]).get(header, ())
