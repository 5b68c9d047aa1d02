"""How masks are stored is decided over the set, and every mask is held to it."""

import io

import numpy as np
import pytest
from bad_sets import Pictures, mask, palette, picture, png, tiff
from PIL import Image

from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig, MaskForm
from data_prep.core.findings import Findings
from data_prep.formats.mask_images import MaskLook, decide, read_picture_label
from data_prep.planning.plan_json import read_plan, write_plan
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.review.overlay import overlay

RED, WHITE = 0xFF0000, 0xFFFFFF
LABELS = {"background": 0, "a": 1, "b": 2}
COLOURS = DataConfig(labels=LABELS, label_map={RED: 1, WHITE: 2, 255: 1})
BLACK_FIRST, WHITE_FIRST = (0, 0, 0, 255, 255, 255), (255, 255, 255, 0, 0, 0)


def coloured(classes):
    """Classes 1 red and 2 white, as red, green and blue."""
    return png(np.array([[0, 0, 0], [255, 0, 0], [255, 255, 255]], np.uint8)[classes])


def classes(first=1, second=2):
    found = mask(first)
    found[:4, :4] = second
    return found


def bits(array, depth):
    """A grey PNG of few bits a pixel, whose largest number is white."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", bits=depth)
    return buffer.getvalue()


def one_bit(array):
    return png(array > 0)


class Masks(Pictures):
    """2D images whose masks are all made by `make` of class numbers."""

    def __init__(self, root, make):
        super().__init__(root)
        for name in ("good_0", "good_1", "good_2", "bad"):
            self.write(f"labels/{name}.png", make(classes()))


def labels_of(root, out, config):
    dataset, problems = prepare(root, out, config)
    return {id_: dataset.arrays(id_)[1][0] for id_ in dataset.cases}, problems


def test_mask_of_black_and_white_among_colours_is_the_class_of_white(tmp_path):
    planted = Masks(tmp_path / "raw", coloured)
    planted.label(coloured(mask(2)))  # 255 is another class, and not meant here
    labels, problems = labels_of(tmp_path / "raw", tmp_path / "out", COLOURS)
    assert not problems
    np.testing.assert_array_equal(labels["bad"], mask(2))
    assert load_dataset(tmp_path / "out").plan.form == MaskForm(True, {})


@pytest.mark.parametrize("to", ["folders", "nnunet"])
def test_converted_it_is_that_class_too(tmp_path, to):
    planted = Masks(tmp_path / "raw", coloured)
    planted.label(coloured(mask(2)))
    convert(tmp_path / "raw", tmp_path / "out", COLOURS, to)
    found = check(tmp_path / "out", DataConfig(labels=LABELS)).facts
    assert found["bad"].voxels == check(tmp_path / "raw", COLOURS).facts["bad"].voxels


DEVIATING = [
    ("grey among colours", coloured, png(mask(255)), "numbers; of its set most hold colours"),
    ("one bit among colours", coloured, one_bit(mask()), "numbers; of its set most hold colours"),
    ("indices among colours", coloured, palette(mask()), "numbers; of its set most hold colours"),
    ("colours among grey", png, coloured(classes()), "colours; of its set most hold numbers"),
    ("colours among tiff", lambda a: tiff(a, photometric="minisblack"), coloured(classes()),
     "colours; of its set most hold numbers"),
    ("colours among indices", lambda a: palette(a, (0, 0, 0, 255, 0, 0, 0, 255, 0)),
     coloured(classes()), "colours; of its set most hold numbers"),
    ("turned palette", lambda a: palette(np.minimum(a, 1), BLACK_FIRST),
     palette(1 - mask(), WHITE_FIRST), "index 0 is #ffffff, of its set in most #000000"),
    ("turned greys among bytes", png, palette(2 - classes(), (2, 2, 2, 1, 1, 1, 0, 0, 0)),
     "index 0 of its palette is shown as grey 2, which is a number of masks"),
    ("other colour", lambda a: palette(a, (0, 0, 0, 255, 0, 0, 0, 255, 0)),
     palette(classes(), (0, 0, 0, 0, 255, 0, 255, 0, 0)), "index 1 is #00ff00"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "other", "message"), [row[1:] for row in DEVIATING], ids=[row[0] for row in DEVIATING]
)
def test_mask_that_is_stored_otherwise_is_named(tmp_path, make, other, message):
    Masks(tmp_path, make).label(other)
    label_map = {RED: 1, WHITE: 1, 255: 1}
    checked = check(
        tmp_path, DataConfig(labels=LABELS, label_map=label_map, accept=("LBL_ABSENT",))
    )
    assert [(e.code, e.case) for e in checked.errors] == [("LBL_MIXED", "bad")], checked.findings
    assert message in checked.errors[0].found
    assert len(checked.facts) == 3


@pytest.mark.parametrize(
    ("stored", "label_map"),
    [
        (one_bit(mask()), {128: 1, 255: 2}),
        (bits(mask(), 2), {85: 2, 255: 1}),
        (bits(mask(15), 4), {255: 2, 15: 1}),
        (tiff(mask() > 0, photometric="minisblack"), {128: 1, 255: 2}),
        (palette(mask(), BLACK_FIRST), {128: 1, 255: 2}),
        (palette(mask(), BLACK_FIRST), {WHITE: 2}),
        (palette(mask(), (0, 0, 0, 255, 0, 0)), {RED: 2}),
        (palette(1 - mask(), WHITE_FIRST), {255: 1}),
    ],
)
def test_mask_that_is_shown_as_another_class_than_it_stores_is_named(tmp_path, stored, label_map):
    planted = Masks(tmp_path, lambda a: png(np.array([0, 128, 255], np.uint8)[a]))
    planted.label(stored, ".tif" if stored[:2] in (b"II", b"MM") else ".png")
    config = DataConfig(labels=LABELS, label_map={128: 1, 255: 2} | label_map)
    errors = [e for e in check(tmp_path, config).errors if e.case == "bad"]
    assert [e.code for e in errors] == ["LBL_MIXED"]
    assert "which label_map takes for class" in errors[0].found


GOOD = [
    ("empty grey among colours", coloured, png(mask(0)), {RED: 1, WHITE: 2}),
    ("empty one bit among colours", coloured, one_bit(mask(0)), {RED: 1, WHITE: 2}),
    ("grey three times among grey", png, png(np.stack([mask()] * 3, -1)), {}),
    ("one bit among bytes", png, one_bit(mask()), {}),
    ("one bit where white is that class", lambda a: png(np.minimum(a, 1) * 255), one_bit(mask()),
     {255: 1}),
    ("indices among bytes", png, palette(mask()), {}),
    ("greys that are indices among bytes", png, palette(mask(), (0, 0, 0, 1, 1, 1)), {}),
    ("white of index 1 among bytes", png, palette(mask(), BLACK_FIRST), {}),
    ("white of index 1 among white", lambda a: png(np.minimum(a, 1) * 255),
     palette(mask(), BLACK_FIRST), {255: 1}),
    ("longer palette", lambda a: palette(np.minimum(a, 1), BLACK_FIRST),
     palette(mask(), (*BLACK_FIRST, 0, 255, 0)), {}),
    ("another unused colour", lambda a: palette(np.minimum(a, 1), (*BLACK_FIRST, 1, 2, 3)),
     palette(mask(), (*BLACK_FIRST, 9, 9, 9)), {}),
    ("one colour twice in the palette", lambda a: palette(a, (*BLACK_FIRST, 255, 255, 255)),
     palette(mask(), (*BLACK_FIRST, 255, 255, 255)), {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "other", "label_map"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD]
)
def test_mask_that_means_the_same_is_used(tmp_path, make, other, label_map):
    Masks(tmp_path, make).label(other)
    config = DataConfig(labels=LABELS, label_map=label_map, accept=("LBL_ABSENT",))
    checked = check(tmp_path, config)
    assert "bad" in checked.facts, checked.findings
    assert len(checked.facts) == 4


@pytest.mark.parametrize("kind", ["colours", "palettes"])
def test_where_half_say_either_none_is_believed(tmp_path, kind):
    makes = {"colours": (png, coloured), "palettes": (
        lambda a: palette(np.minimum(a, 1), BLACK_FIRST),
        lambda a: palette(1 - np.minimum(a, 1), WHITE_FIRST),
    )}  # fmt: skip
    planted = Masks(tmp_path, makes[kind][0])
    for name in ("good_2", "bad"):
        planted.write(f"labels/{name}.png", makes[kind][1](classes()))
    errors = check(tmp_path, DataConfig(labels=LABELS, label_map={RED: 1, WHITE: 2})).errors
    assert [e.code for e in errors] == ["LBL_MIXED"] * 4


def test_masks_of_objects_are_held_to_one_palette(tmp_path):
    planted = Pictures(tmp_path / "none")
    for number, name in enumerate(("a", "b", "c")):
        planted.write(f"../raw/{name}/images/{name}.png", png(picture(number)))
        for piece in range(2):
            turned = (name, piece) == ("c", 1)
            cells = np.roll(mask(), piece)
            data = palette(1 - cells, WHITE_FIRST) if turned else palette(cells, BLACK_FIRST)
            planted.write(f"../raw/{name}/masks/{piece}.png", data)
    checked = check(tmp_path / "raw", DataConfig())
    assert checked.layout.name == "dsb2018"
    assert [(e.code, e.case) for e in checked.errors] == [("LBL_MIXED", "c")]


def test_a_plan_records_the_form_and_another_set_is_held_to_it(tmp_path):
    planted = Masks(tmp_path / "raw", coloured)
    dataset, _ = prepare(tmp_path / "raw", tmp_path / "out", COLOURS)
    write_plan(tmp_path / "plan.json", dataset.plan)
    plan = read_plan(tmp_path / "plan.json")
    assert plan.form == dataset.plan.form == MaskForm(True, {})
    for name in ("good_0", "good_1", "good_2", "bad"):  # all of them black and white
        planted.write(f"labels/{name}.png", coloured(mask(2)))
    accept = DataConfig(accept=("LBL_ABSENT",))
    dataset, _ = prepare(
        tmp_path / "raw", tmp_path / "again", accept, plan=plan.__class__(
            **{**vars(plan), "accept": ("LBL_ABSENT",)}
        ),
    )  # fmt: skip
    np.testing.assert_array_equal(dataset.arrays("bad")[1][0], mask(2))


def test_references_and_predictions_of_others_are_read_alike(tmp_path):
    planted = Masks(tmp_path / "raw", coloured)
    planted.label(coloured(mask(2)))
    for name in ("good_0", "good_1", "good_2"):
        planted.write(f"../pred/{name}.png", coloured(classes()))
    planted.write("../pred/bad.png", coloured(mask(2)))
    summary, problems = evaluate(
        tmp_path / "pred", tmp_path / "raw", tmp_path / "e", {"bad", "good_0"}, COLOURS
    )
    assert not problems
    assert summary["mean"]["2"]["Dice"] == 1
    _, problems = overlay(
        tmp_path / "raw", tmp_path / "raw", tmp_path / "pred", tmp_path / "o", config=COLOURS
    )
    assert not problems
    planted.write("../pred/bad.png", png(mask(255)))
    _, problems = evaluate(tmp_path / "pred", tmp_path / "raw", tmp_path / "e2", None, COLOURS)
    assert [(p.code, p.case) for p in problems] == [("LBL_MIXED", "bad")]


def test_the_recorded_form_decides_where_no_mask_tells():
    grey, either = MaskLook("numbers", False, {}), MaskLook("either", True, {})
    recorded = MaskForm(True, {1: RED})
    assert decide([either], recorded) == MaskForm(True, {1: RED})
    assert decide([either]).colours is False
    assert decide([grey, either], recorded).colours is False  # such as a converted set


@pytest.mark.parametrize(
    ("colours", "said"),
    [
        ((0, 0, 0, 255, 0, 0, 0, 255, 0), ""),
        ((0, 0, 0, 255, 0, 0, 255, 0, 0), "; 1, 2 are all #ff0000"),
        ((0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 255), ""),  # twice, and one of them is not used
    ],
)
def test_indices_of_one_colour_are_told(colours, said):
    findings = Findings()
    array = read_picture_label(palette(classes(), colours), findings).array
    np.testing.assert_array_equal(array[0], classes())
    assert [f"{f.level} {f.code}: {f.found}" for f in findings.found] == [
        f"note LBL_PALETTE: indices of the palette are the classes{said}"
    ]
