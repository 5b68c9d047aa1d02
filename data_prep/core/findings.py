"""What was noticed about the data: errors, warnings, and notes of harmless repairs."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from data_prep.core.errors import DataError
from data_prep.core.safe_text import inert

Level = Literal["error", "warning", "note"]
Subject = Literal["split", "groups"]
# What a user may accept; `codes.yaml` tells what is done then.
Acceptance = Literal[
    "CH_OTHER",
    "DCM_BITS",
    "DCM_COUNT",
    "DCM_CROSSING",
    "DCM_KIND",
    "DCM_LOST",
    "DCM_NO_RESCALE",
    "DCM_PHI",
    "DCM_REJECTED",
    "DCM_SPACING",
    "DCM_TILT",
    "DCM_UNEVEN",
    "GEO_AFFINE",
    "GEO_NONE",
    "GEO_SHAPE",
    "GEO_SHEAR",
    "GEO_SQFORM",
    "HDR_SCALE",
    "HDR_SPACING_RANGE",
    "IMG_ALPHA",
    "IMG_STACK",
    "INT_CHANNEL",
    "INT_NONFINITE",
    "IO_LINK",
    "IO_TRAILING",
    "LAY_EXCLUDED",
    "LAY_UNUSED",
    "LBL_ABSENT",
    "LBL_NEAR",
    "LBL_OVERLAP",
    "LBL_SEGMENT",
    "PAIR_OTHER_IMAGE",
    "PROB_LABEL",
    "PROB_SUM",
    "SET_DUPLICATE",
    "SPLIT_COVER",
    "SPLIT_NAMES",
]


@dataclass(frozen=True)
class Finding:
    """One thing noticed.

    Attributes:
        level: `error` keeps the case out, `warning` does not, `note` tells of a lossless repair
            or of what the user accepted.
        code: stable short name, such as `GEO_SHAPE`.
        found: what was found, with the values, see `DataError`.
        fix: what to do about it; empty for notes.
        case: id of the case, if it is about one.
        file: name of the file, if it is about one.
    """

    level: Level
    code: str
    found: str
    fix: str
    case: str | None = None
    file: str | None = None

    @classmethod
    def of(cls, error: DataError) -> "Finding":
        """Return an error as a finding."""
        return cls("error", error.code, error.found, error.fix, error.case, error.file)

    @property
    def error(self) -> DataError:
        """The finding as the error it was made of."""
        return DataError(self.code, self.found, self.fix, case=self.case, file=self.file)

    @property
    def is_told(self) -> bool:
        """Whether who predicts is told: of a warning, and of what was done to a prediction."""
        return self.level == "warning" or self.code.startswith("PRED")

    def for_records(self) -> "Finding":
        """Return the finding as files may hold it, see `DataError.for_records`."""
        return replace(Finding.of(self.error.for_records()), level=self.level)

    def __str__(self) -> str:
        where = "".join(
            (f" case {self.case}" * bool(self.case), f" ({self.file})" * bool(self.file))
        )
        fix = f"; {self.fix}" * bool(self.fix)
        return inert(f"{self.level} {self.code}{where}: {self.found}{fix}")


@dataclass(frozen=True)
class Question(Finding):
    """A warning of what the dataset may tell and nobody reads, which settings answer.

    Attributes:
        about: what it may tell; where the user gives all of that, the answer is known.
    """

    about: tuple[Subject, ...] = ()

    def answered(self) -> Finding:
        """Return the note that is left of it, once settings answer it."""
        return Finding("note", self.code, self.found, "", self.case, self.file)


class Findings:
    """Notes and warnings of one case, and what the user accepts.

    Args:
        accept: codes of what is accepted, see `Acceptance`.
        how: something is accepted where these findings are made, with `{code}` in it.

    Attributes:
        held: numbers or, in lower case, names of structures that the label holds.
        told: values that are there and what tables call them, in lower case, see `Scan.table`.
    """

    def __init__(self, accept: Collection[str] = (), how: str = "dataset.accept: [{code}]") -> None:
        self.accept = frozenset(accept)
        self.how = how
        self.found: list[Finding] = []
        self.held: set[int | str] = set()
        self.told: set[tuple[int, str]] = set()

    def note(self, code: str, found: str) -> None:
        """Tell of a lossless repair."""
        self.found.append(Finding("note", code, found, ""))

    def warn(self, code: str, found: str, fix: str) -> None:
        """Tell of what is doubtful and yet used."""
        self.found.append(Finding("warning", code, found, fix))

    def question(self, code: str, found: str, fix: str, about: Iterable[Subject]) -> None:
        """Tell of what the dataset may say, and settings answer, see `Question`."""
        self.found.append(Question("warning", code, found, fix, about=tuple(about)))

    def ask(self, code: str, found: str, fix: str, how: str | None = None) -> None:
        """Refuse what must not be guessed over, unless it is accepted.

        Args:
            code: of what was found.
            found: with the values.
            fix: what to do about it.
            how: to accept it, if not as elsewhere, with `{code}` in it.

        Raises:
            DataError: `code`, if it is not accepted.
        """
        if code not in self.accept:
            fix += f", or accept it: {(how or self.how).format(code=code)}"
            raise DataError(code, found, fix)
        self.note(code, f"accepted: {found}")

    def place(self, since: int = 0, *, case: str | None = None, file: str | None = None) -> None:
        """Add the case or file to the findings from number `since` on that do not name it yet."""
        for i, finding in enumerate(self.found[since:], since):
            self.found[i] = replace(finding, case=finding.case or case, file=finding.file or file)
