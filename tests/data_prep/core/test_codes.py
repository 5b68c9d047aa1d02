"""Every code that is raised is in the registry, and the registry has no other."""

import ast
import json
import re
from typing import get_args

import pytest
from raised_codes import ROOT, asked_codes, raised_codes

from data_prep.core.codes import explain, groups
from data_prep.core.findings import Acceptance
from data_prep.core.parse import check_yaml
from sdunet.cli.main import main

CODES = {code.name: code for group in groups() for code in group.codes}
NO_CODES = {"OUT_PHASE"}  # an ImageType of DICOM
NAMES = re.compile(rf"\b(?:{'|'.join(p for g in groups() for p in g.prefixes)})_[A-Z0-9_]+[A-Z0-9]")


def test_the_registry_has_every_code_that_is_raised_and_no_other():
    raised = raised_codes()
    assert {code: raised[code] for code in sorted(raised.keys() - CODES.keys())} == {}
    assert sorted(CODES.keys() - raised.keys()) == []


def test_codes_chosen_by_expressions_and_given_to_helpers_are_found():
    raised = raised_codes()
    for code, file in {
        "IO_TRAILING": "data_prep/formats/numpy_files.py",
        "LBL_OUTLIER": "data_prep/checks/across_cases.py",
        "IO_ARCHIVE": "data_prep/files/archives.py",
        "IO_DAMAGED": "data_prep/formats/registry.py",
        "IMG_SIZE": "sdunet/vae/data/sources.py",
        "PRED_RANGE": "sdunet/segmentation/inference/domain_check.py",
    }.items():
        assert any(place.startswith(f"{file}:") for place in raised[code]), code


def test_codes_that_are_only_named_are_known_too():
    unknown = []
    for path in [*(ROOT / "data_prep").rglob("*.py"), *(ROOT / "sdunet").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named = NAMES.fullmatch(node.value)
                known = {*CODES, *NO_CODES}
                unknown += [f"{path.name}: {named[0]}"] if named and named[0] not in known else []
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        named = re.findall(rf"`({NAMES.pattern})", path.read_text(encoding="utf-8"))
        unknown += [f"{path.name}: {code}" for code in named if code not in CODES]
    assert not unknown


def test_what_can_be_accepted_is_what_the_registry_tells_of():
    accepted = {code.name for code in CODES.values() if code.accepted}
    # A dataset has no training to be unlike of; only `--accept` knows these.
    assert accepted - {"PRED_RANGE", "RUN_UNFINISHED", "RUN_UNLISTED"} == {*get_args(Acceptance)}
    assert asked_codes() <= accepted


def test_the_registry_is_in_order():
    check_yaml((ROOT / "data_prep/core/codes.yaml").read_text(encoding="utf-8"))  # no key twice
    for group in groups():
        assert {code.name.partition("_")[0] for code in group.codes} == {*group.prefixes}
        order = [(group.prefixes.index(code.name.partition("_")[0]), code) for code in group.codes]
        assert order == sorted(order, key=lambda one: (one[0], one[1].name))
    assert len(CODES) == sum(len(group.codes) for group in groups())
    prefixes = [prefix for group in groups() for prefix in group.prefixes]
    assert len(prefixes) == len(set(prefixes))


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_texts_are_sentences(code):
    texts = [code.meaning, code.fix, *[code.accepted] * bool(code.accepted)]
    for text in texts:
        assert text.isprintable()
        assert "|" not in text  # which ends a cell of the page
        assert text.endswith(".")
        first = text.split()[0]  # a word, an option or a name of a setting or file
        assert text[0].isupper() or first[0] in "`-" or "." in first


def test_the_page_is_what_the_registry_gives(script):
    page = script("make_reference").errors_page()
    assert (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8") == page
    assert all(f"| `{code}` |" in page for code in CODES)


def test_info_explains_a_code(capsys):
    assert main(["info", "lbl_unknown"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"LBL_UNKNOWN: {CODES['LBL_UNKNOWN'].meaning}\n")
    assert CODES["LBL_UNKNOWN"].fix in said
    assert "accepted" not in said
    assert main(["info", "GEO_SQFORM"]) == 0
    assert "when accepted: The sform is used." in capsys.readouterr().out
    assert main(["info", "GEO_SQFORM", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] == "The sform is used."


def test_an_unknown_code_is_told_with_the_nearest(capsys):
    assert main(["info", "LBL_UNKOWN"]) == 2
    said = capsys.readouterr().err
    assert said == "sdunet: unknown code 'LBL_UNKOWN'; did you mean 'LBL_UNKNOWN'?\n"
    with pytest.raises(ValueError, match="did you mean"):
        explain("")
