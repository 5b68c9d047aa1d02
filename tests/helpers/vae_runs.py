"""A small VAE, as a configuration and as a command line, and images for it to learn."""

import json

import numpy as np

from sdunet.cli.main import main
from sdunet.vae.config import ImagesConfig, LadderConfig, TrainingConfig, VAEConfig

LADDER = LadderConfig(
    depth=2,
    downsample_at=(0,),
    z_channels=2,
    h_channels=4,
    context_channels=4,
    sdn_max_scale=8,
    sdn_features=3,
)


def config(ladder=LADDER, **training):
    training = {"epochs": 2, "batch_size": 8, "ema": 0.9, "device": "cpu"} | training
    images = ImagesConfig(channels=1, size=(6, 8), levels=16, flip=True)
    return VAEConfig(images=images, ladder=ladder, training=TrainingConfig(**training))


def arguments(chosen, *sections):
    """Spell out a configuration as a command line does."""
    return [
        f"--{section}.{name}={value if isinstance(value, str) else json.dumps(value)}"
        for section in sections
        for name, value in vars(getattr(chosen, section)).items()
    ]


def make_set(folder, seed=0, **splits):
    """Pack blurred noise: smooth enough to be learned."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, count in (splits or {"train": 40, "test": 12}).items():
        noise = rng.random((count, 8, 10))
        smooth = (noise[:, :-2, :-2] + noise[:, 1:-1, 1:-1] + noise[:, 2:, 2:]) / 3
        arrays[name] = (smooth * 255).astype(np.uint8)
    folder.mkdir(parents=True)
    np.savez(folder / f"made{seed}.npz", **arrays)
    out = str(folder / "packed")
    assert main(["vae", "prepare", str(folder / f"made{seed}.npz"), out]) == 0
    return out
