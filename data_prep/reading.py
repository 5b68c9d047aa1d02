"""One entry for all formats: bytes in, scan out, told apart by content and not by name."""

from collections.abc import Callable

from data_prep.errors import DataError
from data_prep.nifti import is_nifti, read_nifti, read_nifti_label
from data_prep.pictures import is_picture, read_picture, read_picture_label
from data_prep.scan import Scan
from data_prep.tree import Tree

Reader = Callable[[bytes], Scan]
PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
NIFTI_SUFFIXES = (".nii.gz", ".nii")
SUFFIXES = NIFTI_SUFFIXES + PICTURE_SUFFIXES


def read_scan(tree: Tree, name: str) -> Scan:
    """Read an image file.

    Raises:
        DataError: with the file's name, if it cannot be read without doubt.
    """
    return _read(tree, name, read_nifti, read_picture)


def read_label(tree: Tree, name: str) -> Scan:
    """Read a label file: `(1, ...)` of the numbers stored; not yet checked against the classes.

    Raises:
        DataError: with the file's name, if it cannot be read without doubt.
    """
    return _read(tree, name, read_nifti_label, read_picture_label)


def stem(name: str) -> str:
    """Return the name without folders and without the suffix of a known format."""
    name = name.rsplit("/", 1)[-1]
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def is_scan_name(name: str) -> bool:
    """Tell by its suffix whether a file is meant as an image."""
    return name.lower().endswith(SUFFIXES)


def _read(tree: Tree, name: str, nifti: Reader, picture: Reader) -> Scan:
    data = tree.read(name)
    try:
        if is_picture(data):
            return picture(data)
        if is_nifti(data):
            return nifti(data)
        raise _not_an_image(data)
    except DataError as error:
        raise error.at(file=name) from error.__cause__


def _not_an_image(data: bytes) -> DataError:
    start = data[:200].lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return DataError("IO_LFS_POINTER", "a git-lfs pointer, not the file", "run git lfs pull")
    if start.startswith((b"<!doctype html", b"<html")):
        return DataError("IO_NOT_IMAGE", "looks like a web page", "download the file itself")
    return DataError(
        "IO_NOT_IMAGE", f"no known format, starts with {data[:8]!r}", "give PNG, TIFF or NIfTI"
    )
