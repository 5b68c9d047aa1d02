"""Cases with a marked point: what is marked, what is cut, that it can be repeated."""

import csv
import json

import numpy as np
import pytest
from scipy import ndimage

from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.scan import Scan
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from data_prep.planning.seeding import Seeding
from data_prep.planning.splits import make_folds
from data_prep.reading.image import read_case_image
from data_prep.seeded import seeded_cases
from sdunet.cli.main import main

HOW = Seeding(cuts=6, per_image=3, radius=3, smallest=20)
COLOURS = DataConfig(channels=("red", "green", "blue"))


def vessels(channels=3, seed=0):
    """Four combs of two classes: image `(C, 72, 72)` and label `(1, 72, 72)`."""
    label = np.zeros((1, 72, 72), np.uint8)
    for row in range(6, 66, 16):
        label[:, row : row + 2, 4:68] = 1
        label[:, row : row + 10, 10:66:23] = 2
    noise = np.random.default_rng(seed).integers(150, 200, (channels, 72, 72))
    return np.where(label, 40, noise).astype(np.uint8), label


def distances(place):
    rows, columns = np.indices((72, 72))
    return np.hypot(rows - place[0], columns - place[1])


@pytest.fixture
def raw(tmp_path, write_picture):
    """A folder of three such images and their masks."""
    for number in range(3):
        image, label = vessels(seed=number)
        write_picture(tmp_path / f"raw/images/eye_{number}.png", np.moveaxis(image, 0, -1))
        write_picture(tmp_path / f"raw/masks/eye_{number}.png", (label[0] > 0).astype(np.uint8))
    return tmp_path / "raw"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_target_is_what_hangs_together_with_the_point(channels, seed):
    image, label = vessels(channels)
    how = Seeding(HOW.cuts, HOW.per_image, HOW.radius, HOW.smallest, seed)
    made = seeded_cases(Scan(image), Scan(label), "eye", how)
    assert [case.id for case in made] == ["eye_seed_0", "eye_seed_1", "eye_seed_2"]
    cuts = np.array(made[0].cuts)
    apart = np.linalg.norm(cuts[:, None] - cuts, axis=-1)
    assert len(cuts) == 6
    assert apart[~np.eye(6, dtype=bool)].min() >= 4 * HOW.radius
    within = np.any([distances(cut) <= HOW.radius for cut in cuts], axis=0)
    numbered, _ = ndimage.label((label[0] > 0) & ~within, np.ones((3, 3)))
    for case in made:
        target = case.label.array[0]
        assert numbered[case.point]
        assert target.sum() >= HOW.smallest
        assert np.array_equal(target, numbered == numbered[case.point])
        assert np.array_equal(case.image.array[-1] == 255, distances(case.point) <= 3)
        assert set(np.unique(case.image.array[-1])) == {0, 255}
    assert np.max(sum(case.label.array for case in made)) == 1


