"""What a layout consists of: cases, and what is wrong with those that are none."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath
from posixpath import normpath
from typing import Any, Literal
from unicodedata import normalize

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.parse import is_no_value
from data_prep.files.file_tree import Tree
from data_prep.layouts.words import role_of
from data_prep.planning.classes import is_ignore

LabelKind = Literal["classes", "objects", "numbered", "class masks", "contours", "segments"]
_MAX_ID_BYTES = 200  # leaves room for suffixes and temporary names in 255


@dataclass(frozen=True)
class Case:
    """One image with its labels, by file name in the tree.

    Attributes:
        id: name of the case, unique in its dataset.
        scans: files of each scan. Several scans are joined as channels; several files of one
            scan are a DICOM series.
        labels: files of the label; empty where the case has none.
        kind: what label files hold: class numbers, numbers of objects of one class, each the mask
            of one object (its nonzero values) or of the class that it is called by, DICOM contours,
            or DICOM segments.
        group: what must not be split between folds, where the dataset says so.
        patient: whose image it is, where the dataset says so beside the group.
        split: `test` for cases the dataset keeps apart, or the number of the fold it puts the
            case into.
        wanted: where the label was looked for, if there is none.
        channels: their names, where files say what the case is an image of.
    """

    id: str
    scans: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...] = ()
    kind: LabelKind = "classes"
    group: str | None = None
    patient: str | None = None
    split: Literal["test"] | int | None = None
    wanted: str = ""
    channels: tuple[str, ...] | None = None

    @property
    def image(self) -> str:
        """The first file of the image, to name it by; of the label, where that is alone."""
        return self.scans[0][0] if self.scans else self.labels[0]

    @property
    def masks(self) -> tuple[str, ...]:
        """The files of the label, where they hold voxels of one image."""
        return () if self.kind in ("contours", "segments") else self.labels

    @property
    def roles(self) -> list[Any]:
        """What each file is to the case, as JSON has it: with others, the same files are another.

        Files of each scan, in the order of channels; of the label; and what those hold.
        """
        return [[list(files) for files in self.scans], list(self.labels), self.kind]

    @property
    def files(self) -> tuple[str, ...]:
        """All files named by the layout."""
        return (*(name for files in self.scans for name in files), *self.labels)


@dataclass(frozen=True)
class Regions:
    """Values of labels that are no class of their own.

    Attributes:
        values: of each region, where a dataset declares those in place of classes.
        ignored: the value of voxels that say nothing, if one is declared.
        order: value that each region is painted as, one after the other, if that is declared.
    """

    values: dict[str, tuple[int, ...]]
    ignored: int | None
    order: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Layout:
    """The cases found, and what the dataset says of itself.

    Attributes:
        name: name of the layout.
        cases: those that are complete, by id.
        unlabelled: those whose label is missing.
        problems: one for each case that is not complete.
        labels: class names to numbers, where the dataset declares them.
        channels: channel names, where the dataset declares them.
        findings: warnings and notes about the whole.
        listed_in: file that lists the cases; empty where their names tell.
        apart: cases for testing, whose labels are kept by others.
        regions: what labels hold beside classes, where the dataset declares such.
        described_in: file that declares classes or channels of cases that other names tell.
        read: other files that tell of the cases and were read, such as of folds or subjects.
    """

    name: str
    cases: tuple[Case, ...]
    unlabelled: tuple[Case, ...] = ()
    problems: tuple[DataError, ...] = ()
    labels: dict[str, int] | None = None
    channels: tuple[str, ...] | None = None
    findings: tuple[Finding, ...] = ()
    listed_in: str = ""
    apart: tuple[Case, ...] = ()
    regions: Regions | None = None
    described_in: str = ""
    read: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all cases, also those without label or for testing."""
        return frozenset(case.id for case in (*self.cases, *self.unlabelled, *self.apart))

    @property
    def stated(self) -> dict[str, int] | None:
        """The classes as the dataset itself numbers them; masks have names alone."""
        return None if any(case.kind == "class masks" for case in self.cases) else self.labels

    @property
    def ignored(self) -> int | None:
        """The value of voxels that say nothing, if the dataset declares one."""
        if self.regions:
            return self.regions.ignored
        return next((n for name, n in (self.labels or {}).items() if is_ignore(name)), None)


