"""Packages on the Hugging Face Hub, given as `hf:OWNER/NAME@COMMIT` in place of a folder.

Fetched are the files that the list of the package names, none of which can run. They are copied out
of the Hub's cache into a folder of this process, and held to that list at every load.
"""

import logging
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.memory_limits import check_bytes
from data_prep.core.parse import MAX_BYTES, read_bounded, usable
from data_prep.files.file_tree import open_tree
from data_prep.layouts.cases import sample
from sdunet.runtime.run_record import say
from sdunet.segmentation.models.integrity import LIST, listed_files, verify

PREFIX = "hf:"
FORM = "hf:OWNER/NAME@COMMIT"
# Of files that hold data alone; nothing here opens one of ONNX.
INERT = (".csv", ".json", ".md", ".onnx", ".png", ".safetensors")
_TEXTS = ("LICENSE",)
_NAME = re.compile(rf"{PREFIX}([\w.-]+/[\w.-]+)(?:@(.+))?", re.ASCII)
_COMMIT = re.compile("[0-9a-f]{40}")
# Leads nowhere else, on any system.
_FILE = re.compile(r"\w[\w.-]{0,199}(?:/\w[\w.-]{0,199})*", re.ASCII)
_MOST = 100  # files; a package has about ten
_LOG_IN = "log in by hf auth login, or set HF_TOKEN"
_MAKE = "make it by sdunet export --hub-folder, and upload that folder"


def is_on_hub(path: str | Path) -> bool:
    """Tell whether a path is the name of a package on the Hub."""
    return str(path).startswith(PREFIX)


def is_inert(name: str) -> bool:
    """Tell whether a file, by its name, holds data alone."""
    path = PurePosixPath(name)
    return path.suffix in INERT or path.name in _TEXTS


def fetch(name: str | Path, folder: Path) -> Path:
    """Copy a package on the Hub into a folder, and verify it.

    Nothing is asked of the network where the Hub's cache on this machine has all of it: what a
    commit holds never changes. Who may read it, and where the cache and the Hub are, is told by the
    variables of `huggingface_hub`, such as HF_TOKEN, HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE.

    Args:
        name: `hf:OWNER/NAME@COMMIT`.
        folder: is made.

    Returns:
        The folder.

    Raises:
        DataError: EXTRA_MISSING without `huggingface_hub`; HUB_NAME for another form; HUB_REVISION
            for a branch or tag; HUB_MISSING, HUB_DENIED or HUB_NETWORK if it cannot be fetched;
            HUB_FILES if it is no package of files that cannot run; IO_TOO_LARGE or IO_MEMORY by
            the sizes that the Hub declares; PACKAGE_LIST or PACKAGE_HASH if it is not as it was
            exported.
    """
    name = str(name)
    if find_spec("huggingface_hub") is None:
        fix = "pip install 'sdunet[hub]', or give a copy of its folder"
        raise DataError("EXTRA_MISSING", f"{name} needs huggingface_hub", fix)
    matched = _NAME.fullmatch(name)
    if matched is None:
        raise DataError("HUB_NAME", f"{name:.200} is not {FORM}", f"give it as {FORM}")
    repository, revision = matched.groups()
    with _asking(name):
        if revision is None or not _COMMIT.fullmatch(revision):
            raise _not_pinned(repository, revision)
        cached = _cached(repository, revision) or _download(name, repository, revision)
    for file, path in cached.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / file)  # of a link what it leads to
    with _as_exported(name, cached[LIST]):
        verify(open_tree(folder))
    return folder


@contextmanager
def _as_exported(name: str, listing: Path) -> Iterator[None]:
    """Tell of a package that is damaged where it is, in the cache or on the Hub."""
    try:
        yield
    except DataError as error:
        if not error.code.startswith("PACKAGE"):
            raise
        fix = f"remove {listing.parent} and try again; or whoever made it exports it anew"
        raise DataError(error.code, f"{name}: {error.found}", fix, file=error.file) from error


def _not_pinned(repository: str, revision: str | None) -> DataError:
    """Return the error of a name without a commit, with the commit that it stands for now."""
    fix = f"give the 40 digits of a commit, as {FORM}"
    what = "no revision" if revision is None else f"{revision:.80} is no commit, and may change"
    try:
        with _asking(f"{PREFIX}{repository}"):
            commit = str(_information(repository, revision).sha)
    except DataError as error:
        if error.code != "HUB_NETWORK":
            raise
        return DataError("HUB_REVISION", f"{PREFIX}{repository}: {what}", fix)
    if _COMMIT.fullmatch(commit):
        fix = f"for what it is now, give {PREFIX}{repository}@{commit}"
    return DataError("HUB_REVISION", f"{PREFIX}{repository}: {what}", fix)


def _information(repository: str, revision: str | None) -> Any:
    from huggingface_hub import HfApi

    return HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=30)


def _cached(repository: str, commit: str) -> dict[str, Path]:
    """Return where the files of a package are in the Hub's cache; nothing unless all are there."""
    from huggingface_hub import try_to_load_from_cache

    def find(file: str) -> Path | None:
        found = try_to_load_from_cache(repository, file, revision=commit)
        return Path(found) if isinstance(found, str) else None

    listing = find(LIST)
    if listing is None:
        return {}
    found = {file: find(file) for file in _files(listing, f"{PREFIX}{repository}@{commit}")}
    there = {file: path for file, path in found.items() if path is not None}
    return {LIST: listing} | there if len(there) == len(found) else {}