def test_cuts_show_in_the_image_and_nothing_else_changes():
    image, label = vessels()
    case = seeded_cases(Scan(image), Scan(label), "eye", HOW)[0]
    shown, within = case.image.array[:-1], np.zeros((72, 72), bool)
    for cut in case.cuts:
        hole = distances(cut) <= HOW.radius
        within |= hole
        beside = image[:, (distances(cut) <= 3 * HOW.radius) & (label[0] == 0)]
        for channel, values in zip(shown, beside, strict=True):
            assert set(channel[hole & (label[0] > 0)]) == {np.sort(values)[(len(values) - 1) // 2]}
    assert np.array_equal(shown[:, ~within], image[:, ~within])


@pytest.mark.parametrize("to", ["folders", "monai", "nnunet"])
def test_the_same_number_gives_the_same_bytes_and_another_others(raw, tmp_path, to):
    def files(name, seed):
        how = Seeding(HOW.cuts, HOW.per_image, HOW.radius, HOW.smallest, seed)
        _, _, problems = convert(raw, tmp_path / name, COLOURS, to, seeding=how)
        assert not problems
        found = (tmp_path / name).rglob("*.png")
        return {path.relative_to(tmp_path / name): path.read_bytes() for path in found}

    first = files("first", 0)
    assert len(first) == 3 * 3 * 5  # images, cases, channels and label
    assert files("again", 0) == first
    assert files("other", 1) != first


def test_written_cases_are_read_and_no_fold_divides_an_image(raw, tmp_path):
    asked = ["convert", str(raw), "-o", str(tmp_path / "out"), "--seeded", "--seeded-cuts", "6"]
    asked += ["--seeds-per-image", "3", "--cut-radius", "3", "--smallest-part", "20"]
    assert main([*asked, "--dataset.channels", "[red, green, blue]"]) == 0
    checked = check(tmp_path / "out", DataConfig())
    assert {(f.level, f.code) for f in checked.findings} <= {("note", "LBL_DUST")}
    assert checked.rules.channels == ("red", "green", "blue", "seed")
    assert checked.rules.labels == {"background": 0, "target": 1}
    assert checked.groups == {f"eye_{i}_seed_{k}": f"eye_{i}" for i in range(3) for k in range(3)}
    for fold in make_folds(checked.groups, 3, 0):
        assert not {i[:5] for i in fold["train"]} & {i[:5] for i in fold["val"]}
    for case in checked.layout.cases:
        image, label = vessels(seed=int(case.id[4]))
        want = {c.id: c for c in seeded_cases(Scan(image), Scan(label), case.id[:5], HOW)}[case.id]
        got = read_case_image(open_tree(tmp_path / "out"), case)
        assert np.array_equal(got.array, want.image.array)
        told = json.loads((tmp_path / "out/seeds.json").read_text())["images"][case.id[:5]]
        assert tuple(told["points"][case.id]) == want.point
        assert tuple(map(tuple, told["cuts"])) == want.cuts


def test_groups_that_the_user_names_stay_together(raw, tmp_path):
    config = DataConfig(channels=COLOURS.channels, group_pattern="(eye)_[01]|eye_2()")
    with pytest.raises(DataError, match="SPLIT_PATTERN"):
        convert(raw, tmp_path / "out", config, seeding=HOW)
    config = DataConfig(channels=COLOURS.channels, group_pattern="(eye)")
    convert(raw, tmp_path / "out", config, seeding=HOW)
    with (tmp_path / "out/cases.csv").open() as file:
        assert {row["group"] for row in csv.DictReader(file)} == {"eye"}


def test_fewer_parts_or_cuts_than_asked_for_are_told(raw, tmp_path):
    how = Seeding(cuts=1000, per_image=99, radius=3, smallest=30)
    _, checked, _ = convert(raw, tmp_path / "out", COLOURS, seeding=how)
    told = [f.found for f in checked.findings if f.code == "SEED_FEW"]
    assert told == [
        "3 of 3 images have no room for 1000 cuts",
        "3 of 3 images have fewer than 99 parts of 30 pixels, and so fewer cases",
    ]


@pytest.mark.parametrize(
    ("image", "label", "code"),
    [
        (Scan(np.zeros((1, 9, 9, 9)), np.eye(4)), Scan(np.ones((1, 9, 9, 9)), np.eye(4)), "IMAGE"),
        (Scan(np.zeros((1, 9, 9))), Scan(np.zeros((1, 9, 9), np.uint8)), "NONE"),
        (Scan(np.zeros((1, 9, 9))), Scan(np.eye(9, dtype=np.uint8)[None]), "NONE"),
    ],
    ids=("volume", "no foreground", "too small"),
)
def test_what_cannot_be_seeded_is_named(image, label, code):
    with pytest.raises(DataError) as raised:
        seeded_cases(image, label, "x", Seeding(cuts=0, smallest=10))
    assert raised.value.code == f"SEED_{code}"


def test_a_label_that_covers_all_and_a_square_without_skeleton_can_be_seeded():
    image = Scan(np.zeros((1, 9, 9), np.float32))
    square = np.zeros((1, 9, 9), np.uint8)
    square[:, 4:6, 4:6] = 1
    for label in (np.ones((1, 9, 9), np.uint8), square):
        (case,) = seeded_cases(image, Scan(label), "x", Seeding(cuts=1, radius=1, smallest=1))[:1]
        assert case.label.array[0][case.point]
        assert case.image.array[-1].max() == 1


def test_a_seeded_set_is_converted_as_it_is_and_seeded_no_more(raw, tmp_path):
    convert(raw, tmp_path / "out", COLOURS, seeding=HOW)
    before = check(tmp_path / "out", DataConfig())
    with pytest.raises(DataError, match="SEED_IMAGE"):
        convert(tmp_path / "out", tmp_path / "more", DataConfig(), seeding=HOW)
    for to in ("folders", "monai", "nnunet"):  # of 2D images with four channels
        convert(tmp_path / "out", tmp_path / to, DataConfig(), to)
        after = check(tmp_path / to, DataConfig())
        assert {i: f.pixels_sha256 for i, f in after.facts.items()} == {
            i: f.pixels_sha256 for i, f in before.facts.items()
        }
        assert after.rules.channels == before.rules.channels
        assert to == "nnunet" or after.groups == before.groups


def test_options_of_seeding_need_it_and_images_need_labels(raw, tmp_path, capsys):
    asked = ["convert", str(raw), "-o", str(tmp_path / "out")]
    assert main([*asked, "--cut-radius", "3"]) == 1
    assert "OPTION: --cut-radius without --seeded" in capsys.readouterr().err
    (raw / "masks/eye_1.png").unlink()
    _, _, problems = convert(raw, tmp_path / "out", COLOURS, seeding=HOW)
    assert [(p.code, p.case) for p in problems] == [("PAIR_NO_LABEL", "eye_1")]
    assert len(find_layout(open_tree(tmp_path / "out")).cases) == 6
