"""Masks that ImageJ shows in colours of its own are held to one set of them, as palettes are."""

import io

import numpy as np
import pytest
import tifffile
from bad_sets import mask, picture, png

from data_prep.checks.run import check
from data_prep.core.config import DataConfig

GREYS = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
STRETCHED = np.minimum(GREYS.astype(int) * 128, 255).astype(np.uint8)  # a contrast of few numbers
INVERTED = GREYS[:, ::-1]


def colours(*shown):
    lut = np.zeros((3, 256), np.uint8)
    lut[:, 1 : len(shown) + 1] = np.array(shown).T
    return lut


RED_GREEN = colours((255, 0, 0), (0, 255, 0))
GREEN_RED = colours((0, 255, 0), (255, 0, 0))


def imagej(array, lut):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, imagej=True, metadata={"LUTs": [lut]})
    return buffer.getvalue()


def refused(written, luts, label_map=None, invert=False, make=imagej):
    files = {}
    for n, lut in enumerate(luts):
        array = mask(255 if label_map else 1)
        if not label_map:
            array[:4, :4] = 2
        array[0, n] = array.max()
        array = 255 - array if invert and lut is INVERTED else array
        files[f"images/{n}.png"] = png(picture(n))
        files[f"masks/{n}.tif"] = make(array, lut)
    labels = {"background": 0, "a": 1} if label_map else {"background": 0, "a": 1, "b": 2}
    checked = check(written(files), DataConfig(labels=labels, label_map=label_map or {}))
    return [(error.code, error.case) for error in checked.errors]


@pytest.mark.parametrize("luts", [(RED_GREEN, RED_GREEN, GREEN_RED)])
def test_a_mask_of_other_colours_than_its_set_is_refused(written, luts):
    assert refused(written, luts) == [("LBL_MIXED", "2")]


def test_an_inverted_mask_among_others_is_refused(written):
    found = refused(written, (GREYS, GREYS, INVERTED), {255: 1}, invert=True)
    assert found == [("LBL_MIXED", "2")]


@pytest.mark.parametrize(
    "luts",
    [
        (RED_GREEN,) * 3,
        (GREYS, STRETCHED, GREYS),
        (INVERTED,) * 3,
        (GREYS, RED_GREEN, RED_GREEN),
    ],
    ids=("coloured alike", "contrasts", "inverted alike", "grey among coloured"),
)
def test_colours_that_contradict_nothing_are_silent(written, luts):
    assert not refused(written, luts)


def test_numbers_of_16_bits_have_no_colours(written):
    def make(array, lut):
        return imagej(array.astype(np.uint16), lut)

    assert not refused(written, (RED_GREEN, GREEN_RED, RED_GREEN), make=make)
