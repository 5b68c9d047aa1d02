"""How long scores and pages take.

    python scripts/bench_review.py scores            512x512x300, five classes, against SciPy's
                                                     distance transforms of the same boxes
    python scripts/bench_review.py page REVIEW.html  in Chromium: opening, and steps of the slider

Medians; the two contenders of `scores` take turns. Needs the `test` extra and Chromium.
"""

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from scipy import ndimage

from sdunet.segmentation.metrics.case_scores import score_case
from sdunet.segmentation.metrics.surface import surface

_SIZE, _SPACING = (512, 512, 300), (0.8, 0.8, 1.5)
# Middle and radii in cells of each class, roughly as large as abdominal organs.
_ORGANS = (
    ((150, 200, 150), (90, 70, 80)),
    ((350, 200, 100), (60, 80, 60)),
    ((250, 350, 200), (100, 50, 40)),
    ((100, 400, 60), (40, 40, 50)),
    ((400, 400, 220), (50, 60, 60)),
)


def organs(shift: float) -> np.ndarray:
    """Return a label of ellipsoids, moved by some cells along every axis."""
    axes = np.ogrid[tuple(slice(n) for n in _SIZE)]
    label = np.zeros(_SIZE, np.uint8)
    for number, (middle, radii) in enumerate(_ORGANS, start=1):
        parts = zip(axes, middle, radii, strict=True)
        label[sum(((a - m - shift) / r) ** 2 for a, m, r in parts) < 1] = number
    return label


def transforms(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Return the seconds of the two distance transforms of each class, in the class's box."""
    total = 0.0
    for number in range(1, len(_ORGANS) + 1):
        (box,) = ndimage.find_objects((prediction == number) | (reference == number), 1)
        for label in (prediction, reference):
            outside = ~surface(label[box] == number)
            total += seconds(lambda: ndimage.distance_transform_edt(outside, sampling=_SPACING))  # noqa: B023
    return total


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def bench_scores(repeats: int) -> None:
    """Print the time of all scores beside that of the distance transforms."""
    prediction, reference = organs(2), organs(0)
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(seconds(lambda: score_case(prediction, reference, _SPACING, len(_ORGANS) + 1)))
        theirs.append(transforms(prediction, reference))
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"all scores {median(ours):.1f} s, distance transforms {median(theirs):.1f} s, "
          f"ratio {ratio:.2f}")  # fmt: skip


def bench_page(page: Path, repeats: int) -> None:
    """Print how long the page takes to open, and each step of the slider to be on the screen."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    # From the event until the frame after the one that the slice was drawn in.
    step = """async (z) => {
        const slider = document.getElementById("slice");
        const begun = performance.now();
        slider.value = z;
        slider.dispatchEvent(new Event("input"));
        while (document.body.dataset.slice !== String(z))
            await new Promise((done) => setTimeout(done, 0));
        const drawn = performance.now() - begun;
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        return [drawn, performance.now() - begun];
    }"""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opening = []
        for _ in range(repeats):
            tab = browser.new_page(viewport={"width": 1400, "height": 900})
            opening.append(
                seconds(lambda: (tab.goto(page.resolve().as_uri()),  # noqa: B023
                                 tab.wait_for_selector("body[data-slice]")))  # noqa: B023
            )  # fmt: skip
        last = int(tab.locator("#slice").get_attribute("max"))
        steps = [tab.evaluate(step, z) for z in range(last + 1)]
        cases = tab.locator("#cases li").count()
        browser.close()
    drawn, seen = np.array(steps).T
    print(f"{cases} cases: open with the first case drawn in {median(opening):.2f} s "
          f"(slowest {max(opening):.2f})")  # fmt: skip
    print(f"{len(steps)} steps of the slider: drawn within {np.median(drawn):.1f} ms (median), "
          f"{drawn.max():.1f} ms (slowest); two frames later {np.median(seen):.0f} ms")  # fmt: skip


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["scores", "page"])
    parser.add_argument("page", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.what == "scores":
        bench_scores(options.repeats)
    else:
        bench_page(options.page, options.repeats)


if __name__ == "__main__":
    main()
