"""Predictions of other tools are scored as what they show, or not at all."""

import json

import numpy as np
import pytest
from PIL import Image

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from sdunet.segmentation.evaluation.evaluate import evaluate

RED, GREEN, BLUE, BLACK, WHITE = (
    *((255, 0, 0), (0, 255, 0), (0, 0, 255)),
    *((0, 0, 0), (255, 255, 255)),
)
CONFIG = DataConfig(labels={"background": 0, "a": 1, "b": 2})
LABEL = np.kron([[0, 1], [2, 0]], np.ones((6, 6))).astype(np.uint8)


def save(folder, indices, colours):
    """Masks of three cases, whose numbers are shown in these colours."""
    folder.mkdir()
    for name in "xyz":
        picture = Image.fromarray(indices, "P")
        picture.putpalette(sum(colours, ()))
        picture.save(folder / f"{name}.png")
    return folder


@pytest.fixture
def references(tmp_path):
    return save(tmp_path / "references", LABEL, (BLACK, RED, GREEN))


@pytest.mark.parametrize(
    ("colours", "of_index"),
    [
        ((BLACK, GREEN, RED), [0, 2, 1]),
        ((RED, BLACK, GREEN), [1, 0, 2]),
        ((GREEN, RED, BLACK), [2, 1, 0]),
    ],
)
def test_palettes_that_show_one_class_as_another_are_refused(
    references, tmp_path, colours, of_index
):
    predictions = save(tmp_path / "predictions", np.take(of_index, LABEL).astype(np.uint8), colours)
    assert np.array_equal(*(np.array(Image.open(folder / "x.png").convert("RGB"))
                            for folder in (references, predictions)))  # fmt: skip
    with pytest.raises(DataError, match=r"LBL_MIXED: palettes show #.* in the references and"):
        evaluate(predictions, references, tmp_path / "out", config=CONFIG)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("colours", [(BLACK, RED, GREEN), (BLACK, BLUE, WHITE), (BLACK, RED, BLUE)])
def test_other_colours_of_the_same_classes_change_nothing(references, tmp_path, colours):
    predictions = save(tmp_path / "predictions", LABEL, colours)
    summary, problems = evaluate(predictions, references, tmp_path / "out", config=CONFIG)
    assert not problems
    assert [summary["mean"][name]["Dice"] for name in "12"] == [1, 1]


def test_probabilities_that_nnunet_leaves_beside_labels_are_no_second_prediction(
    references, tmp_path
):
    predictions = save(tmp_path / "predictions", LABEL, (BLACK, RED, GREEN))
    for name in "xyz":
        np.savez(predictions / f"{name}.npz", probabilities=np.zeros((3, 12, 12), np.float16))
        (predictions / f"{name}.pkl").write_bytes(b"x")
    summary, problems = evaluate(predictions, references, tmp_path / "out", config=CONFIG)
    assert not problems
    assert summary["n_cases"] == 3


@pytest.mark.parametrize("nested", [False, True])
def test_a_description_beside_references_is_held_to_the_settings(references, tmp_path, nested):
    root = references
    if nested:
        root = tmp_path / "set"
        save(tmp_path / "grey", LABEL * 40, (BLACK,) * 256)
        root.mkdir()
        references.rename(root / "masks")
        (tmp_path / "grey").rename(root / "images")
    text = {"labels": {"background": 0, "b": 1, "a": 2}}
    (root / "dataset.json").write_text(json.dumps(text))
    predictions = save(tmp_path / "predictions", LABEL, (BLACK, RED, GREEN))
    with pytest.raises(DataError, match=r"LBL_CLASSES: .*dataset.json beside the references"):
        evaluate(predictions, root, tmp_path / "out", config=CONFIG)


def drawn(folder, *masks):
    folder.mkdir()
    for name, values in zip("xyz", masks, strict=True):
        mask = np.repeat(np.array(values, np.uint8), 6)[None].repeat(12, 0)
        Image.fromarray(mask).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize(
    ("predicted", "dice"),
    [
        (((0, 255), (0, 255), (0, 0)), 1.0),
        (((255, 0), (0, 0), (0, 0)), 0.0),
        (((0, 0), (0, 0), (0, 0)), 0.0),
        (((0, 1), (0, 1), (0, 0)), 1.0),
        (((0, 1), (1, 0), (0, 0)), 0.5),
        (((0, 254), (0, 255), (0, 0)), None),
        (((0, 2), (0, 0), (0, 0)), None),
        (((0, 1), (1, 255), (0, 0)), None),
    ],
)
def test_two_folders_of_0_and_255_alone_need_no_settings(tmp_path, capsys, predicted, dice):
    references = drawn(tmp_path / "references", (0, 255), (0, 255), (0, 0))
    predictions = drawn(tmp_path / "predictions", *predicted)
    summary, problems = evaluate(predictions, references, tmp_path / "out")
    told = "LBL_BINARY: references hold 0 and 255 alone" in capsys.readouterr().err
    assert told == (dice is not None)
    if dice is None:
        assert {error.code for error in problems} == {"LBL_UNKNOWN"}
    else:
        assert not problems
        assert summary["mean"]["1"]["Dice"] == dice
