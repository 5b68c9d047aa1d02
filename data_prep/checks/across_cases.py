"""What only shows when cases are compared: copies, leaks, outliers, classes nobody has."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

import numpy as np

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.planning.classes import voxels_of
from data_prep.planning.fingerprint import Fingerprint, kinds_of
from data_prep.planning.splits import divided

_ALIKE = 0.999  # correlation of coarse images from which two are taken for one
_OUTLYING = 100.0  # times the typical intensity, or such a part of it
_OUTLYING_VOLUME = 20.0
_FEW = 5  # fewer cases have no typical values


def compare(
    facts: Mapping[str, Fingerprint],
    groups: Mapping[str, str],
    splits: Mapping[str, str | int | None],
    rules: Rules,
    unplaced: Collection[str] = (),
) -> tuple[dict[str, DataError], list[DataError], Findings]:
    """Compare cases with one another.

    Args:
        facts: of each case that can be used, by id.
        groups: what each case must not be split from.
        splits: split that the dataset itself puts each case into.
        rules: names of classes, and what is accepted.
        unplaced: cases whose files do not say which way their axes run.

    Returns:
        One error for each case that must not be used; errors that concern all of them,
        LBL_ALL_EMPTY if no case has foreground, LBL_ABSENT if none holds some class; and what
        else was noticed.
    """
    findings = Findings(rules.accept)
    errors = _copies(facts, splits, findings) | _strangers(facts) | _without_fold(facts, splits)
    errors |= _turned({id_: facts[id_].size for id_ in facts if id_ in unplaced})
    _near_copies(facts, groups, findings)
    _same_labels(facts, findings)
    errors |= _leaks(groups, {id_: splits.get(id_) for id_ in facts})
    _outliers(facts, rules, findings)
    orientations = Counter(f.orientation for f in facts.values())
    if len(orientations) > 1:
        several = ", ".join(f"{name} {n}" for name, n in orientations.most_common())
        findings.note("GEO_ORIENTATIONS", f"stored in several orientations ({several}), turned")
    return errors, _absent_classes(facts, rules, findings), findings


def _copies(
    facts: Mapping[str, Fingerprint], splits: Mapping[str, str | int | None], findings: Findings
) -> dict[str, DataError]:
    same = defaultdict(list)
    for id_, fact in facts.items():
        same[fact.pixels_sha256].append(id_)
    errors = {}
    for ids in same.values():
        across = len({splits.get(id_) == "test" for id_ in ids}) > 1
        for id_ in ids[1:]:
            fix = "remove it" if across else "remove one of them"
            found = f"pixels of {ids[0]}" + ", across training and test" * across
            try:
                if across:
                    raise DataError("SPLIT_LEAK", found, fix)
                findings.ask("SET_DUPLICATE", found, fix)
                findings.place(len(findings.found) - 1, case=id_)
            except DataError as error:
                errors[id_] = error.at(case=id_)
    return errors


def _same_labels(facts: Mapping[str, Fingerprint], findings: Findings) -> None:
    """Warn of different images that have one label: it may be the label of another case.

    A label that all cases have is meant so, such as a field of view.
    """
    same = defaultdict(list)
    for id_, fact in facts.items():
        if fact.label_sha256:
            same[fact.label_sha256, fact.size].append(id_)
    for ids in same.values():
        images = {facts[id_].pixels_sha256 for id_ in ids}
        if len(images) > 1 and len(ids) < len(facts):
            found = f"{len(ids)} cases have the same label in all voxels: {', '.join(ids[:5])}"
            findings.warn("LBL_COPIES", found, "look whether each has its own")


def _strangers(facts: Mapping[str, Fingerprint]) -> dict[str, DataError]:
    """Return an error for each 2D image or slice in a set of volumes, and the other way round.

    Of equally many neither is the stranger; then `fit_plan` refuses the set.
    """
    kinds = dict(zip(facts, kinds_of(facts.values()), strict=True))
    (usual, times), *others = Counter(kinds.values()).most_common() or [("", 0)]
    if not others or others[0][1] == times:
        return {}
    return {
        id_: DataError(
            "GEO_MIXED",
            f"one of {kind}, where {times} other cases are {usual}",
            "save it like the others, or split the dataset",
            case=id_,
        )
        for id_, kind in kinds.items()
        if kind != usual
    }


def _turned(sizes: Mapping[str, tuple[int, ...]]) -> dict[str, DataError]:
    """Return an error for each volume whose short axis is another than in most of them."""
    short = {}
    for id_, size in sizes.items():
        least, next_, *_ = sorted(size)
        if len(size) == 3 and 2 * least <= next_:
            short[id_] = size.index(least)
    several = Counter(short.values()).most_common(2)
    tied = len(several) > 1 and several[0][1] == several[1][1]
    usual = several[0][0] if several and not tied else None
    fix = "save the axes in the order of the others, or with a header that tells them"
    return {
        id_: DataError(
            "GEO_ORDER",
            f"the short axis of {' x '.join(map(str, sizes[id_]))} is number {axis}, "
            f"in most others {'either' if usual is None else usual}",
            fix,
            case=id_,
        )
        for id_, axis in short.items()
        if axis != usual
    }


def _without_fold(
    facts: Mapping[str, Fingerprint], splits: Mapping[str, str | int | None]
) -> dict[str, DataError]:
    """Return an error for each case that has no fold, in a set whose cases have."""
    without = [id_ for id_ in facts if splits.get(id_) is None]
    if not any(isinstance(splits.get(id_), int) for id_ in facts):
        return {}
    fix = "give each case a fold, or none"
    return {
        id_: DataError("LAY_FOLD", "no fold, where other cases have one", fix, case=id_)
        for id_ in without
    }


def _near_copies(
    facts: Mapping[str, Fingerprint], groups: Mapping[str, str], findings: Findings
) -> None:
    ids = [id_ for id_, fact in facts.items() if fact.coarse.std() > 0]
    if len({facts[id_].coarse.shape for id_ in ids}) != 1:
        return
    pictures = np.stack([facts[id_].coarse for id_ in ids])
    for i, id_ in enumerate(ids):
        alike = pictures[:i] @ pictures[i] / pictures.shape[1]
        for j in np.flatnonzero(alike > _ALIKE):
            other = ids[j]
            exact = facts[id_].pixels_sha256 == facts[other].pixels_sha256
            if not exact and groups.get(id_) != groups.get(other):
                findings.warn(
                    "SET_NEAR_DUPLICATE",
                    f"nearly the image of {other} (correlation {alike[j]:.4f})",
                    "if it is a copy, remove it or put both into one group",
                )
                findings.place(len(findings.found) - 1, case=id_)


def _leaks(
    groups: Mapping[str, str], splits: Mapping[str, str | int | None]
) -> dict[str, DataError]:
    """Return an error for each case that would tell its fold of another, or of the test set.

    What is in the test set stays there.
    """
    errors = {}
    for group, sides in divided(groups, splits).items():
        tested = "test" in sides
        where = "the test set and in training" if tested else f"folds {sorted(sides, key=str)}"
        for id_ in (i for side, ids in sides.items() if side != "test" for i in ids):
            found = f"{group} is in {where}"
            errors[id_] = DataError("SPLIT_LEAK", found, "split by patient", case=id_)
    return errors


def _absent_classes(
    facts: Mapping[str, Fingerprint], rules: Rules, findings: Findings
) -> list[DataError]:
    if not facts:
        return []
    totals = np.sum([f.voxels for f in facts.values()], axis=0)
    if not totals[1:].any():
        return [
            DataError(
                "LBL_ALL_EMPTY",
                "no case has any foreground",
                "check the labels and dataset.label_map",
            )
        ]
    absent = [f"{number} {name}" for name, number in rules.labels.items() if not totals[number]]
    try:
        if absent:
            more = f" and {len(absent) - _FEW} more" * (len(absent) > _FEW)
            found = f"no case holds class {', '.join(absent[:_FEW])}{more}"
            findings.ask("LBL_ABSENT", found, "remove it from the classes")
    except DataError as error:
        return [error]
    return []


def _outliers(facts: Mapping[str, Fingerprint], rules: Rules, findings: Findings) -> None:
    for channel, name in enumerate(rules.channels):
        # 2D images may well be dark or bright; the values of a volume have a scale.
        levels = {i: abs(f.median[channel]) for i, f in facts.items() if f.spacing is not None}
        _far(levels, _OUTLYING, "INT_OUTLIER", f"median of {name}", findings)
    for name, number in rules.stated.items():
        if number:
            volumes = {
                id_: voxels_of(f.voxels, number, rules) * float(np.prod(f.spacing or 1))
                for id_, f in facts.items()
            }
            _far(volumes, _OUTLYING_VOLUME, "LBL_OUTLIER", f"volume of {name}", findings)


def _far(
    values: Mapping[str, float], factor: float, code: str, what: str, findings: Findings
) -> None:
    present = {id_: value for id_, value in values.items() if value > 0}
    if len(present) < _FEW:
        return
    typical = float(np.median(list(present.values())))
    for id_, value in present.items():
        if not typical / factor <= value <= typical * factor:
            findings.warn(
                code, f"{what} {value:.4g}, of all cases {typical:.4g}", "look at the case"
            )
            findings.place(len(findings.found) - 1, case=id_)
