"""Small files that unpack to gigabytes, as references, predictions and images to look through."""

import csv
import json
import re
import shutil
import subprocess
import sys
from itertools import count

import numpy as np
import pytest
from bad_sets import Pictures, Volumes, blob, gz, mask, nifti, noise, picture, png
from bombs import MEMORY, MOST, PICTURES, VOLUMES

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import memory_within
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.metrics.case_scores import score_case
from sdunet.segmentation.review.error_map import wrong_pieces

pytestmark = pytest.mark.long

CODE = """
import json, re, sys
from pathlib import Path
from sdunet.cli.main import main
status = main(json.loads(sys.argv[1]))
peak = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1e6
print(json.dumps([status, peak]))
"""
GOOD = {"good_0", "good_1", "good_2", "bad"}


def run(*arguments):
    """Run a command by itself; return its status, the memory taken (GB) and errors by case."""
    command = [*map(str, arguments), "--max-ram", str(MEMORY)]
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(command)],
        capture_output=True,
        text=True,
        check=True,
    )
    errors = re.findall(r"^error: (\w+) case (\w+):", done.stderr, re.MULTILINE)
    return *json.loads(done.stdout.splitlines()[-1]), {case: code for code, case in errors}


@pytest.fixture(scope="module", params=[Volumes, Pictures])
def planted(request, tmp_path_factory):
    """A set with each bomb as reference, as prediction and as image of a case of its own."""
    kind, root = request.param, tmp_path_factory.mktemp("set")
    bombs, suffix = (VOLUMES if kind is Volumes else PICTURES), kind.label_suffix
    made = kind(root / "raw")
    label = gz(nifti(blob())) if kind is Volumes else png(mask())
    seeds = count(10)
    for name in GOOD:
        made.write(f"../pred/{name}{suffix}", label)
    wrong = {"r": set(), "p": set(), "i": set()}
    for name, plant in bombs.items():
        bomb = root / "bomb"
        plant(bomb)
        for role, place in (("r", "raw/labels"), ("p", "pred"), ("i", "raw/images")):
            if (role, name) == ("r", "surplus.png"):
                continue  # is no more than it declares, an empty mask
            id_ = f"{role}_{name.replace('.', '_')}"
            wrong[role].add(id_)
            seed = next(seeds)
            image = gz(nifti(noise(seed))) if kind is Volumes else png(picture(seed))
            for folder, data in (("raw/labels", label), ("pred", label), ("raw/images", image)):
                if folder != place:
                    made.write(f"../{folder}/{id_}{suffix}", data)
            (root / place / f"{id_}{name[name.index('.') :]}").hardlink_to(bomb)
        bomb.unlink()
    return root, wrong


def test_bombs_are_refused_when_predictions_are_scored(planted, tmp_path):
    root, wrong = planted
    pred, ref = root / "pred", root / "raw"
    status, peak, errors = run("evaluate", "--pred", pred, "--ref", ref, "-o", tmp_path / "out")
    assert status == 1
    assert peak < MOST
    assert errors.keys() == wrong["r"] | wrong["p"]
    rows = list(csv.DictReader((tmp_path / "out/cases.csv").read_text().splitlines()))
    dice = {row["case"]: row["dice"] for row in rows}
    assert {case for case, value in dice.items() if value == "1"} == GOOD | wrong["i"]
    assert {*dice.values()} == {"0", "1"}
    assert wrong["p"] <= dice.keys()


def test_bombs_are_refused_when_errors_are_drawn(planted, tmp_path):
    root, wrong = planted
    pred, ref = root / "pred", root / "raw"
    folders = ["--images", ref, "--ref", ref, "--pred", pred]
    status, peak, errors = run("overlay", *folders, "-o", tmp_path / "out")
    assert status == 1
    assert peak < MOST
    assert errors.keys() == wrong["r"] | wrong["p"] | wrong["i"]
    drawn = {path.stem for path in (tmp_path / "out/cases").iterdir()}
    assert drawn == GOOD | wrong["p"]


def test_bombs_are_refused_when_models_are_put_side_by_side(planted, tmp_path):
    root, wrong = planted
    pred, ref = root / "pred", root / "raw"
    run("evaluate", "--pred", pred, "--ref", ref, "-o", tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    folders = ["--images", ref, "--ref", ref, "--pred", pred, pred, "-o", tmp_path / "out"]
    status, peak, errors = run("compare", tmp_path / "one", tmp_path / "two", *folders)
    assert status == 1
    assert peak < MOST
    assert errors.keys() == wrong["p"] | wrong["i"]
    assert (tmp_path / "out/review.html").is_file()


def test_bombs_are_refused_when_sets_are_converted(planted, tmp_path):
    root, wrong = planted
    status, peak, errors = run("convert", root / "raw", tmp_path / "out", "--to", "folders")
    assert status == 1
    assert peak < MOST
    assert errors.keys() == wrong["r"] | wrong["i"]


NOISE = np.random.default_rng(0).integers(0, 2, (2, 40, 40, 40)).astype(np.uint8)


def test_what_takes_memory_by_its_content_is_refused_before(tmp_path):
    with memory_within(64_000 * 30), pytest.raises(DataError, match="IO_MEMORY"):
        score_case(*NOISE, (1.0, 1.0, 1.0), 2)  # by the box around the class
    with memory_within(64_000 * 60), pytest.raises(DataError, match="IO_MEMORY"):
        score_case(*NOISE, (1.0, 1.0, 1.0), 2)  # by its surface
    with memory_within(64_000 * 20), pytest.raises(DataError, match="IO_MEMORY"):
        wrong_pieces(*NOISE, 9)
    with memory_within(64_000 * 130):
        score_case(*NOISE, (1.0, 1.0, 1.0), 2)
        wrong_pieces(*NOISE, 9)


def test_case_too_large_to_be_scored_is_left_out_and_told(tmp_path):
    made, large = Volumes(tmp_path / "raw"), np.ones((60, 60, 60), np.uint8)
    made.label(gz(nifti(large)))
    for name in ("good_0", "good_1", "good_2"):
        made.write(f"../pred/{name}.nii.gz", gz(nifti(blob())))
    made.write("../pred/bad.nii.gz", gz(nifti(large)))
    where = tmp_path / "pred", tmp_path / "raw", tmp_path / "out"
    summary, problems = evaluate(*where, max_ram=0.004)
    assert [(p.code, p.case) for p in problems] == [("IO_MEMORY", "bad")]
    assert summary["n_cases"] == 3
    summary, problems = evaluate(*where, max_ram=0.1)
    assert (summary["n_cases"], problems) == (4, [])
