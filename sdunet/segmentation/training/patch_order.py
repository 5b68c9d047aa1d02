"""Which patches make up each step, and the seed that each is drawn from."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

Drawn = tuple[int, int]  # number of a case, and the seed its patch is drawn from


class PatchOrder(Sampler[list[Drawn]]):
    """Which patches make up each step up to the next validation, from a step on.

    Args:
        cases: number of cases.
        repeats: patches of each case in an epoch.
        batch_size: patches of each rank in a step, at most what an epoch has for each; what is left
            over after the last whole step is not seen in this epoch.
        seed: of order and patches.
        steps_done: says how many steps all epochs together have had.
        rank: of this process.
        ranks: number of processes, which share the patches of a step.
        validate_every: steps between validations; 0 for those of an epoch.

    Attributes:
        epoch_steps: steps in which each patch of an epoch is seen once.
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
        validate_every: int = 0,
    ) -> None:
        self.cases = cases
        self.patches = cases * repeats
        self.batch_size = max(1, min(batch_size, self.patches // ranks))
        self.seed = seed
        self.steps_done = steps_done
        self.rank = rank
        self.ranks = ranks
        self.epoch_steps = max(1, self.patches // (self.batch_size * ranks))
        self.steps = validate_every or self.epoch_steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Drawn]]:
        done = self.steps_done()
        for number in range(done, done - done % self.steps + self.steps):
            epoch, step = divmod(number, self.epoch_steps)
            if number == done or not step:
                random = np.random.default_rng([self.seed, epoch])
                order = random.permutation(self.patches) % self.cases
                seeds = random.integers(0, 2**32, self.patches)
            start = (step * self.ranks + self.rank) * self.batch_size
            mine = [place % self.patches for place in range(start, start + self.batch_size)]
            yield [(int(order[i]), int(seeds[i])) for i in mine]
