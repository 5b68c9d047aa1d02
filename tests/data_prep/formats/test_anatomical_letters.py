"""Letters of a MetaImage that contradict its matrix for certain are told of, and no others."""

import pytest
from volume_files import MHA, replaced

from data_prep.core.findings import Findings
from data_prep.formats.metaimage import read_metaimage

PLAIN = "1 0 0 0 1 0 0 0 1"
TURNED = "-1 0 0 0 -1 0 0 0 1"  # to the right, to the front, upwards
SWAPPED = "0 1 0 1 0 0 0 0 1"
OBLIQUE = "0.7071 0.7071 0 -0.7071 0.7071 0 0 0 1"
TILTED = "0.96 0.28 0 -0.28 0.96 0 0 0 1"


def told(matrix, letters):
    lines = f"TransformMatrix = {matrix}\nAnatomicalOrientation = {letters}".encode()
    findings = Findings()
    read_metaimage(replaced(MHA, f"TransformMatrix = {PLAIN}".encode(), lines), findings)
    return [(finding.level, finding.code) for finding in findings.found]


@pytest.mark.parametrize(
    ("matrix", "letters"),
    [(PLAIN, "LPI"), (PLAIN, "ras"), (TURNED, "LAI"), (SWAPPED, "RIA"), (TILTED, "LPI")],
)
def test_letters_that_contradict_the_matrix_both_ways_are_a_warning(matrix, letters):
    assert told(matrix, letters) == [("warning", "GEO_LETTERS")]


@pytest.mark.parametrize(
    ("matrix", "letters"),
    [
        *((PLAIN, letters) for letters in ("RAI", "LPS", "lps", "???", "RRI", "", "axial")),
        *((TURNED, letters) for letters in ("RAS", "LPI", "RAI", "LPS")),
        *((SWAPPED, letters) for letters in ("PLS", "ARI")),
        (OBLIQUE, "LPI"),
    ],
)
def test_letters_that_agree_one_way_or_are_a_habit_are_not(matrix, letters):
    assert told(matrix, letters) == []
