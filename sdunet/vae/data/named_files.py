"""Sets read by fixed names: what of them is missing, there twice, or not read is never unsaid."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.files.hidden import is_hidden
from sdunet.vae.data.picture_folder import left_out
from sdunet.vae.data.raw import Images

# What browsers, file managers and wget add to the name of a copy: `x (1).npz`, `x - Copy.npz`.
_COPY = re.compile(
    r"^(?:copy of|kopie von) |[ _-]*\([^()]*\)|[ _-]+(?:copy|kopie)(?:[ _-]?\d+)?(?=$|[. /])"
    r"| \d+(?=$|[./])|\.\d+(?=$|/)",
    re.IGNORECASE,
)
_ARCHIVE = r"\.(?:zip|7z|rar|tgz|tar(?:\.\w+)?)"
# What tells of a set, or is what it was unpacked from.
_BESIDE = re.compile(
    rf".*(?:{_ARCHIVE}|\.(?:txt|md|rst|html?|pdf|json|ya?ml|csv|tsv|py|sh|ipynb|log|cff|bib))"
    r"|.*\.(?:url|torrent|md5|sha\d+)|readme|licen[sc]e|copying|makefile|(?:md5|sha\d+)sums?",
    re.IGNORECASE,
)
# Images of the sets whose numbers no header declares.
_PUBLISHED = {
    "cifar10": {"train": 50_000, "test": 10_000},
    "imagenet32": {"train": 1_281_149, "test": 49_999},
    "imagenet32_npz": {"train": 1_281_167, "test": 50_000},
    "shapes3d": {"train": 480_000},
}


def names_in(root: Path) -> list[str]:
    """Return the names of what is in the folder of a set and not hidden; `x/` for folders."""
    if not root.is_dir():
        return []
    there = sorted(path for path in root.iterdir() if path.exists() and not is_hidden(path.name))
    return [f"{path.name}/" if path.is_dir() else path.name for path in there]


def needed(name: str, names: Collection[str], root: Path) -> str:
    """Return a name that a set must have.

    Raises:
        DataError: SOURCE_EMPTY, with the copy or other spelling that is there, if any.
    """
    if name in names:
        return name
    found = f"there is no {name} in {root}"
    near = [other for other in names if _original(other) == name.lower()]
    if near:
        raise DataError("SOURCE_EMPTY", f"{found}, only {near[0]}", f"rename it if it is {name}")
    raise DataError("SOURCE_EMPTY", found, "add the file")


def numbered(form: str, names: Collection[str], root: Path) -> list[str]:
    """Return the names of a form, in which `{}` stands for a number, in their order.

    Raises:
        DataError: SOURCE_EMPTY for a gap in the numbers, SOURCE_TWICE for one that is there twice.
    """
    shape = re.compile(re.escape(form).replace(r"\{\}", "0*([0-9]{1,4})"))
    by_number: dict[int, str] = {}
    for name in names:
        match = shape.fullmatch(name)
        if match and (first := by_number.setdefault(int(match[1]), name)) != name:
            raise twice(first, name, root)
    for number in range(1, max(by_number, default=0)):
        if number not in by_number:
            needed(form.format(number), names, root)
    return [name for name in names if name in by_number.values()]


def rest_of(
    names: Collection[str], taken: Collection[str], root: Path, *, own: str, beside: str = ""
) -> tuple[Finding, ...]:
    """Return a warning of what is there and not read, but for what usually lies beside a set.

    Args:
        names: of all that is there.
        taken: those of them that are read.
        root: the set, for messages.
        own: pattern in names that files of the set have, such as `_batch`.
        beside: pattern of whole names of the set's files that hold no images, such as labels.

    Raises:
        DataError: SOURCE_TWICE for a copy, by its name, of what is read.
    """
    read = {name.lower(): name for name in taken}
    bare = {name.rstrip("/") for name in taken}
    others = []
    for name in names:
        if name in taken or re.fullmatch(beside, name):
            continue
        if original := read.get(_original(name)):
            raise twice(original, name, root)
        unpacked = re.sub(f"{_ARCHIVE}$", "", name, flags=re.IGNORECASE) in bare
        of_set = re.search(own, name, re.IGNORECASE)
        if not unpacked and (of_set or not _BESIDE.fullmatch(name)):
            others.append(name)
    return left_out(others, "have no name that is read")


def check_labels(labels: int, images: int, file: Path | str) -> None:
    """Refuse a file of images that has another number of labels.

    Raises:
        DataError: SOURCE_COUNT.
    """
    if labels != images:
        found = f"{labels} labels are of {images} images"
        raise DataError("SOURCE_COUNT", found, "fetch the set again", file=str(file))


def other_than_published(name: str, splits: Mapping[str, Images]) -> tuple[Finding, ...]:
    """Return a warning if a set of known numbers of images has others."""
    published = _PUBLISHED.get(name, {})
    there = {split: splits[split].shape[0] for split in published}
    if there == published:
        return ()
    found = f"{_counts(there)} images; as published, {name} has {_counts(published)}"
    fix = "fetch what is missing, unless a part of the set is meant"
    return (Finding("warning", "SOURCE_COUNT", found, fix),)


def _counts(splits: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count}" for split, count in splits.items())


def _original(name: str) -> str:
    """Return the name of what a file is a copy of, if it is one, in small letters."""
    return _COPY.sub("", name).lower()


def twice(first: str, second: str, root: Path) -> DataError:
    """Return the error of two files of which one is meant."""
    found = f"both {first} and {second} are in {root}"
    return DataError("SOURCE_TWICE", found, "remove the one that is not meant")
