"""Codes of qform and sform that NIfTI does not know are told of, with their numbers."""

import nibabel as nib
import numpy as np
import pytest
from bad_sets import nifti, noise

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.nifti import read_nifti

AT = {nib.Nifti1Image: (252, 254, np.int16), nib.Nifti2Image: (344, 348, np.int32)}


def with_codes(kind, qform, sform):
    """Bytes of a volume with codes as they are, also those that nibabel would not write."""
    data = bytearray(nifti(noise(), kind=kind))
    *places, of = AT[kind]
    for place, code in zip(places, (qform, sform), strict=True):
        data[place : place + of().itemsize] = of(code).tobytes()
    return bytes(data)


@pytest.mark.parametrize("kind", AT)
@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ((0, 9), r"GEO_NONE.*\(sform_code 9, where codes are 0 to 5\)"),
        ((-1, 6), r"GEO_NONE.*\(qform_code -1 and sform_code 6, "),
        ((0, 0), r"GEO_NONE.*\(qform and sform codes are 0\)"),
    ],
)
def test_without_a_known_code_there_is_no_orientation(kind, codes, told):
    with pytest.raises(DataError, match=told):
        read_nifti(with_codes(kind, *codes))
    findings = Findings(("GEO_NONE",))
    read_nifti(with_codes(kind, *codes), findings)
    assert [(finding.level, finding.code) for finding in findings.found] == [("note", "GEO_NONE")]


@pytest.mark.parametrize("kind", AT)
@pytest.mark.parametrize("codes", [(1, 9), (9, 1)])
def test_beside_a_known_code_an_unknown_one_is_told_of(kind, codes):
    findings = Findings()
    scan = read_nifti(with_codes(kind, *codes), findings)
    assert [(f.level, f.code) for f in findings.found] == [("warning", "GEO_SQFORM")]
    assert "form_code 9, " in findings.found[0].found
    np.testing.assert_array_equal(scan.array, read_nifti(with_codes(kind, 1, 1)).array)


@pytest.mark.parametrize("kind", AT)
@pytest.mark.parametrize("code", range(1, 6))
def test_known_codes_are_silent(kind, code):
    findings = Findings()
    read_nifti(with_codes(kind, code, code), findings)
    assert not findings.found
