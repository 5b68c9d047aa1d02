"""Classes that cases lose when they are brought to the grid of the plan."""

import math
from collections.abc import Mapping

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.scan import times
from data_prep.planning.classes import voxels_of
from data_prep.planning.fingerprint import Fingerprint
from data_prep.prepared.dataset import CaseRecord
from data_prep.preprocessing.lost_classes import loss_of


def lost_by_resampling(
    facts: Mapping[str, Fingerprint], records: Mapping[str, CaseRecord], plan: Plan
) -> tuple[list[Finding], list[DataError]]:
    """Return a warning for each class that a case loses, see `loss_of`, and errors for the last.

    Where no case is left that holds a class, each that held it before is one.
    """
    findings, errors = [], {}
    at, fix = in_words(plan)
    for name, number in plan.stated.items():
        before = {id_: voxels_of(facts[id_].voxels, number, plan) for id_ in records}
        after = {id_: voxels_of(records[id_].voxels, number, plan) for id_ in records}
        held = [id_ for id_ in records if number and before[id_]]
        gone = all(not after[id_] for id_ in held)
        for id_ in held:
            lost = loss_of(before[id_], after[id_], _growth(plan, facts[id_]))
            found = f"class {number} {name}: {lost} {at}"
            if lost and gone:
                found += ", and no other case holds it"
                errors[id_] = DataError("LBL_LOST", found, fix, case=id_)
            elif lost:
                findings.append(Finding("warning", "LBL_LOST", found, fix, id_))
    for id_, record in records.items():
        if record.lost_objects:
            found = f"{record.lost_objects} objects are without a voxel {at}"
            findings.append(Finding("warning", "LBL_LOST", found, fix, id_))
    return findings, list(errors.values())


def in_words(plan: Plan) -> tuple[str, str]:
    """Return to what scans are resampled, in words, and what loses less."""
    if plan.resize:
        return f"at {times(plan.resize)} pixels", "give a larger dataset.resize"
    return f"at {plan.spacing} mm", "give a finer dataset.spacing"


def _growth(plan: Plan, before: Fingerprint) -> float:
    """Return how many times larger a voxel of the plan is than one of the scan."""
    if plan.resize:
        return math.prod(before.size) / math.prod(plan.resize)
    if not plan.spacing or not before.spacing:
        return 1.0
    return math.prod(plan.spacing) / math.prod(before.along(before.spacing, len(plan.spacing)))
