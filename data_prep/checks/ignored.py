"""What is ignored of a set, told once for all cases."""

from collections.abc import Collection

from data_prep.core.config import DataConfig, Rules
from data_prep.core.findings import Finding, Findings
from data_prep.planning.classes import ignored_of
from data_prep.planning.fingerprint import Fingerprint


def ignored_in_all(
    config: DataConfig, rules: Rules, facts: Collection[Fingerprint]
) -> list[Finding]:
    """Return a note, LBL_IGNORED, of all voxels that are ignored.

    Where there is none, that is a warning, SET_UNUSED, if settings ask for it.
    """
    findings = Findings()
    counts = [fact.ignored for fact in facts if fact.ignored]
    if counts:
        voxels = sum(counts) + sum(sum(fact.voxels) for fact in facts)
        found = f"{sum(counts)} of {voxels} voxels are ignored, in {len(counts)} of {len(facts)} "
        findings.note("LBL_IGNORED", f"{found}cases: no loss and no score counts them")
    elif facts and (asked := ignored_of(DataConfig(labels=config.labels), None)) is not None:
        found = f"dataset.labels ignores {asked}, which no label that is read holds"
        findings.warn("SET_UNUSED", found, "correct it, or leave it out")
    return findings.found
