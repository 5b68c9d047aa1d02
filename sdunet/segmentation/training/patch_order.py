"""Which patches make up each step, and the seed that each is drawn from."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

Drawn = tuple[int, int]  # number of a case, and the seed its patch is drawn from


class PatchOrder(Sampler[list[Drawn]]):
    """Which patches make up each step of an epoch, from a step on.

    Args:
        cases: number of cases.
        repeats: patches of each case in an epoch.
        batch_size: patches of each rank in a step, at most what an epoch has for each; what is left
            over after the last whole step is not seen in this epoch.
        seed: of order and patches.
        steps_done: says how many steps all epochs together have had.
        rank: of this process.
        ranks: number of processes, which share the patches of a step.
    """

    def __init__(
        self,
        cases: int,
        repeats: int,
        batch_size: int,
        seed: int,
        steps_done: Callable[[], int] = lambda: 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.cases = cases
        self.patches = cases * repeats
        self.batch_size = max(1, min(batch_size, self.patches // ranks))
        self.seed = seed
        self.steps_done = steps_done
        self.rank = rank
        self.ranks = ranks

    def __len__(self) -> int:
        return max(1, self.patches // (self.batch_size * self.ranks))

    def __iter__(self) -> Iterator[list[Drawn]]:
        epoch, first = divmod(self.steps_done(), len(self))
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(self.patches) % self.cases
        seeds = random.integers(0, 2**32, self.patches)
        for step in range(first, len(self)):
            start = (step * self.ranks + self.rank) * self.batch_size
            mine = [place % self.patches for place in range(start, start + self.batch_size)]
            yield [(int(order[i]), int(seeds[i])) for i in mine]
