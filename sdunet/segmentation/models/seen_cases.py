"""Which cases a network was trained on, known by the content of their files, whatever their names.

So that scores of such cases are never taken for those of unseen ones. A network that began from the
weights of another was trained on the cases of that one, too, and on those before it. No package
tells: whoever has one could ask it whose images it was trained on.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.core.parse import usable
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.files.written_files import is_there
from data_prep.prepared.dataset import Dataset
from sdunet.segmentation.models.trained_model import Model

TRAINING_CASES = "training_cases.json"
Seen = frozenset[frozenset[str]]  # of each case the SHA-256 of all its files


@dataclass(frozen=True)
class Origin:
    """Weights that a training began from, itself or before it.

    Attributes:
        weights: SHA-256 of their model.
        cases: that they were trained on; `None` where nothing tells, as of a package.
    """

    weights: str
    cases: Seen | None


@dataclass(frozen=True)
class Start:
    """What is known of the weights that a run began from; nothing, if all were drawn.

    Attributes:
        validation: ids of the validation cases that they were trained on.
        unknown: whether nothing tells what some of them were trained on.
    """

    validation: tuple[str, ...] = ()
    unknown: bool = False


def write_seen(run: Path, dataset: Dataset, fold: int | None, initial: Model | None) -> None:
    """Write into the folder of a run which files it is trained on, those of its start included.

    A run that is resumed keeps what was known of its start when it was begun.

    Args:
        run: folder of the run.
        dataset: it is trained on.
        fold: that validates, if one does.
        initial: it begins from, if it does.

    Raises:
        DataError: as `read_seen`.
    """
    origins = origins_of(initial) if initial else []
    if initial and (run / TRAINING_CASES).exists():
        before = _origins(_record(run), run)
        origins = before if before and not _unknown(before) else origins
    sides = dataset.sides(fold)
    record: dict[str, Any] = {"cases": {i: _files(dataset, i) for i in sides["train"]}}
    if origins:
        record["origins"] = [
            {"weights": origin.weights, "cases": _listed(origin.cases)} for origin in origins
        ]
        record["validation_seen"] = seen_of(images_of(dataset, sides["val"]), origins)
    write_hashed(run / TRAINING_CASES, record)


def read_seen(run: Path) -> Seen:
    """Return the files of all cases a run was trained on; none of a package or an older run.

    Raises:
        DataError: RUN_CASES if the list is damaged, OUT_CHANGED if it is gone.
    """
    record = _record(run)
    known = [origin.cases for origin in _origins(record, run) if origin.cases is not None]
    return frozenset[frozenset[str]]().union(_own(record, run) or (), *known)


def read_start(run: Path) -> Start:
    """Return what is recorded of the weights that a run began from.

    Raises:
        DataError: as `read_seen`.
    """
    record = _record(run)
    return Start(
        tuple(map(str, record.get("validation_seen", ()))), _unknown(_origins(record, run))
    )


def origins_of(model: Model) -> list[Origin]:
    """Return whose cases a network that begins from a model was trained on: its, and its origins'.

    Raises:
        DataError: as `read_seen`.
    """
    record = _record(model.root)
    return [Origin(model.sha256, _own(record, model.root)), *_origins(record, model.root)]


def images_of(dataset: Dataset, cases: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return of each case the SHA-256 of the files of its image.

    Labels are corrected and drawn again, and the image is the same. In sets that do not tell which
    files are labels, all are taken.
    """
    found = {}
    for id_ in cases:
        case = dataset.cases[id_]
        images = {n: sha256 for n, sha256 in case.source.items() if n not in case.label_files}
        found[id_] = frozenset(images.values())
    return found


def seen_of(images: Mapping[str, Collection[str]], origins: Iterable[Origin]) -> list[str]:
    """Return the ids of cases that weights to begin from were trained on, as far as that is known.

    Args:
        images: of each case, see `images_of`.
        origins: of the weights.
    """
    known = [origin.cases for origin in origins if origin.cases is not None]
    return [id_ for id_, files in images.items() if any(is_seen(files, seen) for seen in known)]


def is_seen(source: Collection[str], seen: Seen) -> bool:
    """Tell whether files, by their SHA-256, are all of one case that was trained on."""
    return bool(source) and any(case.issuperset(source) for case in seen)


def _files(dataset: Dataset, case: str) -> list[str]:
    return sorted({*dataset.cases[case].source.values()})


def _record(run: Path) -> dict[str, Any]:
    path = run / TRAINING_CASES
    if not run.is_dir() or not is_there(path):
        return {}
    with usable("RUN_CASES", path, "copy the run again"):
        return read_hashed(path)


def _own(record: Mapping[str, Any], run: Path) -> Seen | None:
    with usable("RUN_CASES", run / TRAINING_CASES, "copy the run again"):
        return _cases(record["cases"].values()) if record else None


def _origins(record: Mapping[str, Any], run: Path) -> list[Origin]:
    with usable("RUN_CASES", run / TRAINING_CASES, "copy the run again"):
        return [
            Origin(str(one["weights"]), None if one["cases"] is None else _cases(one["cases"]))
            for one in record.get("origins", ())
        ]


def _cases(listed: Iterable[Iterable[object]]) -> Seen:
    return frozenset(frozenset(map(str, files)) for files in listed)


def _listed(cases: Seen | None) -> list[list[str]] | None:
    return None if cases is None else sorted(map(sorted, cases))


def _unknown(origins: Iterable[Origin]) -> bool:
    return any(origin.cases is None for origin in origins)
