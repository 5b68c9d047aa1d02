"""What is asked for of cases with a marked point."""

from dataclasses import dataclass

from data_prep.core.values.numbers import Count, CountFrom0, Seed


@dataclass(frozen=True)
class Seeding:
    """How cases with a marked point are made of 2D images, see `data_prep.seeded`.

    Args:
        cuts: the most cuts of each image.
        per_image: the most cases of each image, each of another part.
        radius: of a cut, in pixels.
        smallest: pixels of the smallest part that is marked.
        seed: of all that is drawn.
    """

    cuts: CountFrom0 = 60
    per_image: Count = 4
    radius: Count = 6
    smallest: Count = 1000
    seed: Seed = 0
