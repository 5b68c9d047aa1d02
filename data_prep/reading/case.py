"""The image and the label of a case, checked and on one grid."""

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan, fit_channels
from data_prep.core.scan_checks import check_image
from data_prep.files.file_tree import Tree, recorded
from data_prep.layouts import Case
from data_prep.preprocessing.grid import fit_label
from data_prep.reading.image import read_case_image
from data_prep.reading.label import read_case_label


def read_case(tree: Tree, case: Case, rules: Rules, findings: Findings) -> tuple[Scan, Scan]:
    """Read image `(C, ...)` and label `(1, ...)` of a case, checked and on one grid.

    Raises:
        DataError: if the case cannot be used without doubt.
    """
    image = read_case_image(tree, case, findings)
    try:
        image = check_image(fit_channels(image, rules.channels, findings), findings)
    except DataError as error:
        raise error.at(file=case.image) from None
    label = read_case_label(tree, case, rules, image, findings)
    return image, fit_label(image, label, findings, void=rules.void)


def read_checked(
    tree: Tree, case: Case, rules: Rules, findings: Findings, source: dict[str, str]
) -> tuple[Scan, Scan]:
    """Read a case as `read_case`, from the very bytes that were checked.

    Args:
        tree: where the files are.
        case: the case.
        rules: how it is read.
        findings: what is noticed is added to it.
        source: SHA-256 of each file when it was checked.

    Raises:
        DataError: IO_CHANGED if a file is another one now; as `read_case`.
    """
    recording, now = recorded(tree)
    try:
        image, label = read_case(recording, case, rules, findings)
    except DataError as error:
        if error.code == "IO_MEMORY":
            raise
        found = f"it could be read when it was checked, and cannot now: {error.code} {error.found}"
        raise DataError("IO_CHANGED", found, "run it again", file=error.file) from error
    changed = next((name for name, sha256 in now.items() if source.get(name) != sha256), None)
    if changed is not None:
        raise DataError("IO_CHANGED", "changed since it was checked", "run it again", file=changed)
    return image, label
