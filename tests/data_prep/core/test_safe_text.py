"""Names and headers are anybody's: shown they do nothing, written they tell no one."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from matplotlib.figure import Figure
from nasty_names import HARMLESS, NAMES, NASTY

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.safe_text import inert, inert_json, placeless
from data_prep.files.png import figure_to_png
from sdunet.cli.main import main
from sdunet.runtime.run_record import say, tell, versions
from sdunet.runtime.tables import aligned, markdown, plain_markdown, write_csv
from sdunet.segmentation.export.model_card import model_card
from sdunet.segmentation.export.monai_bundle import bundle_files
from sdunet.segmentation.export.package import export
from sdunet.segmentation.models.trained_model import load_model


def run(*arguments):
    return main([str(a) for a in arguments])


def lines_are_inert(text):
    return all(line.isprintable() for line in text.split("\n"))


@NAMES
def test_what_does_not_print_is_shown_by_its_number(name):
    assert inert(name).isprintable()
    assert inert(name).encode().decode("unicode_escape") == name
    assert json.loads(inert_json({name: [name]})) == {name: [name]}
    assert lines_are_inert(inert_json({name: [name]}))


@pytest.mark.parametrize("name", HARMLESS)
def test_names_of_any_script_stay_as_they_are(name):
    assert inert(name) == name
    assert name.replace("\\", "\\\\") in inert_json([name])
    assert placeless(name) == name


def test_a_name_that_is_no_unicode_is_written_all_the_same():
    name = os.fsdecode(b"a\xff")
    assert inert(name) == "a\\udcff"
    assert json.loads(inert_json(name)) == name


@NAMES
def test_one_finding_is_one_line(name, capsys):
    error = DataError("CODE", f"found {name}", "fix it", case=name, file=name)
    tell(str(Finding.of(error)))
    say(str(error))
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert text.count("\n") == 1
        assert lines_are_inert(text)


@NAMES
def test_tables_hold_a_row_in_a_line(name, tmp_path):
    assert len(aligned(["a", "b"], [[name, "1"]]).splitlines()) == 2
    assert len(markdown(["a", "b"], [[name, "1"]]).splitlines()) == 3
    write_csv(tmp_path / "t.csv", ["a", "b"], [{"a": name, "b": 1.0}])
    assert lines_are_inert((tmp_path / "t.csv").read_bytes().decode().replace("\r\n", "\n"))


@pytest.fixture
def hostile(tmp_path, write_picture):
    """A raw dataset of 2D images whose names do what they can, each with something to find."""
    root = tmp_path / "raw"
    random = np.random.default_rng(0)
    for number, name in enumerate([*NASTY.values(), "good", "fine", "well"]):
        image = random.integers(0, 255, (48, 48)).astype(np.uint8)
        write_picture(root / "images" / f"{name}.png", image)
        size = (48, 48) if number >= len(NASTY) else (48, 40)
        write_picture(root / "masks" / f"{name}.png", (random.random(size) > 0.5).astype(np.uint8))
    return root


def test_a_hostile_dataset_is_checked_line_by_line(hostile, tmp_path, capsys):
    assert run("check", hostile, "--all") == 1
    said = capsys.readouterr()
    assert lines_are_inert(said.out)
    assert len(re.findall("^error CASE_NAME case", said.out, re.MULTILINE)) == len(NASTY)
    assert not re.findall("^(error FORGED|hidden)", said.out, re.MULTILINE)
    assert run("check", hostile, "--json") == 1
    told = capsys.readouterr().out
    assert told.isascii()
    assert {f["case"] for f in json.loads(told)["findings"]} >= set(NASTY.values())
    assert run("prepare", hostile, tmp_path / "set", "--dataset.folds=3") == 1
    said = capsys.readouterr()
    assert lines_are_inert(said.out)
    assert lines_are_inert(said.err)
    for path in tmp_path.glob("set/**/*"):
        if path.suffix in (".json", ".html", ".txt"):
            assert lines_are_inert(path.read_text()), path


def test_wrong_options_are_told_in_one_line(capsys):
    with pytest.raises(SystemExit):
        run("check", "x", "--dataset.folds=\x1b[2J\nforged")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert lines_are_inert(said)


CRASH = """
import logging, sys, warnings
from sdunet import __main__ as front

def crash(argv=None):
    warnings.warn("a\\x1b[2J")
    logging.error("b\\x9b")
    print("c\\u202e\\udcff 肝")
    raise RuntimeError("d\\x1b]0;title\\x07")

