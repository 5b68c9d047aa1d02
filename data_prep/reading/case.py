"""The image and the label of a case, checked and on one grid."""

from data_prep.core.config import Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan, fit_channels
from data_prep.core.scan_checks import check_image, tell_turned_apart
from data_prep.files.file_tree import Tree, recorded
from data_prep.layouts import Case
from data_prep.preprocessing.grid import fit_label
from data_prep.preprocessing.instances import IGNORED
from data_prep.reading.image import read_case_image
from data_prep.reading.label import look_at_ignored, read_case_label
from data_prep.reading.objects import objects_as_classes, read_objects


def read_case(
    tree: Tree, case: Case, rules: Rules, findings: Findings, *, ids: bool = False
) -> tuple[Scan, Scan]:
    """Read image `(C, ...)` and label `(1, ...)` of a case, checked and on one grid.

    Args:
        tree: where the files are.
        case: the case.
        rules: how it is read.
        findings: what is noticed is added to it.
        ids: whether the label is to hold the numbers of objects, see `read_objects`, where
            `Rules.instances` tells of such, and not their classes.

    Raises:
        DataError: if the case cannot be used without doubt.
    """
    image = read_case_image(tree, case, findings)
    try:
        image = check_image(fit_channels(image, rules.channels, findings), findings)
    except DataError as error:
        raise error.at(file=case.image) from None
    if rules.instances is not None:
        objects, classes = _read_objects(tree, case, rules, image, findings)
        return image, objects if ids else classes
    label = read_case_label(tree, case, rules, image, findings)
    since = len(findings.found)
    fitted = fit_label(image, label, findings, void=rules.void)
    tell_turned_apart(image, label, "image", "mask", findings)
    findings.place(since, file=case.labels[0])
    return image, fitted


def _read_objects(
    tree: Tree, case: Case, rules: Rules, image: Scan, findings: Findings
) -> tuple[Scan, Scan]:
    """Return the numbers of objects on the grid of their image, and the classes of their voxels."""
    since = len(findings.found)
    try:
        objects = read_objects(tree, case, findings, rules)
        ids = fit_label(image, objects, findings, void=IGNORED)
        tell_turned_apart(image, objects, "image", "mask", findings)
        classes = ids.holding(objects_as_classes(ids.array, rules))
        look_at_ignored(classes.array, rules, findings)
    except DataError as error:
        raise error.at(file=case.labels[0]) from error.__cause__
    findings.place(since, file=case.labels[0])
    return ids, classes


def read_checked(
    tree: Tree,
    case: Case,
    rules: Rules,
    findings: Findings,
    source: dict[str, str],
    *,
    ids: bool = False,
) -> tuple[Scan, Scan]:
    """Read a case as `read_case`, from the very bytes that were checked.

    Args:
        tree: where the files are.
        case: the case.
        rules: how it is read.
        findings: what is noticed is added to it.
        source: SHA-256 of each file when it was checked.
        ids: as `read_case`.

    Raises:
        DataError: IO_CHANGED if a file is another one now; as `read_case`.
    """
    recording, now = recorded(tree)
    try:
        image, label = read_case(recording, case, rules, findings, ids=ids)
    except DataError as error:
        if error.code == "IO_MEMORY":
            raise
        found = f"it could be read when it was checked, and cannot now: {error.code} {error.found}"
        raise DataError("IO_CHANGED", found, "run it again", file=error.file) from error
    changed = next((name for name, sha256 in now.items() if source.get(name) != sha256), None)
    if changed is not None:
        raise DataError("IO_CHANGED", "changed since it was checked", "run it again", file=changed)
    return image, label
