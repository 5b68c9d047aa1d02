"""Samples of a pixel besides its colours: alpha, which is no channel, or what has no meaning."""

import tifffile

from data_prep.core.errors import DataError

_COLOURS = {"RGB": 3, "YCBCR": 3}
_CALLED = ("unspecified", "associated alpha", "unassociated alpha")  # by their numbers in the tag
_GREY_CHANNELS = 3


def check_extra_samples(page: tifffile.TiffPage) -> None:
    """Refuse samples that would be taken for others: only one, the last, may be alpha.

    Three grey samples of which no one is alpha are three channels.

    Raises:
        DataError: IMG_CHANNELS.
    """
    # Tifffile gives a number where it knows no name.
    colours = _COLOURS.get(getattr(page.photometric, "name", ""), 1)
    extra = page.samplesperpixel - colours
    kinds = [int(kind) for kind in page.extrasamples or ()]
    alpha = [kind for kind in kinds if kind]
    if extra == 0 and not kinds:
        return
    last_is_alpha = extra == 1 and len(kinds) <= 1 and (alpha or colours > 1)
    channels = colours == 1 and page.samplesperpixel == _GREY_CHANNELS and not alpha
    if last_is_alpha or channels:
        return
    named = ", ".join(_CALLED[kind] if kind < len(_CALLED) else str(kind) for kind in kinds)
    raise DataError(
        "IMG_CHANNELS",
        f"{page.samplesperpixel} samples a pixel, extra ones are {named or 'unspecified'}",
        "save the image as grey values or RGB, a file a channel",
    )
