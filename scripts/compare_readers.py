"""Read every file below some folders as `data_prep` does and as other libraries do, and compare.

Meant for the test files that libraries carry in their wheels and source archives. Compared are
values and affines, with their spacing, by how many voxels a corner moves. What is asked before it
is read is accepted and read again. Disagreements are listed for a person to say who is right.

pip install nibabel pydicom pynrrd tifffile SimpleITK imagecodecs pylibjpeg-libjpeg
python scripts/compare_readers.py FOLDER ... --list
"""

import argparse
import hashlib
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
from other_readers import OTHERS, quietly, series_by_simpleitk

from data_prep.core.errors import DataError
from data_prep.core.findings import Acceptance, Findings
from data_prep.core.geometry import ROUNDED, voxels_apart
from data_prep.core.scan import Scan
from data_prep.files.file_tree import Tree
from data_prep.formats.dicom.series import is_dicom, start_of
from data_prep.formats.registry import is_scan_name
from data_prep.layouts import Case
from data_prep.reading.image import read_case_image
from sdunet.runtime.tables import markdown

_HEAD = ["format", "files", "other library", "same", "same, asked for", "both refuse"]
_HEAD += ["only we refuse", "only we read", "differ"]
_SAME, _ASKED, _BOTH, _OURS_REFUSES, _OURS_READS, _DIFFER = _HEAD[3:]
_ROUNDING = 1e-6  # of the largest value: scaled values are of single precision with us
_STARTS = {b"\x89PNG": "PNG, JPEG, BMP", b"\xff\xd8": "PNG, JPEG, BMP", b"BM": "PNG, JPEG, BMP"}
_STARTS |= {b"II": "TIFF", b"MM": "TIFF", b"NRRD": "NRRD"}
_SUFFIXES = {"NIfTI": (".nii", ".nii.gz", ".hdr"), "MetaImage": (".mha", ".mhd")}


def format_of(path: Path) -> str | None:
    """Return the name of a file's format, if we read it and others do."""
    with path.open("rb") as file:
        start = file.read(256)
    if is_dicom(start):
        return "DICOM"
    if not is_scan_name(path.name):
        return None
    by_name = (n for n, suffixes in _SUFFIXES.items() if path.name.lower().endswith(suffixes))
    by_start = (name for first, name in _STARTS.items() if start.startswith(first))
    return next(by_start, next(by_name, None))


def files_below(folders: list[Path]) -> Iterator[tuple[str, Path]]:
    """Yield format and path of each file, of files with equal contents the first."""
    seen = set()
    for path in sorted(p for folder in folders for p in folder.rglob("*") if p.is_file()):
        name = format_of(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if name is not None and digest not in seen:
            seen.add(digest)
            yield name, path


def series_of(paths: list[Path]) -> list[list[Path]]:
    """Return the files of each series of several files that lie in one folder."""
    found = defaultdict(list)
    for path in paths:
        try:
            uid = start_of(path.read_bytes()).get("SeriesInstanceUID")
        except DataError:
            continue
        if uid:
            found[path.parent, uid].append(path)
    return [group for group in found.values() if len(group) > 1]


def read_ours(paths: list[Path]) -> tuple[Scan | DataError, set[str]]:
    """Return the scan of files in one folder, or why there is none, and what had to be accepted."""
    folder, names = paths[0].parent, tuple(path.name for path in paths)
    there = tuple(sorted(path.name for path in folder.iterdir() if path.is_file()))
    tree = Tree(folder, there, lambda name, limit: (folder / name).read_bytes()[:limit])
    asked: set[str] = set()
    while True:
        try:
            return read_case_image(tree, Case("a", (names,)), Findings(asked)), asked
        except DataError as error:
            if error.code in asked or error.code not in get_args(Acceptance):
                return error, asked
            asked |= {error.code}


def in_our_terms(other: Scan, ours: Scan) -> Scan:
    """Return what another library read without what is another way of saying the same.

    ITK gives a 2D image of DICOM as a slice. We leave out alpha that hides nothing; others
    show a 2D image of two levels as 0 and 255.
    """
    array = other.array
    if ours.array.ndim == 3 and array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0].swapaxes(1, 2)
    elif len(array) == len(ours.array) + 1 and array.ndim == 3:
        opaque = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else 1
        array = array[:-1] if (array[-1] == opaque).all() else array
    if ours.affine is None and ours.array.max() <= 1 and {*np.unique(array)} <= {0, 255}:
        array = array // 255
    return Scan(array, other.affine)


