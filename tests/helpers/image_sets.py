"""Image sets made for tests, and what is read of them."""

import numpy as np
from PIL import Image

from sdunet.vae.data.raw import Images, RawImages

RNG = np.random.default_rng(0)


def some(*shape, high=256):
    return RNG.integers(0, high, shape).astype(np.uint8)


def whole(images):
    return np.concatenate(list(images.blocks()))


def save_pictures(folder, images):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03}.png")


def raw_of(train, levels=256, **splits):
    made = {
        name: Images(a.shape, lambda a=a: iter(np.array_split(a, 3)))
        for name, a in {"train": train, **splits}.items()
    }
    return RawImages("made", levels, made)


def assert_splits(raw, train, test):
    assert raw.splits["train"].shape == train.shape
    np.testing.assert_array_equal(whole(raw.splits["train"]), train)
    np.testing.assert_array_equal(whole(raw.splits["test"]), test)
