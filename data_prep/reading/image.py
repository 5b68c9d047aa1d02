"""The image of a case, whatever its files: channels joined, a DICOM series stacked."""

import numpy as np

from data_prep.core.errors import DataError, named_errors
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.core.scan_checks import check_same_grid
from data_prep.files.file_tree import Tree
from data_prep.formats.dicom.series import is_dicom, read_series
from data_prep.formats.registry import open_file, read_scan
from data_prep.layouts import Case


def read_case_image(tree: Tree, case: Case, findings: Findings | None = None) -> Scan:
    """Read the image of a case, `(C, ...)`, its scans joined in the order of the channels.

    Raises:
        DataError: as `read_scan` and `read_series`; GEO_... if channels lie on several grids.
    """
    findings = findings or Findings()
    scans = [_read_one(tree, files, findings) for files in case.scans]
    if len(scans) == 1:
        return scans[0]
    for files, scan in zip(case.scans[1:], scans[1:], strict=True):
        try:
            check_same_grid(scans[0], scan, "channel", "first channel")
        except DataError as error:
            raise error.at(file=files[0]) from None
    return Scan(np.concatenate([s.array for s in scans]), scans[0].affine, scans[0].codes)


def _read_one(tree: Tree, files: tuple[str, ...], findings: Findings) -> Scan:
    if len(files) == 1 and not is_dicom(open_file(tree, files[0], findings, 256)):
        return read_scan(tree, files[0], findings)
    since = len(findings.found)
    with named_errors(files[0]):
        contents = ((name, open_file(tree, name, findings)) for name in files)
        scan = read_series(contents, findings, len(files))
    findings.place(since, file=files[0])
    return scan
