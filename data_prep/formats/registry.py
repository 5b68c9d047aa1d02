"""One entry for all formats: bytes in, scan out, told apart by content and not by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Protocol
from unicodedata import normalize

from data_prep.core.config import Rules
from data_prep.core.errors import DataError, named_errors
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.core.values.channel_names import CHANNEL
from data_prep.files.decompress import Beside
from data_prep.files.file_tree import Tree
from data_prep.formats import images_2d
from data_prep.formats.mask_images import read_picture_label
from data_prep.formats.metaimage import is_metaimage, read_metaimage
from data_prep.formats.nifti import is_nifti, read_nifti, read_nifti_label
from data_prep.formats.nrrd import is_nrrd, read_nrrd
from data_prep.formats.numpy_files import is_array, read_array

Reader = Callable[[bytes, Findings, Beside], Scan]


class LabelReader(Protocol):
    """Reads a label by the rules of its dataset."""

    def __call__(
        self, data: bytes, findings: Findings, beside: Beside, /, rules: Rules | None
    ) -> Scan:
        """Return `(1, ...)` of the numbers stored."""


@dataclass(frozen=True)
class Format:
    """One format: its suffixes, how it is told by its first bytes, how it is read."""

    name: str
    suffixes: tuple[str, ...]
    is_it: Callable[[bytes], bool]
    read: Reader
    read_label: LabelReader


def _alike(read: Reader) -> LabelReader:
    """Return a reader of labels that are stored alike in all sets."""

    def read_label(data: bytes, findings: Findings, beside: Beside, /, rules: Rules | None) -> Scan:
        return read(data, findings, beside)

    return read_label


FORMATS = (
    Format(
        "a 2D image",
        images_2d.SUFFIXES,
        images_2d.is_picture,
        images_2d.read_picture,
        lambda data, findings, beside, rules: read_picture_label(data, findings, rules, beside),
    ),
    Format("NIfTI", (".nii.gz", ".nii", ".hdr"), is_nifti, read_nifti, _alike(read_nifti_label)),
    Format("NRRD", (".nrrd", ".nhdr"), is_nrrd, read_nrrd, _alike(read_nrrd)),
    Format("MetaImage", (".mha", ".mhd"), is_metaimage, read_metaimage, _alike(read_metaimage)),
    Format(
        "a NumPy array",
        (".npy", ".npz"),
        is_array,
        read_array,
        _alike(read_array),
    ),
)
SUFFIXES = tuple(suffix for format_ in FORMATS for suffix in format_.suffixes)
LOSSLESS = tuple(suffix for suffix in SUFFIXES if suffix not in (".jpg", ".jpeg"))


def read_scan(tree: Tree, name: str, findings: Findings | None = None) -> Scan:
    """Read an image file; what is noticed is added to `findings`.

    Raises:
        DataError: with the file's name, if it cannot be read without doubt.
    """
    return _read(tree, name, findings or Findings(), lambda format_: format_.read)


def read_label(
    tree: Tree, name: str, findings: Findings | None = None, rules: Rules | None = None
) -> Scan:
    """Read a label file: `(1, ...)` of the numbers stored; not yet checked against the classes.

    One whose header names segments may have several layers of them, see `Scan.segments`.

    Args:
        tree: where it is.
        name: of the file.
        findings: what is noticed is added to it.
        rules: say how the masks of its set are stored. Default: it is read by itself.

    Raises:
        DataError: with the file's name, if it cannot be read without doubt.
    """
    findings = findings or Findings()
    scan = _read(tree, name, findings, lambda format_: partial(format_.read_label, rules=rules))
    if len(scan.array) != 1 and not scan.segments:
        channels = len(scan.array)
        raise DataError("LBL_4D", f"{channels} channels in one label", "save one", file=name)
    return scan


def open_file(tree: Tree, name: str, findings: Findings, limit: int | None = None) -> bytes:
    """Return the content of a file of a case, whole or at most its first `limit` bytes.

    Every file that a case is made of is opened here: also those beside a header or of a series.

    Raises:
        DataError: IO_LINK for a link that leads out of the dataset, unless accepted; else as
            `Tree.read`.
    """
    since = len(findings.found)
    told = any(f.code == "IO_LINK" and f.file == name for f in findings.found)
    try:
        if name in tree.outside and not told:
            findings.ask("IO_LINK", "a link that leads out of the dataset", "copy the file itself")
            findings.place(since, file=name)
    except DataError as error:
        raise error.at(file=name) from None
    return tree.read(name, limit)


def stem(name: str) -> str:
    """Return the name without folders and without the suffix of a known format.

    Letters with accents are written in one way: file systems change one into the other.
    """
    name = normalize("NFC", name.rsplit("/", 1)[-1])
    return name[: len(name) - len(suffix_of(name))]


def suffix_of(name: str) -> str:
    """Return the suffix of a known format, as written; empty for any other name."""
    found = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return name[len(name) - len(found) :]


def is_scan_name(name: str) -> bool:
    """Tell by its suffix whether a file is meant as an image."""
    return name.lower().endswith(SUFFIXES)


def _read(tree: Tree, name: str, findings: Findings, reader_of: Callable[[Format], Reader]) -> Scan:
    since = len(findings.found)
    with named_errors(name):
        data = open_file(tree, name, findings)
        read = reader_of(_format_of(name, data, findings))
        scan = read(data, findings, lambda other: _beside(tree, name, other, findings))
    findings.place(since, file=name)
    return scan


def _format_of(name: str, data: bytes, findings: Findings) -> Format:
    format_ = next((format_ for format_ in FORMATS if format_.is_it(data)), None)
    if format_ is None:
        raise _not_an_image(data)
    suffix = suffix_of(name).lower()
    if suffix and suffix not in format_.suffixes:
        raise DataError("IO_WRONG_TYPE", f"{format_.name} named {suffix}", "rename it")
    if suffix in (".nii", ".nii.gz"):
        packed = data.startswith(b"\x1f\x8b")
        if packed != (suffix == ".nii.gz"):
            kind = "gzip" if packed else "not gzip"
            findings.note("IO_SUFFIX", f"{kind} though named {suffix}")
    return format_


def _beside(tree: Tree, name: str, other: str, findings: Findings) -> bytes:
    """Read a file in the same folder; `*` and `**` stand for stems of `name`, see `Beside`."""
    folder = PurePosixPath(name).parent
    wanted = normalize("NFC", (folder / _filled(other, stem(name))).as_posix())
    alike = {normalize("NFC", there): there for there in tree.names}
    found = [alike[n] for n in (wanted, f"{wanted}.gz") if n in alike]
    if not found or "/" in other:
        raise DataError("IO_BESIDE", f"its voxels are missing, {other!r}", "give both files")
    return open_file(tree, found[0], findings)


def _filled(other: str, own: str) -> str:
    return other.replace("**", CHANNEL.sub("", own)).replace("*", own)


def _not_an_image(data: bytes) -> DataError:
    start = data[:200].lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return DataError("IO_LFS_POINTER", "a git-lfs pointer, not the file", "run git lfs pull")
    if start.startswith((b"/annex/objects", b"../.git/annex", b".git/annex")):
        return DataError("IO_LFS_POINTER", "a git-annex pointer", "run git annex get")
    if start.startswith((b"<!doctype html", b"<html")):
        return DataError("IO_NOT_IMAGE", "looks like a web page", "download the file itself")
    return DataError(
        "IO_NOT_IMAGE",
        f"no known format, starts with {data[:8]!r}",
        "give PNG, TIFF, NIfTI, NRRD, MetaImage, npy or DICOM",
    )
