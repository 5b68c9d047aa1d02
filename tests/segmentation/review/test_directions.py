"""Letters at the sides of a volume in the page about errors: which way the patient lies."""

import math

import pytest
from review_page import in_browser, middle_of, opaque, shown

from sdunet.segmentation.review.error_map import COLOURS

RECORD_LETTERS = """() => {
    const draw = CanvasRenderingContext2D.prototype.fillText;
    window.letters = {};
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        if (text.length === 1) window.letters[text] = [x, y];
        draw.call(this, text, x, y);
    };
}"""


@in_browser
@pytest.mark.parametrize(
    ("key", "number", "near"),
    # A false positive of `far` lies right, posterior and inferior of the middle, alone there.
    [("a", 2, "RP"), ("c", 3, "RI"), ("s", 14, "PI")],
)
def test_what_lies_towards_a_side_is_seen_near_its_letter(opened, key, number, near):
    tab = opened()
    opaque(tab)
    tab.keyboard.press(key)
    tab.evaluate(RECORD_LETTERS)
    tab.locator("#slice").fill(str(number))
    assert shown(tab) == [number, "far"]
    letters = tab.evaluate("window.letters")
    spot = middle_of(tab, COLOURS["usual"][2])
    opposites = [pair for pair in ("RL", "AP", "SI") if pair[0] in letters]
    assert len(letters) == 4 == 2 * len(opposites)
    nearest = [min(pair, key=lambda side: math.dist(letters[side], spot)) for pair in opposites]
    assert "".join(nearest) == near
