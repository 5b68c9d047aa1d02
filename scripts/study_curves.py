"""Do sweeps trace curves better than other networks of their size? A study that can say no.

Images hold curves that never touch, one with a dot on its end; all of that curve is to be marked
(see curves.py). Trains each network at each learning rate and seed, writes one JSON a run into OUT
and passes over runs that are there. Networks are in curve_networks.py.

python scripts/study_curves.py OUT
python scripts/study_curves.py OUT --volumes
python scripts/study_curves.py --table OUT
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from sdunet.runtime.threads import waiting_policy

os.environ.update(waiting_policy())  # before torch is imported

import numpy as np
import torch
from curve_networks import NETWORKS, build, settings
from curve_tables import tables
from curves import make_curves
from monai.losses import DiceCELoss
from torch import Tensor, nn

from data_prep.files.atomic import write_json
from sdunet.nets.registry import count_parameters
from sdunet.ops import keep_freed_memory
from sdunet.runtime.run_record import bar, say, versions


@dataclass(frozen=True)
class Task:
    """What is traced, and how networks are trained for it.

    Attributes:
        size: of training and validation images.
        tests: sizes of the test images, by name.
        count: training images.
        share: training images per validation image, and per test image of each size.
        batch: images a step.
    """

    size: tuple[int, ...]
    tests: dict[str, tuple[int, ...]]
    count: int
    share: int
    batch: int


TASKS = {
    "images": Task((64, 64), {"64": (64, 64), "128": (128, 128)}, 2000, 10, 12),
    "volumes": Task((32, 48, 48), {"48": (32, 48, 48)}, 300, 5, 4),
}


# Radii, in sides, of which the best in validation is taken for what is near the dot.
NEAR = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8)


@dataclass(frozen=True)
class Set:
    """Images with their masks.

    Attributes:
        cells: images and masks as two channels, `(N, 2, *size)`.
        lengths: cells of each marked curve.
        dots: where the dots are, `(N, D)`.
    """

    cells: Tensor
    lengths: list[int]
    dots: Tensor


def load_sets(task: str, count: int, cache: Path) -> dict[str, Set]:
    """Return the sets "train", "validation" and each of the tests, made once and kept."""
    kind = TASKS[task]
    rest = max(1, count // kind.share)
    asked = {"train": (count, kind.size), "validation": (rest, kind.size)}
    asked |= {name: (rest, size) for name, size in kind.tests.items()}
    return {
        name: _load_set(cache / f"{task}_{name}_{number}.npz", number, size, seed)
        for seed, (name, (number, size)) in enumerate(asked.items())
    }


def _load_set(path: Path, count: int, size: tuple[int, ...], seed: int) -> Set:
    if not path.exists():
        say(f"making {path.name}")
        made = make_curves(count, size, seed=seed)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **vars(made))
        partial.rename(path)
    with np.load(path) as kept:
        cells = np.stack([kept["images"], kept["masks"].astype(np.float32)], axis=1)
        return Set(
            torch.from_numpy(cells), kept["lengths"].tolist(), torch.from_numpy(kept["dots"])
        )


def turned(cells: Tensor, random: np.random.Generator) -> Tensor:
    """Return each image flipped along some axes, its last two perhaps exchanged, by chance."""
    chances = torch.from_numpy(random.random((len(cells), cells.dim() - 1)) < 0.5).to(cells.device)
    pad = [1] * (cells.dim() - 1)
    for axis in range(2, cells.dim()):
        cells = torch.where(chances[:, axis - 2].reshape(-1, *pad), cells.flip(axis), cells)
    return torch.where(chances[:, -1].reshape(-1, *pad), cells.transpose(-1, -2), cells)


def train(
    network: nn.Module, cells: Tensor, *, steps: int, batch: int, rate: float, seed: int
) -> tuple[list[float], list[float]]:
    """Train and return the loss and the seconds of every step.

    Raises:
        FloatingPointError: when the loss is not finite any more.
    """
    random = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss_of = DiceCELoss(sigmoid=True)
    losses, seconds = [], []
    network.train()
    for step in bar(range(steps), "training"):
        started = time.perf_counter()
        chosen = random.choice(len(cells), min(batch, len(cells)), replace=False)
        image, mask = turned(cells[chosen], random).split(1, dim=1)
        loss = loss_of(network(image), mask)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if not np.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss of step {step} is {losses[-1]}")
        seconds.append(time.perf_counter() - started)
    return losses, seconds


def score(network: nn.Module, wanted: Set, batch: int) -> list[float]:
    """Return the Dice of each image."""
    network.eval()
    found, device = [], next(network.parameters()).device
    with torch.inference_mode():
        for cells in wanted.cells.split(batch):
            image, mask = cells.to(device).split(1, dim=1)
            found += dice(network(image) > 0, mask > 0)
    return found


def shortcuts(sets: dict[str, Set]) -> dict[str, dict[str, list]]:
    """Return the Dice of each image without tracing, and the marked curves' cells, by set.

    "every" marks all curves, "near" all that is within the best radius around the dot.
    """
    radius = max(NEAR, key=lambda radius: statistics.mean(near(sets["validation"], radius)))
    return {
        name: {"every": near(found, 2), "near": near(found, radius), "lengths": found.lengths}
        for name, found in sets.items()
        if name != "train"
    }


def near(wanted: Set, radius: float) -> list[float]:
    """Return the Dice of marking what of the curves is near the dot; the radius is in sides."""
    size, found = wanted.cells.shape[2:], []
    places = torch.cartesian_prod(*map(torch.arange, size)).reshape(*size, -1)
    for (image, mask), dot in zip(wanted.cells, wanted.dots, strict=True):
        inside = (places - dot).square().sum(-1) <= (radius * max(size)) ** 2
        curves = image > 0.5  # five deviations of the noise
        found += dice((curves & inside)[None], mask[None] > 0)
    return found


def dice(marked: Tensor, wanted: Tensor) -> list[float]:
    """Return the Dice of each image of boolean masks."""
    common, both = (x.flatten(1).sum(1) for x in (marked & wanted, marked.int() + wanted.int()))
    return [round(value, 5) for value in (2 * common / both).tolist()]


def run(sets: dict[str, Set], options: dict, device: str) -> dict:
    """Train and score one network; `options` are the settings that tell runs apart."""
    task, seed, rate = options["task"], options["seed"], options["rate"]
    torch.manual_seed(seed)
    network = build(options["network"], len(TASKS[task].size)).to(device)
    batch = TASKS[task].batch
    losses, seconds = train(
        network,
        sets["train"].cells.to(device),
        steps=options["steps"],
        batch=batch,
        rate=rate,
        seed=seed,
    )
    parts = np.array_split(losses, min(10, len(losses)))
    return {
        **options,
        "parameters": count_parameters(network),
        "losses": [round(float(part.mean()), 5) for part in parts],
        "seconds": round(sum(seconds), 2),
        "ms_per_step": round(1000 * statistics.median(seconds), 2),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "versions": versions(),
        "scores": {
            name: {"dice": score(network, found, batch)}
            for name, found in sets.items()
            if name != "train"
        },
    }


def done(path: Path, options: dict) -> bool:
    """Say whether a run is there.

    Raises:
        SystemExit: if it is there with other settings, which would spoil the tables.
    """
    if not path.exists():
        return False
    there = json.loads(path.read_text(encoding="utf-8"))
    asked = json.loads(json.dumps(options))  # which makes lists of tuples
    other = {key: there[key] for key in asked if there[key] != asked[key]}
    if other:
        raise SystemExit(f"{path.name} was run with {other}: name another folder")
    return True


def study(out: Path, asked: argparse.Namespace) -> int:
    """Do all runs that are not there, and return how many of them failed."""
    missing = {path: options for path, options in runs_of(out, asked) if not done(path, options)}
    if not missing:
        return 0
    sets = load_sets(*(next(iter(missing.values()))[key] for key in ("task", "count")), out)
    without, failed = shortcuts(sets), 0
    for path, options in missing.items():
        try:
            found = run(sets, options, asked.device)
        except FloatingPointError as error:
            say(f"{path.stem}: {error}")
            failed += 1
            continue
        for part, scores in found["scores"].items():
            scores.update(without[part])
        write_json(path, found)
        reached = statistics.mean(found["scores"]["validation"]["dice"])
        say(f"{path.stem}: {found['seconds']:.0f} s, validation Dice {reached:.4f}")
    return failed


def runs_of(out: Path, asked: argparse.Namespace) -> Iterator[tuple[Path, dict]]:
    """Give the file of each run that is asked for, and the settings that tell it from others."""
    task = "volumes" if asked.volumes else "images"
    count = asked.count or TASKS[task].count
    for seed, name, rate in product(asked.seeds, asked.networks, asked.rates):
        yield (
            out / f"{task}_{name}_rate_{rate:g}_seed_{seed}.json",
            {
                "task": task,
                "count": count,
                "steps": asked.steps,
                "network": name,
                "arguments": settings(name, len(TASKS[task].size)),
                "rate": rate,
                "seed": seed,
            },
        )


def network_name(name: str) -> str:
    """Return a network's name if there is one."""
    try:
        settings(name, 2)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", nargs="?", type=Path, help="folder of the runs")
    arguments.add_argument("--table", type=Path, metavar="OUT", help="print what runs reached")
    arguments.add_argument("--volumes", action="store_true", help="3D in place of 2D")
    arguments.add_argument(
        "--networks",
        nargs="+",
        type=network_name,
        default=NETWORKS,
        help=f"of {', '.join(NETWORKS)}, perhaps with changes, as sdunet_carry+1_group",
    )
    arguments.add_argument("--rates", nargs="+", type=float, default=[1e-3, 3e-3])
    arguments.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments.add_argument("--steps", type=int, default=3000)
    arguments.add_argument("--count", type=int, help="training images")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    return arguments


def main(arguments: list[str] | None = None) -> None:
    """Run the study, or print its tables."""
    asked = parser().parse_args(arguments)
    if asked.table:
        print(tables(asked.table))
        return
    if not asked.out:
        raise SystemExit("name a folder for the runs, or one to make tables of with --table")
    torch.set_num_threads(asked.threads)
    keep_freed_memory()
    asked.out.mkdir(parents=True, exist_ok=True)
    failed = study(asked.out, asked)
    if failed:
        raise SystemExit(f"{failed} runs failed: their loss was not finite")


if __name__ == "__main__":
    main()
