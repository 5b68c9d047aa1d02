"""The page about a prepared dataset: complete, by itself, without a word of a header."""

import base64
import io
import re
import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest
from bad_sets import Series, Volumes, blob, gz, nifti, noise
from PIL import Image

from data_prep.core.config import DataConfig
from data_prep.prepared.prepare import prepare
from data_prep.prepared.report import REPORT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page about volumes with one bad case and a case of a dangerous name."""
    root = tmp_path_factory.mktemp("report")
    planted = Volumes(root / "raw")
    planted.image(gz(nifti(noise()))[:-9])
    for folder, array in (("images", noise(7)), ("labels", blob())):
        image = nib.Nifti1Image(array, np.diag([1.5, 2.0, 3.0, 1.0]))
        image.header["descrip"] = b"DOE^JOHN 1970"
        planted.write(f"{folder}/<script>alert(1)<&.nii.gz", gz(image.to_bytes()))
    prepare(root / "raw", root / "out", DataConfig(channels=("CT",)))
    return root / "out" / REPORT


def test_page_names_every_case_finding_and_choice(page):
    text = page.read_text()
    for part in ("good_0", "IO_TRUNCATED", "CT_NOT_HU", "fetch or export the file again"):
        assert part in text
    assert "channels called CT" in text
    assert "4 cases prepared, 1 left out" in text
    assert len(re.findall(r"<figure>", text)) == 4


def test_page_needs_nothing_else_and_runs_nothing(page):
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;&amp;" in text
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', text)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_pictures_of_the_page_are_the_thumbnails(page):
    encoded = re.findall(r'alt="good_0" src="data:image/png;base64,([^"]+)"', page.read_text())
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded[0]))))
    np.testing.assert_array_equal(shown, np.asarray(Image.open(page.parent / "good_0.png")))


def test_nothing_of_a_header_is_in_what_is_written(page, tmp_path):
    Series(tmp_path / "raw")
    prepare(tmp_path / "raw", tmp_path / "out", DataConfig(**Series.config))
    for root, words in (
        (page.parents[1], [b"DOE^JOHN"]),
        (tmp_path / "out", [b"PATIENT-", b"1.2.3.64"]),
    ):
        for path in root.rglob("*"):
            if path.suffix in (".json", ".html", ".npy"):
                content = path.read_bytes()
                assert not any(word in content for word in words), path


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed")
def test_a_browser_shows_the_page(page, tmp_path):
    shot = tmp_path / "shot.png"
    options = [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,1600"]
    run = [CHROMIUM, *QUIET, *options]
    subprocess.run([*run, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True,
                   timeout=120)  # fmt: skip
    dom = subprocess.run([*run, "--dump-dom", page.as_uri()], check=True, capture_output=True,
                         timeout=120, text=True).stdout  # fmt: skip
    assert dom.count("<figure>") == 4
    assert dom.count('<tr class="error">') == 1
    seen = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert seen.shape == (1600, 1200, 3)
    red = (seen[..., 0] > 150) & (seen[..., 1:].max(-1) < 90)  # errors, and outlines of labels
    blue = (seen[..., 2] > 150) & (seen[..., 0] < 80)  # histograms
    assert red.sum() > 100
    assert blue.sum() > 1000
