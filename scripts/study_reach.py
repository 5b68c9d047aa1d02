"""How far does a sweep reach before it has learnt anything, and how soon does it learn to carry?

Prints two Markdown tables, for both cells and both initialisations, in images and volumes: the
gradient of a line with respect to the first one, and the steps until one sweep carries a sign over
60 cells.

python scripts/study_reach.py
"""

import argparse
import statistics
from collections import deque
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from sdunet.cells import build_cell
from sdunet.layers import SDNLayer
from sdunet.runtime.tables import markdown

CELLS = [("gru", "published"), ("gru", "reach"), ("carry", "published"), ("carry", "reach")]
FEATURES = (8, 16, 32, 150, 360)
LINES = (4, 8, 16, 32, 64)
# Cells of a line, by the number of axes.
LINE = {2: (16,), 3: (6, 6)}
# The map that is swept to the right; the dot lies in its first column.
MAP = {2: (6, 64), 3: (3, 3, 64)}
DISTANCE, NOISE, BATCH, ENOUGH = 60, 0.3, 32, 0.97


def reach(cell: str, init: str, features: int, spatial_dims: int, seed: int) -> list[float]:
    """Return the norm of the gradient that `LINES` send to line 0, over that of line 1."""
    torch.manual_seed(seed)
    made = build_cell(cell, init, features, spatial_dims)
    lines = max(LINES) + 1
    x = torch.tanh(torch.randn(2, lines, *LINE[spatial_dims], features)).requires_grad_()
    y = made.sweep(x, reverse=False, backend="auto")
    cotangent = torch.randn_like(y[:, 0])
    norms = {}
    for t in (1, *LINES):
        (grad,) = torch.autograd.grad((y[:, t] * cotangent).sum(), x, retain_graph=True)
        norms[t] = grad[:, 0].norm().item()
    return [norms[t] / norms[1] for t in LINES]


def steps_to_carry(
    cell: str, init: str, spatial_dims: int, seed: int, rate: float, most: int
) -> int | None:
    """Train one sweep to say, 60 cells away, the sign of a dot; return the steps it takes.

    Learnt is what 97 % of the answers of the last 20 steps have right, so 20 is the fewest.
    """
    torch.manual_seed(seed)
    layer = SDNLayer(
        *(1, 1, 16), directions=("right",), spatial_dims=spatial_dims, cell=cell, init=init
    )
    optimizer = torch.optim.AdamW(layer.parameters(), rate)
    right = deque(maxlen=20)
    for step in range(1, most + 1):
        x = NOISE * torch.randn(BATCH, 1, *MAP[spatial_dims])
        sign = torch.randint(0, 2, x.shape[:-1]).float()
        x[..., 0] += 2 * sign - 1
        answer = layer(x)[..., DISTANCE]
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(answer, sign).backward()
        nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        optimizer.step()
        right.append(((answer > 0) == (sign > 0)).float().mean().item())
        if len(right) == right.maxlen and statistics.mean(right) >= ENOUGH:
            return step
    return None


def reach_table(features: Sequence[int], seeds: Sequence[int]) -> str:
    """Return the gradients of each cell, initialisation and size, means over seeds."""
    rows = []
    for cell, init in CELLS:
        for dims in (2, 3):
            for width in features:
                found = [reach(cell, init, width, dims, seed) for seed in seeds]
                means = [f"{statistics.mean(values):.2g}" for values in zip(*found, strict=True)]
                rows.append([cell, init, f"{dims}D", str(width), *means])
    return markdown(["cell", "init", "map", "F", *(f"line {t}" for t in LINES)], rows)


def carry_table(seeds: Sequence[int], rate: float, most: int) -> str:
    """Return the steps of each cell and initialisation, seed by seed."""
    rows = []
    for cell, init in CELLS:
        for dims in (2, 3):
            found = [steps_to_carry(cell, init, dims, seed, rate, most) for seed in seeds]
            rows.append(
                [cell, init, f"{dims}D", " ".join("no" if n is None else str(n) for n in found)]
            )
    return markdown(["cell", "init", "map", f"steps, learning rate {rate:g}"], rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", nargs="+", type=int, default=FEATURES)
    parser.add_argument("--seeds", nargs="+", type=int, default=range(5))
    parser.add_argument("--rates", nargs="+", type=float, default=[5e-3, 2e-3])
    parser.add_argument("--steps", type=int, default=300, help="after which a run has failed")
    asked = parser.parse_args(arguments)
    print(reach_table(asked.features, asked.seeds))
    for rate in asked.rates:
        print(carry_table(asked.seeds, rate, asked.steps))


if __name__ == "__main__":
    main()
