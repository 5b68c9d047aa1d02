"""Cases whose files are called as channels, in another order than they are given in."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from data_prep.core.errors import DataError
from data_prep.core.values.channel_names import Words, apart, crossed, shown
from data_prep.formats.registry import stem
from data_prep.layouts.cases import Case, Layout

_FIX = "list the files of each case in the order of the channels, or rename them"


def crossed_channels(layout: Layout, channels: Sequence[str] | None = None) -> dict[str, DataError]:
    """Return an error, CH_SWAPPED, for each case whose files contradict the order they stand in.

    They do by names or numbers of channels, see `crossed`; or where the same words tell the files
    of other cases apart and stand the other way round there.

    Args:
        layout: of cases.
        channels: their names. Default: those that the dataset declares.
    """
    several = {
        case.id: (case, [*map(_bare, case.scans)])
        for case in (*layout.cases, *layout.unlabelled, *layout.apart)
        if len(case.scans) > 1
    }
    declared = channels or layout.channels
    found = {
        id_: wrong
        for id_, (case, files) in several.items()
        # What DICOM says of itself stands.
        if (wrong := crossed(files, None if case.channels else declared))
    }
    left = {id_: files for id_, (_, files) in several.items() if id_ not in found}
    found |= _unlike_others(left)
    return {id_: _error(several[id_][0], wrong) for id_, wrong in found.items()}


def _unlike_others(files: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return what is wrong with those that stand in another order than those of most cases."""
    words = {id_: apart(names) for id_, names in files.items()}
    orders: dict[tuple[Words, ...], Counter[tuple[Words, ...]]] = defaultdict(Counter)
    for own in words.values():
        orders[_sorted(own)][own] += 1
    first = {own: id_ for id_, own in reversed(words.items())}
    found = {}
    for id_, own in words.items():
        alike = orders[_sorted(own)]
        if 2 * alike[own] <= alike.total():
            other = first[max((o for o in alike if o != own), key=alike.__getitem__)]
            found[id_] = f"files {shown(files[id_])} are given in another order than"
            found[id_] += f" {shown(files[other])} of case {other}"
    return found


def _sorted(words: Iterable[Words]) -> tuple[Words, ...]:
    return tuple(sorted(words))


def _bare(files: Sequence[str]) -> str:
    """Return the path of a file without its suffix, of a series that of its folder."""
    folder = PurePosixPath(files[0]).parent.as_posix()
    return folder if len(files) > 1 else f"{folder}/{stem(files[0])}"


def _error(case: Case, found: str) -> DataError:
    return DataError("CH_SWAPPED", found, _FIX, case=case.id, file=case.image)
