"""What is seen of a page about errors in a real browser."""

import shutil

import pytest

from data_prep.core.config import DataConfig

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed")
HOSTILE = "<img src=x onerror=alert(1)>&'\"=1+1"
CONFIG = DataConfig(labels={"background": 0, "organ": 1, "<b>spot</b>": 2})
# What keeps a browser from looking outside.
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")


def shown(tab):
    """The slice and the case on the screen, once nothing moves any more."""
    tab.wait_for_timeout(150)
    return tab.evaluate("[Number(document.body.dataset.slice), document.body.dataset.case]")


def _places(tab, colour, canvas):
    """How many pixels of a canvas are near a colour in all channels, and their middle."""
    tab.wait_for_timeout(150)
    script = """([colour, n]) => {
        const canvas = document.querySelectorAll("canvas")[n];
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let [count, x, y] = [0, 0, 0];
        for (let i = 0; i < data.length; i += 4)
            if (colour.every((value, c) => Math.abs(data[i + c] - value) < 12)) {
                count++;
                x += (i / 4) % canvas.width;
                y += Math.floor(i / 4 / canvas.width);
            }
        return [count, [x / count, y / count]];
    }"""
    return tab.evaluate(script, [list(bytes.fromhex(colour[1:])), canvas])


def pixels_like(tab, colour, canvas=0):
    """How many pixels of a canvas are near a colour in all channels."""
    return _places(tab, colour, canvas)[0]


def middle_of(tab, colour, canvas=0):
    """The mean place, to the right and down, of the pixels near a colour."""
    return _places(tab, colour, canvas)[1]


def opaque(tab):
    tab.locator("#opacity").fill("100")
