"""The image of a case, whatever its files: channels joined, a DICOM series stacked."""

import numpy as np

from data_prep.core.errors import DataError, named_errors
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.core.scan_checks import tell_turned_apart
from data_prep.files.file_tree import Tree
from data_prep.formats.dicom.series import is_dicom, read_series
from data_prep.formats.registry import open_file, read_scan
from data_prep.layouts import Case
from data_prep.preprocessing.grid import fit_image


def read_case_image(tree: Tree, case: Case, findings: Findings | None = None) -> Scan:
    """Read the image of a case, `(C, ...)`, its scans joined in the order of the channels.

    Raises:
        DataError: as `read_scan` and `read_series`; GEO_SHAPE or GEO_AFFINE if channels lie
            on several grids, unless accepted.
    """
    findings = findings or Findings()
    scans = [_read_one(tree, files, findings) for files in case.scans]
    if len(scans) == 1:
        return scans[0]
    first, *others = scans
    arrays = [first.array]
    for files, scan in zip(case.scans[1:], others, strict=True):
        since = len(findings.found)
        try:
            fitted = fit_image(first, scan, findings, "channel", "first channel")
        except DataError as error:
            raise error.at(file=files[0]) from None
        tell_turned_apart(first, scan, "first channel", "channel", findings)
        findings.place(since, file=files[0])
        arrays.append(fitted.array)
    return first.holding(np.concatenate(arrays))


def _read_one(tree: Tree, files: tuple[str, ...], findings: Findings) -> Scan:
    if len(files) == 1 and not is_dicom(open_file(tree, files[0], findings, 256)):
        return read_scan(tree, files[0], findings)
    since = len(findings.found)
    with named_errors(files[0]):
        contents = ((name, open_file(tree, name, findings)) for name in files)
        scan = read_series(contents, findings, len(files))
    findings.place(since, file=files[0])
    return scan
