"""Which cases a network was trained on, known by the content of their files, whatever their names.

So that scores of such cases are never taken for those of unseen ones. No package tells: whoever has
one could ask it whose images it was trained on.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

from data_prep.core.parse import usable
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.files.written_files import is_there
from data_prep.prepared.dataset import Dataset

TRAINING_CASES = "training_cases.json"
Seen = frozenset[frozenset[str]]  # of each case the SHA-256 of all its files


def write_seen(run: Path, dataset: Dataset, cases: Iterable[str]) -> None:
    """Write into the folder of a run which files its training cases were made from."""
    sources = {id_: sorted({*dataset.cases[id_].source.values()}) for id_ in cases}
    write_hashed(run / TRAINING_CASES, {"cases": sources})


def read_seen(run: Path) -> Seen:
    """Return the files of the cases a run was trained on; none of a package or an older run.

    Raises:
        DataError: RUN_CASES if the list is damaged, OUT_CHANGED if it is gone.
    """
    path = run / TRAINING_CASES
    if not is_there(path):
        return frozenset()
    with usable("RUN_CASES", path, "copy the run again"):
        return frozenset(frozenset(map(str, s)) for s in read_hashed(path)["cases"].values())


def is_seen(source: Collection[str], seen: Seen) -> bool:
    """Tell whether files, by their SHA-256, are all of one case that was trained on."""
    return bool(source) and any(case.issuperset(source) for case in seen)
