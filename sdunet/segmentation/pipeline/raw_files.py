"""What a raw dataset is told by to have changed: the hash of each file that may decide a voxel."""

import hashlib
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep.core.config import DataConfig
from data_prep.files.file_tree import Tree
from data_prep.files.written_files import FileHashes

# That nothing is read of, so that it may change: a reader must not fear to add a note.
_NOTES = (".md", ".rst", ".pdf", ".html", ".docx", ".log", ".py", ".cff")
_OF_FILES = ("split_file", "group_file")


def raw_files(tree: Tree) -> dict[str, str]:
    """Return the SHA-256 of each file of a raw dataset by its name; of an archive, its own.

    Notes beside the data, such as a README.md, are left out. What cannot be read has the code of
    the reason in place of a hash.
    """
    files = FileHashes()
    if tree.root.is_file():
        return {tree.root.name: files.of(tree.root)}
    names = [n for n in tree.names if PurePosixPath(n).suffix.lower() not in _NOTES]
    return {name: _hash_of(tree.root / name, files) for name in names}


def data_settings(config: DataConfig) -> dict[str, Any]:
    """Return the settings of a dataset by name, with the SHA-256 of the files that they name."""
    found = asdict(config)
    for name in _OF_FILES:
        if (path := found[name]) is not None:
            found[name] = Path(path).name
            found[f"{name}_sha256"] = _hash_of(Path(path), FileHashes())
    found["accept"] = sorted(found["accept"])
    regions = found.pop("regions")
    if regions is not None:  # in their order, which names of JSON have not
        found["regions"] = [*regions.items()]
    return found


def _hash_of(path: Path, files: FileHashes) -> str:
    try:
        return files.of(path)
    except OSError as error:
        # As long as a hash, so that it is told like one.
        return hashlib.sha256(f"cannot be read: {error.strerror}".encode()).hexdigest()