front.cli.main = crash
front.main()
"""


@pytest.mark.parametrize("encoding", [pytest.param("utf-8", marks=pytest.mark.long), "ascii"])
def test_what_libraries_print_is_inert_too(encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", CRASH]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(encoding)
    assert lines_are_inert(said)
    for shown in (r"a\x1b[2J", r"b\x9b", r"c\u202e\udcff", r"d\x1b]0;title\x07"):
        assert shown in said


@pytest.mark.filterwarnings("ignore:Glyph")  # what shows nothing has no picture
@pytest.mark.parametrize("name", [*NASTY.values(), "$x^$", r"$\frac$"])
def test_names_in_legends_are_no_formulas(name):
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], label=name)
    axes.legend()
    assert figure_to_png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["$import os", "@bundle_root", "%configs/metadata.json"])
def test_a_bundle_takes_no_name_for_an_expression(trained_discs, name):
    model = load_model(trained_discs / "run")
    facts = {"labels": [{"name": "background"}, {"name": name}], "versions": versions()}
    files = bundle_files(replace(model, plan=replace(model.plan, channels=(name,))), {}, facts)
    named = json.loads(files["configs/metadata.json"])["network_data_format"]
    for side, number in (("inputs", "0"), ("outputs", "1")):
        (told,) = named[side].values()
        assert told["channel_def"][number] == f"'{name}"


# Absolute paths in records.


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/srv/anna/scans/x.nii.gz", "x.nii.gz"),
        ("--out=/srv/anna/runs/first", "--out=first"),
        ("-o/srv/anna/out", "-oout"),
        ('--data=["/a b/c", "/d/e"]', '--data=["c", "e"]'),
        ("~/runs", "runs"),
        ("~anna/runs", "runs"),
        ("file:///srv/anna/x", "x"),
        (r"C:\Users\anna\x.png", "x.png"),
        ("cannot read /srv/Anna Maria/x.png; look", "cannot read x.png; look"),
        ("runs/first", "runs/first"),
        ("../runs", "../runs"),
        ("0/2", "0/2"),
        ("tcp://host:8786", "tcp://host:8786"),
        ("2 of 3 mm/px", "2 of 3 mm/px"),
    ],
)
def test_of_absolute_paths_the_last_name_is_kept(given, kept):
    assert placeless(given) == kept


@pytest.fixture(scope="module")
def outputs(trained_discs, tmp_path_factory):
    """Everything a road of commands writes, all paths given in full."""
    root = tmp_path_factory.mktemp("someone") / "their files"
    raw, run_ = trained_discs / "raw", trained_discs / "run"
    new = root / "new"
    shutil.copytree(raw, new)
    (new / "images/disc_0.png").write_bytes(b"\x89PNG cut")
    config = ["--config", trained_discs / "task.yaml"]
    assert run("prepare", raw, root / "set", *config) == 0
    assert run("predict", "--model", run_, "-i", new, "-o", root / "pred") == 1
    run("evaluate", "--pred", root / "pred", "--ref", raw, "-o", root / "eval")
    run("evaluate", "--pred", root / "pred", "--ref", raw, "-o", root / "again", *config)
    run("overlay", "--images", raw, "--ref", raw, "--pred", root / "pred", "-o", root / "over")
    run("compare", root / "eval", root / "again", "-o", root / "compared")
    run("convert", raw, root / "copy", "--to", "monai", *config)
    shutil.copytree(run_, root / "run")
    export(run_, root / "package")
    shutil.rmtree(new)
    return root


def members(path):
    """The contents of a file, of an archive those of its members."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    else:
        yield path.read_bytes()


@pytest.mark.long
def test_nothing_written_tells_where_it_was_made(outputs, trained_discs):
    source = Path(torch.__file__).parents[1], Path(__file__).parents[4]
    places = {outputs.parent, trained_discs, Path.home(), Path(sys.prefix), *source}
    found = {
        f"{path.relative_to(outputs)}: {place}"
        for path in outputs.rglob("*")
        if path.is_file()
        for data in members(path)
        for place in places
        if os.fsencode(place) + b"/" in data
    }
    assert not found
    arguments = json.loads((outputs / "pred/run.json").read_text())["arguments"]
    assert arguments == ["predict", "--model", "run", "-i", "new", "-o", "pred"]


@pytest.mark.long
def test_the_program_of_a_package_gives_what_the_network_gives(outputs):
    image = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    program = torch.export.load(outputs / "package/program.pt2").module()
    with torch.no_grad():
        want = load_model(outputs / "package").network(image)
        torch.testing.assert_close(program(image), want, rtol=1e-5, atol=1e-5)


