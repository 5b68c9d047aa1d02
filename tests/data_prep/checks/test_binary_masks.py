"""255 is taken for the foreground only where it can be nothing else."""

import numpy as np
import pytest

from data_prep.checks.binary_masks import are_binary, as_binary, binary_note
from data_prep.checks.run import check
from data_prep.core.config import DataConfig

MASKS = {"a": (0, 255), "b": (0, 255), "c": (0,)}


@pytest.fixture
def raw(tmp_path, write_picture):
    """Maker of a set of pictures whose masks hold the given values, in blocks."""

    def make(masks):
        random = np.random.default_rng(0)
        for name, values in masks.items():
            mask = np.repeat(np.array(values, np.uint8), 12)[None].repeat(12, 0)
            picture = random.integers(0, 200, mask.shape, np.uint8)
            write_picture(tmp_path / f"set/images/{name}.png", picture)
            write_picture(tmp_path / f"set/masks/{name}.png", mask)
        return tmp_path / "set"

    return make


@pytest.mark.parametrize(
    ("masks", "binary"),
    [
        (MASKS, True),
        (MASKS | {"d": (0, 1)}, False),
        (MASKS | {"d": (0, 1, 255)}, False),
        (MASKS | {"d": (0, 128, 255)}, False),
        (MASKS | {"d": (0, 254)}, False),
        (dict.fromkeys("abc", (0, 128)), False),
        (dict.fromkeys("abc", (0, 1)), False),
        (dict.fromkeys("abc", (0,)), False),
    ],
)
def test_only_masks_of_0_and_255_alone_are_binary(raw, masks, binary):
    root = raw(masks)
    mapped = as_binary(DataConfig(), check(root, DataConfig()))
    assert binary == (mapped is not None and are_binary(again := check(root, mapped)))
    if binary:
        assert mapped.label_map == {255: 1}
        assert [again.facts[name].voxels for name in "ac"] == [[144, 144], [144, 0]]
        assert "of 3 cases hold 0 and 255 alone" in binary_note(again).found


@pytest.mark.parametrize(
    "config",
    [
        DataConfig(labels={"background": 0, "cell": 1}),
        DataConfig(label_map={128: 1}),
        DataConfig(structures={"cell": 1}),
    ],
)
def test_where_somebody_said_what_classes_are_nothing_is_guessed(raw, config):
    assert as_binary(config, check(raw(MASKS), config)) is None
