"""What is said of what is doubtful about trained networks, and of what was accepted of it."""

from collections.abc import Collection

from data_prep.core.findings import Finding, Findings

UNFINISHED, UNLISTED, SEEN = "RUN_UNFINISHED", "RUN_UNLISTED", "PRED_SEEN"


def findings_of(codes: Collection[str], accept: Collection[str] = ()) -> list[Finding]:
    """Return what is said of such codes: a warning, or a note of those that were accepted."""
    findings = Findings(accept)
    if UNFINISHED in codes:
        found = "a training was stopped before its end, and its weights are used as they are"
        _doubt(findings, UNFINISHED, found, "finish it by sdunet train --resume")
    if UNLISTED in codes:
        found = "the folder of the run was copied without .sdunet: nobody can tell of changes"
        _doubt(findings, UNLISTED, found, "copy the run again, with .sdunet")
    if SEEN in codes:
        found = "some of these cases were predicted by a network that was trained on them"
        _doubt(findings, SEEN, found, "judge it by others, such as those of validation_cases.txt")
    return findings.found


def _doubt(findings: Findings, code: str, found: str, fix: str) -> None:
    if code in findings.accept:
        findings.note(code, f"accepted: {found}")
    else:
        findings.warn(code, found, fix)
