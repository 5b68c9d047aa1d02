"""What a file is called besides the words that say whether it is an image or a label."""

import re

from data_prep.layouts.folders.labels import OBSERVERS
from data_prep.layouts.words import LABEL_WORDS, without_part

_IMAGE_WORDS = ("image", "img", "scan", "volume", "vol", "orig", "original", "ct", "mr", "mri")
OBSERVER = re.compile(rf"(?<![a-z])({'|'.join(OBSERVERS)})[ _-]*[0-9]*(?![a-z0-9])")


def words_of_stem(text: str) -> list[str]:
    """Return the words of a name; those for images and labels without a number at their end."""
    words = []
    for word in re.split(r"[_\-. ]+", text.lower()):
        bare = word.rstrip("0123456789")
        known = bare != word and bare in LABEL_WORDS + _IMAGE_WORDS
        words += [bare, word[len(bare) :]] if known else [word]  # `img0001`, `label0001`
    return words


def key_of(text: str) -> str:
    """Return a stem without the words that say whether it is an image or a label."""
    return "_".join(w for w in words_of_stem(text) if w not in LABEL_WORDS + _IMAGE_WORDS)


def rest_of(text: str) -> str:
    """Return `21` of `21_training` and of `21_manual1`."""
    return without_part(key_of(OBSERVER.sub("", text.lower())))


def key_without_number(text: str) -> str | None:
    """Return the key of a stem that numbers several labels: of `x_mask_1`, that of `x_mask`."""
    *words, last = words_of_stem(text)
    numbered = last.isdecimal() and words and words[-1] in LABEL_WORDS
    return key_of("_".join(words)) if numbered else None