def _files(listing: Path, name: str) -> list[str]:
    """Return the names of a package's files, all of which may be fetched.

    Raises:
        DataError: PACKAGE_LIST, HUB_FILES.
    """
    with _as_exported(name, listing), usable("PACKAGE_LIST", LIST, ""):
        files = list(listed_files(read_bounded(listing, MAX_BYTES)))
    if len(files) > _MOST:
        raise DataError("HUB_FILES", f"{name} lists {len(files)} files", _MAKE)
    if wrong := [file for file in files if not _FILE.fullmatch(file)]:
        found = f"{name} lists {wrong[0]!r:.80}, which is no plain name"
        raise DataError("PACKAGE_LIST", found, f"take it for tampered with, or {_MAKE}")
    folders = {folder.as_posix() for file in files for folder in PurePosixPath(file).parents}
    if wrong := sorted({*files} & folders):
        found = f"{name} lists {wrong[0]!r:.80} as a file and as a folder"
        raise DataError("PACKAGE_LIST", found, f"take it for tampered with, or {_MAKE}")
    if running := [file for file in files if not is_inert(file)]:
        found = f"{name} is a package with files that can run, which are not fetched"
        raise DataError("HUB_FILES", f"{found}: {sample(running)}", _MAKE)
    return files


def _download(name: str, repository: str, commit: str) -> dict[str, Path]:
    """Fetch the files of a package into the Hub's cache, and return where they are there."""
    from huggingface_hub import hf_hub_download

    information = _information(repository, commit)
    sizes = {str(one.rfilename): one.size for one in information.siblings or ()}

    def download(file: str) -> Path:
        told = hf_hub_download(repository, file, revision=commit, dry_run=True)
        if told.commit_hash != commit:
            found = f"{name}: the Hub answered with another commit"
            raise DataError("HUB_FILES", found, "try again later, or take another commit")
        if told.file_size != sizes[file]:
            found = f"{name}: {file} has {sizes[file]} bytes in the list, {told.file_size} to fetch"
            raise DataError("HUB_FILES", found, "take another source; this one contradicts itself")
        return Path(hf_hub_download(repository, file, revision=commit))

    _check_sizes(name, sizes, [LIST])
    listing = download(LIST)
    files = _files(listing, name)
    total = _check_sizes(name, sizes, files)
    _say_left(name, {*sizes} - {*files, LIST})
    say(f"fetching {total / 1e6:.1f} MB of {name}")
    return {LIST: listing} | {file: download(file) for file in files}


def _check_sizes(name: str, sizes: Mapping[str, int | None], files: Collection[str]) -> int:
    """Return how many bytes files have, as the Hub declares.

    Raises:
        DataError: HUB_FILES, IO_TOO_LARGE, IO_MEMORY.
    """
    if missing := [file for file in files if sizes.get(file) is None]:
        raise DataError("HUB_FILES", f"{name} lacks {sample(missing)}", _MAKE)
    try:
        return check_bytes(sum(sizes[file] or 0 for file in files), 1)
    except DataError as error:
        fix = "take a smaller network, or a machine with more memory"
        raise DataError(error.code, f"{name}: {error.found}", fix) from None


def _say_left(name: str, others: Collection[str]) -> None:
    """Tell what is in the repository and no part of the package."""
    # What Git and the Hub keep there is in every repository.
    if shown := sorted(file for file in others if not file.startswith(".")):
        found = f"{name} also holds what is not in its {LIST}: {sample(shown)}"
        say(str(Finding("note", "HUB_LEFT", found, "they are not fetched")))


@contextmanager
def _asking(name: str) -> Iterator[None]:
    """Make one named error of whatever a request to the Hub raises.

    Words of libraries and servers are left out: they may hold addresses with passwords.

    Raises:
        DataError: HUB_MISSING, HUB_DENIED, HUB_NETWORK; as it is.
        OSError: if the cache cannot be written.
    """
    chatter = logging.getLogger("huggingface_hub")
    before = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise _named(name, error) from None
    finally:
        chatter.setLevel(before)


def _named(name: str, error: Exception) -> DataError:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
        causes.append(cause)
    if any(isinstance(cause, HFValidationError) for cause in causes):
        return DataError("HUB_NAME", f"{name:.200} cannot be on the Hub", f"give it as {FORM}")
    answered = (cause for cause in causes if isinstance(cause, HfHubHTTPError))
    status = next((one.response.status_code for one in answered), None)
    if status == 404:
        fix = "check owner, name and commit"
        return DataError("HUB_MISSING", f"the Hub has no {name}, or does not show it", fix)
    if status in (401, 403):
        found = f"the Hub does not show {name} to this user ({status})"
        fix = f"check its name, ask for access on its page, then {_LOG_IN}"
        return DataError("HUB_DENIED", found, fix)
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes):
        found = f"HF_HUB_OFFLINE is set, and {name} is not in the cache"
        return DataError("HUB_NETWORK", found, "fetch it once without")
    reason = type(error).__name__ if status is None else f"status {status}"
    found = f"{name} could not be fetched from the Hub ({reason})"
    fix = "check the network and HF_ENDPOINT, and try again; what was fetched is kept"
    return DataError("HUB_NETWORK", found, fix)
