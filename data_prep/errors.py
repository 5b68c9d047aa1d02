"""The one kind of error this package raises about data."""

from data_prep.inert import for_record, placeless


class DataError(Exception):
    """Something about the data that must not be guessed over.

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
        self.found = found
        self.fix = fix
        self.case = case
        self.file = file

    def __str__(self) -> str:
        case = "" if self.case is None else f" case {self.case}"
        file = "" if self.file is None else f" ({self.file})"
        return f"{self.code}{case}: {self.found}{file}; {self.fix}"

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
