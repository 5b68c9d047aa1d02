"""The one kind of error this package raises about data."""

import errno
import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.core.safe_text import for_record, inert, placeless

_LONGEST = 2000  # characters of what was found: a header may hold millions
# Of a disk that takes nothing more, whatever the case.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

# What Python itself says of a value that is taken apart or made a number.
_OF_PYTHON = re.compile(r"to unpack|^invalid literal|^could not convert|^zip\(|dictionary update")


class DataError(Exception):
    """Something about the data that must not be guessed over.

    Shown as text it is one line that does nothing, see `inert`, whoever prints or logs it.

    Args:
        code: stable short name, such as `GEO_SHAPE`.
        found: what was found, with the values; words of a file, such as its header's, in quotes
            (`!r`), as they may tell of a patient: they are shown and never written.
        fix: what to do about it.
        case: id of the case, added by whoever knows it.
        file: name of the file.
    """

    def __init__(
        self, code: str, found: str, fix: str, *, case: str | None = None, file: str | None = None
    ) -> None:
        super().__init__(code, found, fix)
        self.code = code
        self.found = found if len(found) <= _LONGEST else f"{found[:_LONGEST]}..."
        self.fix = fix
        self.case = case
        self.file = file

    def __str__(self) -> str:
        case = "" if self.case is None else f" case {self.case}"
        file = "" if self.file is None else f" ({self.file})"
        return inert(f"{self.code}{case}: {self.found}{file}; {self.fix}")

    def for_records(self) -> "DataError":
        """Return the error as files may hold it, see `for_record`."""
        found, fix = for_record(self.found), placeless(self.fix)
        file = None if self.file is None else placeless(self.file)
        return DataError(self.code, found, fix, case=self.case, file=file)

    def at(self, *, case: str | None = None, file: str | None = None) -> "DataError":
        """Add the case or file where it is not named yet, and return the error itself."""
        self.case = self.case or case
        self.file = self.file or file
        return self


@contextmanager
def named_errors(
    file: str | None = None, fix: str = "fetch or export the file again", code: str = "IO_DAMAGED"
) -> Iterator[None]:
    """Make one named error of whatever a decoder raises, and add the file where none is named.

    Every reader is called inside of one: what libraries raise for damaged bytes is no closed list.

    Raises:
        DataError: as it is; IO_MEMORY if memory ends; `code` for everything else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values; those that are used are checked
            yield
    except DataError as error:
        raise error.at(file=file) from error.__cause__
    except MemoryError as error:
        raise DataError("IO_MEMORY", "memory is full", "crop or split it", file=file) from error
    except Exception as error:
        raise DataError(code, words_of(error), fix, file=file) from error


@contextmanager
def case_errors(case: str | None = None, file: str | None = None) -> Iterator[None]:
    """Make one named error of whatever is raised while a case is worked on, and add the case.

    All work on one case of many is done inside of one, so that none stops the others.

    Raises:
        DataError: as it is; IO_MEMORY if memory ends; CASE_FAILED for everything else.
        OSError: if the disk takes nothing more.
    """
    try:
        yield
    except DataError as error:
        raise error.at(case=case, file=file) from error.__cause__
    except MemoryError as error:
        raise DataError(
            "IO_MEMORY", words_of(error), "crop or split it", case=case, file=file
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        at = traceback.extract_tb(error.__traceback__)[-1]
        found = f"{words_of(error)} at {Path(at.filename).name}:{at.lineno}"
        fix = "leave the case out, and report this line"
        raise DataError("CASE_FAILED", found, fix, case=case, file=file) from error


@contextmanager
def set_aside(
    problems: list[DataError], case: str | None = None, file: str | None = None
) -> Iterator[None]:
    """Add what is raised while a case is worked on to `problems`, see `case_errors`."""
    try:
        with case_errors(case, file):
            yield
    except DataError as error:
        problems.append(error)


def is_of_python(error: Exception) -> bool:
    """Tell whether the words of an error are of Python's own values, which tell users nothing."""
    return isinstance(error, (TypeError, AttributeError, IndexError)) or bool(
        _OF_PYTHON.search(str(error))
    )


def words_of(error: Exception) -> str:
    """Return what a library says of an error: in quotes, as it may be words of a file, and short.

    What decoders and other libraries raise goes through here wherever it is told.
    """
    if is_of_python(error):
        return f"its parts do not fit each other ({type(error).__name__})"
    return f"{type(error).__name__}: {str(error)[:200]!r}"
