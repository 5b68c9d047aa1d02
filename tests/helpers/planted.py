"""Modules in a working directory that leave a mark where they are imported."""

from pathlib import Path

# Of the standard library, of torch's optional ones, and of this package's own.
NAMES = ("signal", "struct", "selectors", "z3", "statistics", "zipfile", "html", "tracemalloc")
CODE = """
import os
open({mark!r}, "a").write("{name} of " + str(os.getpid()) + "\\n")
"""


def plant(folder, names=NAMES):
    """Write modules, and return the file that they would write when imported."""
    mark = Path(folder, "imported.txt")
    for name in names:
        Path(folder, f"{name}.py").write_text(CODE.format(mark=str(mark), name=name))
    return mark
