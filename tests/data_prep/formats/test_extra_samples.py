"""Alpha is never a channel, whatever a TIFF calls it; samples of no known meaning are named."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.formats.images_2d import mask_samples, read_picture

VALUES = np.random.default_rng(0).integers(0, 255, (9, 8, 4)).astype(np.uint8)
VALUES[..., 3] = 255  # an opaque alpha, where it is one
KINDS = {"unspecified": 0, "associated": 1, "unassociated": 2}


def tiff(array, photometric, extra=()):
    buffer = io.BytesIO()
    kinds = [KINDS[name] for name in extra]
    options = {"extrasamples": kinds} if kinds else {}
    tifffile.imwrite(buffer, array, photometric=photometric, planarconfig="contig", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("read", [lambda d, f: read_picture(d, f).array, mask_samples])
@pytest.mark.parametrize("kind", KINDS)
def test_opaque_alpha_of_colours_is_dropped_and_another_one_refused(kind, read):
    findings = Findings()
    got = read(tiff(VALUES, "rgb", [kind]), findings)
    got = got if isinstance(got, np.ndarray) else np.moveaxis(got.array, -1, 0)
    np.testing.assert_array_equal(np.moveaxis(got, 0, -1), VALUES[..., :3])
    assert [f.code for f in findings.found] == ["IMG_OPAQUE"]
    hidden = VALUES.copy()
    hidden[2, 3, 3] = 7
    with pytest.raises(DataError, match="IMG_ALPHA"):
        read(tiff(hidden, "rgb", [kind]), Findings())


@pytest.mark.parametrize("kind", ["associated", "unassociated"])
def test_opaque_alpha_of_grey_is_dropped(kind):
    got = read_picture(tiff(VALUES[..., [0, 3]], "minisblack", [kind]))
    np.testing.assert_array_equal(got.array, VALUES[None, ..., 0])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_pillow_writes_is_read_as_pillow_reads_it(mode):
    buffer = io.BytesIO()
    image = Image.fromarray(VALUES[..., [0, 3]] if mode == "LA" else VALUES, mode)
    image.save(buffer, "TIFF")
    want = np.atleast_3d(np.asarray(image.convert(mode[:-1])))
    got = read_picture(buffer.getvalue()).array
    np.testing.assert_array_equal(np.moveaxis(got, 0, -1), want)


def test_three_grey_samples_are_three_channels():
    data = tiff(VALUES[..., :3], "minisblack", ["unspecified"] * 2)
    np.testing.assert_array_equal(read_picture(data).array, np.moveaxis(VALUES[..., :3], -1, 0))


@pytest.mark.parametrize(
    ("samples", "photometric", "extra"),
    [
        ([0, 1], "minisblack", ["unspecified"]),  # two channels
        ([0, 1, 3], "minisblack", ["unspecified", "unassociated"]),  # two, and alpha
        ([0, 1, 3], "minisblack", ["associated", "unspecified"]),
        ([0, 1, 2, 3], "minisblack", ["unspecified", "unspecified", "unassociated"]),
        ([0, 1, 2, 3, 3], "rgb", ["unassociated", "unspecified"]),
    ],
)
def test_samples_that_could_be_taken_for_others_are_refused(samples, photometric, extra):
    data = tiff(VALUES[..., samples], photometric, extra)
    for read in (read_picture, mask_samples):
        with pytest.raises(DataError, match=r"IMG_CHANNELS.*extra ones are "):
            read(data, Findings({"IMG_ALPHA"}))