# Names in a package.


@pytest.mark.parametrize(
    "name",
    [
        *NASTY.values(),
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](http://evil.example)",
        "![](http://evil.example/x.png)",
        "| 7 | liver",
        "`code`",
        "*bold* _too_",
        "http://evil.example",
        "www.evil.example",
        "me@evil.example",
    ],
)
def test_names_stay_text_in_a_card(name):
    shown = plain_markdown(name)
    assert shown.isprintable()
    assert not re.search(r"(?<!\\)[`*|\[\]]|[<>]|://|www\.|@", shown)


@pytest.mark.parametrize(
    "name", ["disc", "left_lung", "left lung", "Läsion 2", "肝臓", "T1-weighted"]
)
def test_plain_names_are_written_plainly(name):
    assert plain_markdown(name) == name


def test_the_card_of_a_hostile_network_is_harmless(trained_discs):
    model = load_model(trained_discs / "run")
    name = "<script>x</script>\n# [a](http://b) | c"
    facts = {
        "labels": [{"name": name, "number": 1, "colour": "#E69F00"}],
        "validation_dice": 0.5,
        "parameters": 1,
        "versions": {"python": "3"},
    }
    card = model_card(model, facts)
    assert "<script" not in card
    assert "\n# [a]" not in card
    assert not re.search(r"(?<!\\)\]\(", card)
    yaml.safe_load(card.split("---\n")[1])


# Words of headers.

CANARY = "Anna Canary"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("header line 'owner: Anna'", "header line ..."),
        ("structures [\"Anna's\", 'GTV'] are no class", "structures [..., ...] are no class"),
        (r"line 'it\'s' and 'more'", "line ... and ..."),
        ("pixels may show the patient's name, at the readers' cost", None),
        ("slices 3 and 4", None),
    ],
)
def test_words_in_quotes_are_not_recorded(given, kept):
    error = DataError("CODE", given, "see it", case="a", file="b.dcm")
    finding = Finding.of(error)
    assert error.for_records().found == finding.for_records().found == (kept or given)
    assert given in str(error)
    assert given in str(finding)
    assert str(finding.for_records()).startswith("error CODE case a (b.dcm): ")


def nrrd(array, **fields):
    lines = ["NRRD0004", f"type: {fields.pop('type', 'uint8')}", "dimension: 3"]
    lines += [f"sizes: {' '.join(map(str, array.shape))}", "encoding: raw"]
    lines += ["space: right-anterior-superior", "space directions: (1,0,0) (0,1,0) (0,0,1)"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\n".join(lines).encode() + b"\n\n" + array.tobytes(order="F")


SPOILT = {
    "a field that is none": {CANARY: "no colon\n" + CANARY},
    "a type": {"type": CANARY},
    "a skip": {"line skip": CANARY},
    "a place": {"space origin": f"({CANARY},0,0)"},
    "another file": {"data file": f"{CANARY}.raw"},
}


@pytest.mark.parametrize("fields", SPOILT.values(), ids=SPOILT)
def test_words_of_headers_are_shown_and_reach_no_file(tmp_path, fields, capsys):
    random = np.random.default_rng(0)
    for name in ("a", "b", "c", "spoilt"):
        image = random.integers(0, 255, (8, 8, 8)).astype(np.uint8)
        for folder, array in (("images", image), ("labels", (image > 99).astype(np.uint8))):
            path = tmp_path / "raw" / folder / f"{name}.nrrd"
            path.parent.mkdir(parents=True, exist_ok=True)
            spoilt = dict(fields) if (name, folder) == ("spoilt", "images") else {}
            path.write_bytes(nrrd(array, **spoilt))
    config = ["--dataset.folds=3", "--dataset.patch_size=[8,8,8]"]
    assert run("prepare", tmp_path / "raw", tmp_path / "set", *config) == 1
    assert CANARY.lower() in capsys.readouterr().err.lower()
    assert run("convert", tmp_path / "raw", tmp_path / "copy", "--to", "folders", *config) == 1
    written = [p for out in ("set", "copy") for p in (tmp_path / out).rglob("*") if p.is_file()]
    assert any(path.name == "report.html" for path in written)
    assert not [path for path in written if CANARY.lower().encode() in path.read_bytes().lower()]
    assert run("check", tmp_path / "raw", "--json") == 1
    assert CANARY.lower() not in capsys.readouterr().out.lower()
