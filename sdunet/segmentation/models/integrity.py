"""The list of hashes that seals a package, and what it is checked for at every load."""

import hashlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path, PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.parse import MAX_BYTES, parse_json, usable
from data_prep.files.atomic import write_bytes, write_json
from data_prep.files.file_tree import Tree, open_tree

LIST = "MANIFEST.json"
SCHEMA = 1
NEEDED = ("model.json", "best.safetensors")
# What no run has: a package that was copied in part is none, even where its list is missing.
_OF_PACKAGES = (LIST, "facts.json", "example.safetensors", "program.pt2")
ACCEPTED = "accepted.json"  # what was doubtful about its run
_READ = (*NEEDED, "postprocess.json", ACCEPTED)  # what prediction reads
# What Python could run in place of a module, as MONAI puts the folder of a bundle on its path.
_PROGRAMS = (
    *(".py", ".pyw", ".pyc", ".pyi", ".pyd", ".so", ".dll", ".dylib"),
    *(".pth", ".zip", ".egg"),
)
# What file managers and servers, Git, Jupyter and the Hub's own client leave; none is ever run.
_LEFT = (
    *(".ds_store", ".directory", ".localized", ".appledouble", ".fseventsd", ".spotlight-v100"),
    *(".git", ".gitattributes", ".gitignore", ".ipynb_checkpoints", ".cache"),
)
_LEFT_BEGINS = ("._", ".nfs", ".trash", ".~lock")


def seal(folder: Path) -> None:
    """Write the list of all files in a folder."""
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    hashes = {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files.items()}
    write_json(folder / LIST, {"schema": SCHEMA, "files": hashes})


def is_sealed(folder: Path) -> bool:
    """Tell whether a folder is a package, or what is left of one."""
    return any((folder / name).exists() for name in _OF_PACKAGES)


def verify(tree: Tree) -> dict[str, bytes]:
    """Check every file of a package against its hash, and return what prediction reads, by name.

    Raises:
        DataError: PACKAGE_LIST if the list cannot be used, PACKAGE_HASH if a file is missing,
            was added, or is not as it was.
    """
    files = _files_of(tree)
    if added := _added(tree, files):
        several = f" and {len(added) - 1} others" * (len(added) > 1)
        were = "were" if several else "was"
        raise DataError(
            "PACKAGE_HASH", f"{added[0]}{several} {were} added", "fetch the package again"
        )
    contents = {}
    for name, sha256 in files.items():
        if name not in tree.names:
            raise DataError("PACKAGE_HASH", f"{name} is missing", "fetch the package again")
        data = tree.read(name)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(
                "PACKAGE_HASH", "not as it was exported", "fetch the package again", file=name
            )
        if name in _READ:  # all together may be larger than the memory
            contents[name] = data
    return contents


def listed_files(data: bytes) -> dict[str, str]:
    """Return the SHA-256 of each file by name, as the list of a package tells.

    Raises:
        DataError: PACKAGE_LIST.
    """
    with usable("PACKAGE_LIST", LIST, "fetch the package again"):
        listed = parse_json(data)
        if listed["schema"] != SCHEMA:
            raise ValueError(f"schema {listed['schema']}, known is {SCHEMA}")
        files = {str(name): str(sha256) for name, sha256 in listed["files"].items()}
        missing = [name for name in NEEDED if name not in files]
        if missing:
            raise ValueError(f"{missing[0]} is not in it")
    return files


def zipped_files(package: Path) -> dict[str, str]:
    """Return the SHA-256 of each file by name, as the list of a zipped package tells.

    Raises:
        DataError: PACKAGE_LIST if it has none; as `open_tree`.
    """
    return _files_of(_packed(open_tree(package)))


def _files_of(tree: Tree) -> dict[str, str]:
    if LIST not in tree.names:
        raise DataError("PACKAGE_LIST", f"no {LIST} in it", "give a package of sdunet export")
    return listed_files(tree.read(LIST, MAX_BYTES + 1))


def _packed(tree: Tree) -> Tree:
    """Return the package in a zip, without the name of the one folder that may be around it.

    Raises:
        DataError: PACKAGE_HASH for a file that would lie outside of it, PACKAGE_LIST for files
            beside that folder.
    """
    if outside := [name for name in tree.names if PurePosixPath(name).parts[0] == ".."]:
        fix = "take it for tampered with, and fetch it again"
        raise DataError("PACKAGE_HASH", f"a path out of the package, {outside[0]!r:.80}", fix)
    around = {PurePosixPath(name).parts[0] for name in tree.names}
    if LIST in tree.names:
        return tree
    if len(around) != 1:
        below = [name for name in tree.names if PurePosixPath(name).name == LIST]
        if not below:
            return tree
        found = (
            f"{below[0]!r:.80} is of a folder that is not alone: {', '.join(sorted(around)):.80}"
        )
        raise DataError("PACKAGE_LIST", found, "give a zip of one package and nothing else")
    top = f"{around.pop()}/"
    names = tuple(name.removeprefix(top) for name in tree.names)
    return replace(tree, names=names, _read=lambda name, limit: tree.read(top + name, limit))


def _added(tree: Tree, files: Collection[str]) -> list[str]:
    """Return the names that the list lacks.

    A folder of its own in a package that is a folder, such as the predictions of the MONAI bundle,
    is none of the package's, but for programs and what is hidden.
    """
    added = [name for name in tree.names if name not in files and name != LIST]
    if tree.root.is_dir():
        own = {PurePosixPath(name).parts[:-1][:1] for name in files} | {()}
        added = [
            name
            for name in added
            if PurePosixPath(name).parts[:-1][:1] in own or name.lower().endswith(_PROGRAMS)
        ]
    added += [name for name in tree.hidden if _is_hidden(PurePosixPath(name).name.lower())]
    return sorted(added)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and name not in _LEFT and not name.startswith(_LEFT_BEGINS)


def unpack(package: Path, folder: Path) -> Path:
    """Verify a zipped package, and write its model into a folder.

    It may lie in the zip below the name of its folder. Names of files that are written are ours, so
    that no archive can write elsewhere.

    Raises:
        DataError: as `verify`.
    """
    contents = {ACCEPTED: b'{"accepted": []}'} | verify(
        _packed(open_tree(package))
    )  # older lack it
    for name in _READ:
        if name in contents:
            write_bytes(folder / name, contents[name])
    return folder