def difference(ours: Scan, other: Scan) -> str:
    """Return by what two scans of a file differ; empty if they are the same."""
    other = in_our_terms(other, ours)
    if ours.array.shape != other.array.shape:
        return f"shape {ours.array.shape}, theirs {other.array.shape}"
    mine, theirs = (scan.array.astype(np.float64) for scan in (ours, other))
    scale = max(1.0, float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0)))
    apart = ~np.isclose(mine, theirs, rtol=0, atol=_ROUNDING * scale, equal_nan=True)
    if apart.any():
        most = np.abs(mine - theirs)[apart].max()
        return f"{apart.sum()} of {apart.size} values, by up to {most:.4g}"
    if ours.affine is None or other.affine is None:
        return ""
    theirs = other.affine.copy()
    if ours.size[2] == 1:  # how thick one slice is moves no voxel, and ITK does not ask DICOM
        theirs[:, 2] = ours.affine[:, 2]
    moved = voxels_apart(ours.affine, theirs, ours.size)
    return "" if moved <= ROUNDED else f"place by up to {moved:.3g} voxels"


def verdict(ours: Scan | DataError, asked: set[str], other: Scan | str) -> tuple[str, str]:
    """Return how two readers agree on a file, and what is to be said of it."""
    codes = " ".join(sorted(asked))
    if isinstance(ours, DataError):
        if isinstance(other, str):
            return _BOTH, ours.code
        return _OURS_REFUSES, f"{ours.code} {ours.found}"
    if isinstance(other, str):
        return _OURS_READS, other
    if said := difference(ours, other):
        return _DIFFER, f"{codes} {said}".strip()
    return (_ASKED, codes) if asked else (_SAME, "")


def compare(folders: list[Path]) -> tuple[list[list[str]], list[tuple[str, str, str, Path, str]]]:
    """Return the rows of the table, and of each verdict but the same: whose, where and why."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    told, dicom = [], []
    for name, path in files_below(folders):
        ours, asked = read_ours([path])
        if name == "DICOM":
            dicom.append(path)
        for library, read in OTHERS[name].items():
            found, why = verdict(ours, asked, quietly(read, path))
            counts[name, library][found] += 1
            if found != _SAME:
                told.append((name, library, found, path, why))
    for group in series_of(dicom):
        ours, asked = read_ours(group)
        found, why = verdict(ours, asked, quietly(lambda _, g=group: series_by_simpleitk(g), group))
        counts["DICOM series", "SimpleITK"][found] += 1
        if found != _SAME:
            told.append(("DICOM series", "SimpleITK", found, group[0], why))
    rows = [
        [name, str(sum(seen.values())), library, *(str(seen[column]) for column in _HEAD[3:])]
        for (name, library), seen in sorted(counts.items())
    ]
    return rows, told


def main() -> int:
    """Compare, print a table and the codes of refusals, and list what is not the same."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folders", nargs="+", type=Path)
    arguments.add_argument(
        "--list", action="store_true", help="name each file that is not the same"
    )
    options = arguments.parse_args()
    rows, told = compare(options.folders)
    print(markdown(_HEAD, rows))
    codes = Counter((name, found, why.split()[0] if why else "") for name, _, found, _, why in told)
    for (name, found, code), n in sorted(codes.items()):
        print(f"{name}: {found}: {code} {n}")
    for name, library, found, path, why in told if options.list else ():
        print(f"{name}\t{library}\t{found}\t{path}\t{why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