def choose(
    cases: Iterable[Case], only: set[str] | None, problems: Sequence[DataError] = ()
) -> list[Case]:
    """Return the cases asked for; `problems` say why there are no others.

    Raises:
        DataError: CASE_NONE if there are none, CASE_UNKNOWN if one asked for is not there.
        TypeError: if `only` is one text, whose letters would be taken for ids.
    """
    if isinstance(only, str):
        raise TypeError(f"give a set of ids, not one text: {only!r:.80}")
    cases, only = list(cases), None if only is None else set(only)
    if not cases or (only is not None and not only):
        # Several may be of one case: a damaged slice, and its series that lost it.
        errors = f"{len(problems)} errors, the first" if len(problems) > 1 else "an error"
        why = f"; {errors}: {problems[0]}" if problems else ""
        fix = "check the folder or the list of cases"
        raise DataError("CASE_NONE", f"no case to work on{why}", fix)
    if only is None:
        return cases
    unknown = sorted(only - {case.id for case in cases})
    if unknown:
        raise DataError(
            "CASE_UNKNOWN",
            f"{len(unknown)} cases asked for are not there: {', '.join(unknown[:5])}",
            "check the list of cases",
        )
    return [case for case in cases if case.id in only]


def layout_of(
    name: str,
    cases: Iterable[Case],
    problems: Iterable[DataError],
    labels: dict[str, int] | None = None,
    channels: tuple[str, ...] | None = None,
    findings: tuple[Finding, ...] = (),
) -> Layout:
    """Sort the cases, and make problems of those that share an id, or lack a label or a good id."""
    problems = list(problems)
    by_id = defaultdict(list)
    for case in cases:
        by_id[normalize("NFC", case.id).casefold().strip()].append(case)
    alone = []
    shared = shared_files([case for group in by_id.values() for case in group])
    for group in by_id.values():
        case = group[0]
        if len(group) > 1:
            problems.append(duplicate(case.id, [case.image for case in group]))
        elif case.id in shared:
            problems.append(shared[case.id])
        elif wrong := what_is_wrong_with(case.id):
            problems.append(DataError("CASE_NAME", wrong, "rename", case=case.id))
        else:
            alone.append(case)
    alone.sort(key=lambda case: case.id)
    complete = tuple(case for case in alone if case.labels)
    unlabelled = tuple(case for case in alone if not case.labels)
    problems += [_no_label(case) for case in unlabelled]
    return Layout(name, complete, unlabelled, tuple(problems), labels, channels, findings)


def without(layout: Layout, wrong: Mapping[str, DataError]) -> Layout:
    """Return a layout without some cases, and with an error for each of them, by its id."""

    def left(cases: Iterable[Case]) -> tuple[Case, ...]:
        return tuple(case for case in cases if case.id not in wrong)

    return replace(
        layout,
        cases=left(layout.cases),
        unlabelled=left(layout.unlabelled),
        apart=left(layout.apart),
        problems=(*(e for e in layout.problems if e.case not in wrong), *wrong.values()),
    )


def alike(cases: Iterable[Case]) -> tuple[str, ...] | None:
    """Return the names of the channels that files tell of, if all cases have the same."""
    told = {case.channels for case in cases}
    return told.pop() if len(told) == 1 else None


def groups_in(record: Mapping[Any, Any]) -> tuple[str | None, str | None]:
    """Return the group and the patient that a row or record of a list names.

    Raises:
        ValueError: if one is neither text nor a whole number, or two keys name different ones.
    """
    named: dict[str, str] = {}
    for key, name in record.items():
        role = role_of(key)
        if role not in ("group", "patient", "site") or name is None:
            continue
        if type(name) not in (str, int):
            raise ValueError(f"{key} must be a name, got {name!r:.80}")
        text = str(name).strip()
        if is_no_value(text):
            continue
        if named.setdefault(role, text) != text:
            raise ValueError(f"{role} is {named[role]!r} by one name and {text!r} by {key!r}")
    patient = named.get("patient")
    return named.get("group") or patient or named.get("site"), patient


