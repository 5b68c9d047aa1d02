"""What file servers, file managers and archivers leave beside files: it is nobody's data."""

from collections.abc import Iterable
from pathlib import PurePosixPath

_LEFT = (
    *("@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information"),
    *("__macosx", "lost+found", "__pycache__"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini"),
)


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder of this name is left out: `.x`, `Thumbs.db`, `@eaDir`.

    Examples:
        >>> is_hidden("._scan.png"), is_hidden("scan.png")
        (True, False)
    """
    return (name.startswith(".") and name != "..") or name.lower() in _LEFT


def parted(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names that are data, and the files and folders that are hidden; both sorted.

    Of a folder that is hidden, it alone is returned, and nothing in it.
    """
    visible, hidden = [], set()
    for name in names:
        parts = PurePosixPath(name).parts
        first = next((i for i, part in enumerate(parts) if is_hidden(part)), None)
        if first is None:
            visible.append(name)
        else:
            hidden.add("/".join(parts[: first + 1]))
    return tuple(sorted(visible)), tuple(sorted(hidden))
