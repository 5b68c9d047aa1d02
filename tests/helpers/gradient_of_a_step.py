"""Train one step with plain gradients and write them: run by the test of several processes.

Noise is switched off, as each process draws its own.
"""

import sys
from pathlib import Path

import torch

from sdunet.runtime.safetensors_io import write_weights
from sdunet.vae.config import ImagesConfig, LadderConfig, TrainingConfig, VAEConfig
from sdunet.vae.models import ladder
from sdunet.vae.training.lightning_module import VAEModule
from sdunet.vae.training.train import train


def main(packed: str, out: Path, devices: int) -> None:
    ladder.draw_gaussian = lambda mean, log_var, temperature=1.0: mean
    clip = VAEModule.configure_gradient_clipping

    def keep(module, optimizer, **options):
        if module.trainer.is_global_zero:
            named = module.network.named_parameters()
            write_weights(out / "gradient.safetensors", {n: p.grad.clone() for n, p in named})
        clip(module, optimizer, **options)

    VAEModule.configure_gradient_clipping = keep
    config = VAEConfig(
        images=ImagesConfig(channels=1, size=(6, 8), levels=16),
        ladder=LadderConfig(
            depth=2, downsample_at=(0,), z_channels=2, h_channels=4, sdn_max_scale=8, sdn_features=3
        ),
        training=TrainingConfig(
            epochs=1,
            steps_per_epoch=1,
            batch_size=40 // devices,
            free_bits=0.0,
            device="cpu",
            devices=devices,
            workers=0,
        ),
    )
    torch.set_num_threads(1)
    train(config, packed, out)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