def what_is_wrong_with(id_: str) -> str | None:
    """Return why an id cannot name files; `None` if it can."""
    if "/" in id_ or PureWindowsPath(id_).name != id_:
        return "a path, where a name is due"
    if not id_ or id_.startswith("."):
        return "a name that is empty or begins with a dot"
    if not id_.isprintable():
        return "a name with control characters"
    long = len(id_.encode()) > _MAX_ID_BYTES
    return f"a name of over {_MAX_ID_BYTES} bytes" if long else None


def shared_files(
    cases: Iterable[Case], beside: Mapping[str, Collection[str]] | None = None
) -> dict[str, DataError]:
    """Return an error for each case with a file that is also another's, or twice its own.

    Args:
        cases: by all of their files.
        beside: files that are read with a file, such as those of the voxels of a header.
    """
    beside = beside or {}
    users = defaultdict(list)
    for case in cases:
        # Contours and segments lie in the world: on every series that they refer to.
        for name in (*(name for files in case.scans for name in files), *case.masks):
            for file in (name, *beside.get(name, ())):
                users[file].append(case.id)
    return {
        id_: DataError(
            "PAIR_SHARED",
            f"a file of several images or labels: {', '.join(sorted(set(ids))[:4])}",
            "give each case an image and a label of its own",
            case=id_,
            file=name,
        )
        for name, ids in users.items()
        if len(ids) > 1
        for id_ in ids
    }


def inside(tree: Tree, root: PurePosixPath, name: str, named_by: str) -> str:
    """Return the path in the tree of a file that a list names, perhaps as Windows writes it.

    Args:
        tree: the dataset.
        root: folder in it that names are relative to; that of the list.
        name: of the file, also by its absolute path.
        named_by: the list.

    Raises:
        DataError: LAY_PATH if it leads out of the dataset.
    """
    path = PurePosixPath(str(name) if str(name) in tree.names else str(name).replace("\\", "/"))
    top = tree.root.resolve()
    if path.is_absolute() and path.is_relative_to(top.as_posix()):
        root, path = PurePosixPath(), path.relative_to(top.as_posix())
    # nnU-Net's own lists go up and down again: `../images/x.nii.gz`.
    whole = PurePosixPath(normpath(root / path))
    if path.is_absolute() or ".." in whole.parts or "\0" in str(name):
        raise DataError("LAY_PATH", f"{named_by} names {name!r}", "name files inside the dataset")
    if whole.as_posix() in tree.names:
        return whole.as_posix()
    # Letters with accents are written in two ways, and file systems change one into the other.
    wanted = normalize("NFC", whole.as_posix())
    alike = [name for name in tree.names if normalize("NFC", name) == wanted]
    return alike[0] if len(alike) == 1 else whole.as_posix()


def _no_label(case: Case) -> DataError:
    return DataError(
        "PAIR_NO_LABEL",
        f"no label, looked for {case.wanted}",
        "add it, or remove the image",
        case=case.id,
        file=case.image,
    )


def kept_apart(number: int, file: str) -> tuple[Finding, ...]:
    """Return a note of cases for validation, which are taken for a test set, if there are any."""
    if not number:
        return ()
    found = f"{number} cases listed for validation are kept apart, as the test set, from all folds"
    return (Finding("note", "SPLIT_VALIDATION", found, "", file=file),)


def no_channel(id_: str, file: str, number: int, wanted: str) -> DataError:
    """Return the error of an image that lacks one of its channels, by their numbers from 0."""
    found, fix = f"no channel {number}, looked for {wanted}", "add it, or remove the others"
    return DataError("PAIR_NO_IMAGE", found, fix, case=id_, file=file)


def no_image(id_: str, label: str, wanted: str = "the folder of images") -> DataError:
    """Return the error of a label without image."""
    return DataError(
        "PAIR_NO_IMAGE",
        f"no image, looked for {wanted}",
        "add it, or remove the label",
        case=id_,
        file=label,
    )


def duplicate(id_: str, names: list[str]) -> DataError:
    """Return the error of a case with several files where one is due."""
    return DataError(
        "PAIR_DUPLICATE",
        f"several files for one case: {sample(names)}",
        "keep one, or rename",
        case=id_,
    )


def sample(names: tuple[str, ...] | list[str]) -> str:
    """Return the first few names."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
