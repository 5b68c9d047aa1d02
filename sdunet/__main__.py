"""Where the `sdunet` command and `python -m sdunet` begin."""

import getpass
import importlib.util
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from data_prep.core.safe_text import make_streams_inert
from data_prep.safe_path import safe_path
from sdunet.cli import main as cli
from sdunet.runtime.threads import take_usable_cores


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, with threads that share the machine, and return the exit status."""
    _open_closed_streams()
    make_streams_inert()
    # As `python -m sdunet` looks to workers, which then begin without importing all of this.
    sys.modules["__main__"].__spec__ = importlib.util.find_spec("sdunet.__main__")
    take_usable_cores()
    _name_user()
    # Whoever begins in a checkout by `python -m sdunet` finds the package itself so.
    here = sys.path[0] in ("", str(Path.cwd()))
    with nullcontext() if here else safe_path():
        return cli.main(argv)


def _open_closed_streams() -> None:
    """Give a process that was started without stdin, stdout or stderr ones that swallow all.

    Else files would take their numbers, and be written what libraries have to say.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, this one
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _name_user() -> None:
    """Give a name to a user who is but a number, as in containers: MONAI asks for one on import."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "user"


if __name__ == "__main__":
    sys.exit(main())
