"""Cases in which context is far: a point marks one of the parts that cuts divide a label into.

Near a pixel nothing tells whether it belongs to the marked part, only the way to it from the point.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from skimage import measure
from skimage.morphology import skeletonize

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.core.scan import Scan
from data_prep.planning.seeding import Seeding

CHANNEL = "seed"  # that the image gains
LABELS = {"background": 0, "target": 1}
_MARK = 3  # pixels around the point that the channel shows
_RIM = 2  # pixels beside what is labelled that may show it, too: references are not that exact
_APART = 4  # radii from cut to cut
_BESIDE = 3  # radii in which the local background is taken


@dataclass(frozen=True)
class Seeded:
    """A case with a marked point.

    Attributes:
        id: that of the image with `_seed_0`, `_seed_1`, ...
        image: `(C + 1, H, W)`, the cuts painted over; the last channel is 0, and within 3 pixels
            of the point the largest number of the image's type (of real numbers 1).
        label: `(1, H, W)`, 1 where the part is that holds the point.
        point: row and column.
        cuts: row and column of the centre of each, those of all cases of the image.
    """

    id: str
    image: Scan
    label: Scan
    point: tuple[int, int]
    cuts: tuple[tuple[int, int], ...]


def seeded_cases(image: Scan, label: Scan, id_: str, how: Seeding) -> list[Seeded]:
    """Return cases of one image, each with a point and the part of the label that holds it.

    References of vessels and their like are nearly one connected component; so they are cut, in
    the image, too. Numbers are drawn from `numpy.random.default_rng([how.seed, *id_.encode()])`,
    in this order:

    1. All classes above 0 are the foreground; it is skeletonised (`skimage.morphology`).
    2. Cuts: pixels of the skeleton, row by row, are brought into a random order. Each is taken
       that has background within `radius`, so that a cut goes through, and lies 4 `radius` or more
       from all that were taken, until there are `cuts`.
    3. Within `radius` of a cut no foreground is left. In the image, what lies there and not more
       than 2 pixels from what was foreground gets the local background: of each channel the
       median (the lower one) of the background within 3 `radius`.
    4. Parts: connected components of what is left, also across corners, of `smallest` pixels or
       more, numbered row by row. Of a random order of them the first `per_image` are taken.
    5. In each, the point is a random pixel of those the skeleton of what is left has there.

    Args:
        image: 2D, without a place in the world.
        label: `(1, H, W)`, of the same size.
        id_: of the image.
        how: the numbers above.

    Raises:
        DataError: SEED_IMAGE for volumes and slices, SEED_NONE if no part is large enough.
    """
    if image.affine is not None:
        found = "a volume, or a slice that has a place"
        raise DataError("SEED_IMAGE", found, "give 2D images such as PNG")
    random = np.random.default_rng([how.seed, *id_.encode()])
    foreground = label.array[0] > 0
    cuts = _draw_cuts(foreground, how, random)
    shown, left = _cut(image.array, foreground, cuts, how.radius)
    numbered = measure.label(left, connectivity=2)
    sizes = np.bincount(numbered.ravel())[1:]
    parts = 1 + np.flatnonzero(sizes >= how.smallest)
    if not len(parts):
        found = f"the largest part of the label has {max(sizes, default=0)} pixels, "
        found += f"and {how.smallest} are asked for"
        fix = "ask for smaller parts or fewer cuts, or give another label"
        raise DataError("SEED_NONE", found, fix)
    skeleton = skeletonize(left)
    made = []
    for number, part in enumerate(random.permutation(parts)[: how.per_image]):
        target = numbered == part
        # A square of few pixels may leave no skeleton.
        places = np.argwhere(skeleton & target if (skeleton & target).any() else target)
        point = places[random.integers(len(places))]
        mark = _mark(left.shape, point, image.array.dtype)
        made.append(
            Seeded(
                f"{id_}_seed_{number}",
                image.holding(np.concatenate([shown, mark[None]])),
                label.holding(target[None].astype(np.uint8)),
                (int(point[0]), int(point[1])),
                tuple((int(row), int(column)) for row, column in cuts),
            )
        )
    return made


def points_of(cases: Sequence[Seeded]) -> dict[str, Any]:
    """Return the points and cuts of all cases of one image, as JSON has them."""
    return {"points": {case.id: case.point for case in cases}, "cuts": cases[0].cuts}


def fewer_made(images: Mapping[str, Mapping[str, Any]], how: Seeding) -> list[Finding]:
    """Return notes of images with fewer cuts or cases than asked for, if there are any.

    Args:
        images: what `points_of` returned of each.
        how: what was asked for.
    """
    cuts = sum(len(one["cuts"]) < how.cuts for one in images.values())
    parts = sum(len(one["points"]) < how.per_image for one in images.values())
    findings = Findings()
    if cuts:
        found = f"{cuts} of {len(images)} images have no room for {how.cuts} cuts"
        findings.note("SEED_FEW", found)
    if parts:
        found = f"{parts} of {len(images)} images have fewer than {how.per_image} parts"
        findings.note("SEED_FEW", f"{found} of {how.smallest} pixels, and so fewer cases")
    return findings.found


def _draw_cuts(foreground: np.ndarray, how: Seeding, random: np.random.Generator) -> np.ndarray:
    """Return the centres of cuts `(N, 2)`."""
    taken = np.empty((0, 2), int)
    if foreground.all():  # nothing to paint with
        return taken
    narrow = ndimage.distance_transform_edt(foreground) <= how.radius
    for place in random.permutation(np.argwhere(skeletonize(foreground))):
        if len(taken) == how.cuts:
            break
        far = np.linalg.norm(taken - place, axis=1) >= _APART * how.radius
        if narrow[tuple(place)] and far.all():
            taken = np.vstack([taken, place])
    return taken


def _cut(
    image: np.ndarray, foreground: np.ndarray, cuts: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image painted over and the foreground that is left."""
    shown, left = image.copy(), foreground.copy()
    seen = ndimage.distance_transform_edt(~foreground) <= _RIM
    for row, column in cuts:
        reach = _BESIDE * radius
        box = tuple(slice(max(0, centre - reach), centre + reach + 1) for centre in (row, column))
        far = _distances(foreground.shape, (row, column))[box]
        beside = image[:, *box][:, (far <= reach) & ~foreground[box]]
        middle = np.percentile(beside, 50, axis=1, method="lower", keepdims=True)
        shown[:, *box][:, (far <= radius) & seen[box]] = middle
        left[box][far <= radius] = False
    return shown, left


def _mark(size: tuple[int, ...], point: Sequence[int], dtype: np.dtype) -> np.ndarray:
    near = _distances(size, point) <= _MARK
    largest = np.iinfo(dtype).max if dtype.kind in "ui" else 1
    return np.where(near, largest, 0).astype(dtype)


def _distances(size: tuple[int, ...], place: Sequence[int]) -> np.ndarray:
    rows, columns = np.ogrid[: size[0], : size[1]]
    return np.hypot(rows - place[0], columns - place[1])
