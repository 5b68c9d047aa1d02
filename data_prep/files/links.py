"""Where files lie once links are followed, also where a link leads back to itself."""

import os
from pathlib import Path


def real(path: Path) -> Path:
    """Return the path without links; what a link in a ring leads to is the link itself."""
    return Path(os.path.realpath(path))  # `Path.resolve` ends at a ring with an error of its own


def lies_in(path: Path, folder: Path) -> bool:
    """Tell whether a file lies below a folder; it may be a link itself, wherever that leads."""
    return path.name != ".." and real(path.parent).is_relative_to(real(folder))
