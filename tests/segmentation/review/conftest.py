"""Pages about errors, open in a real browser."""

import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from review_page import CHROMIUM, CONFIG, HOSTILE, QUIET

from sdunet.segmentation.evaluation.compare_models import read_scores
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.review.compare_page import side_by_side
from sdunet.segmentation.review.overlay import overlay


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_nifti):
    """Pages about three volumes: one model, and two side by side."""
    root = tmp_path_factory.mktemp("page")
    random = np.random.default_rng(0)
    for name, shift in (("near", 1), ("far", 4), (HOSTILE, 2)):
        label = np.zeros((16, 14, 9), np.uint8)
        label[4:9, 4:9, 3:6] = 1
        label[10:12, 3:5, 2] = 2
        affine = np.diag([1.0, 2, 3, 1])
        image = (random.random(label.shape) * 50).astype(np.float32)
        write_nifti(root / f"raw/images/{name}.nii.gz", image, affine)
        write_nifti(root / f"raw/labels/{name}.nii.gz", label, affine)
        write_nifti(root / f"a/{name}.nii.gz", np.roll(label, shift, 0), affine)
        write_nifti(root / f"b/{name}.nii.gz", np.roll(label, shift - 1, 0), affine)
    raw = root / "raw"
    only = {"near", "far", HOSTILE}
    _, problems = overlay(raw, raw, root / "a", root / "one", only, CONFIG)
    assert not problems
    both = [root / "a", root / "b"]
    scores = [root / f"scores_{name}" for name in "ab"]
    for predictions, out in zip(both, scores, strict=True):
        evaluate(predictions, raw, out, only, CONFIG)
    scored, _ = read_scores(scores, ["A", "B"])
    _, problems = side_by_side(raw, raw, both, scored, root / "two", only, CONFIG)
    assert not problems
    return root


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        yield (chromium := driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *QUIET]
        ))  # fmt: skip
        chromium.close()


@pytest.fixture
def opened(browser, folder):
    """Opener of a page, which fails on any error, dialog or request beyond the disk."""
    troubles = []

    def open_page(name="one"):
        tab = browser.new_page(viewport={"width": 1300, "height": 850})
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("dialog", lambda dialog: troubles.append(dialog.message))
        tab.on(
            "request",
            lambda request: (
                request.url.startswith(("file:", "data:")) or troubles.append(request.url)
            ),
        )
        tab.goto((folder / name / "review.html").as_uri())
        tab.wait_for_selector("body[data-slice]")
        return tab

    yield open_page
    for context in browser.contexts:
        context.close()
    assert not troubles
