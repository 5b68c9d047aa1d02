"""Time training steps of density configurations on random images of their shape, taking turns.

python scripts/step_density.py configs/vae/fashion_{sdn,cnn,cnn_matched}.yaml --steps 21
"""

import argparse
import os
import resource
import statistics
import time

from sdunet.runtime.threads import waiting_policy

os.environ.update(waiting_policy())  # before torch is imported

import torch

from sdunet.cli.parser import Parser
from sdunet.cli.vae.commands import add_config, config_of
from sdunet.ops import keep_freed_memory
from sdunet.vae.config import VAEConfig
from sdunet.vae.model import build_vae, count_parameters
from sdunet.vae.training.lightning_module import VAEModule


def load(path: str) -> VAEConfig:
    """Read a configuration."""
    parser = Parser()
    add_config(parser)
    return config_of(parser.instantiate(parser.parse_args(["--config", path])))


class Contender:
    """One configuration with its network, its images and the time its steps took."""

    def __init__(self, path: str, batch_size: int | None) -> None:
        self.path, config = path, load(path)
        torch.manual_seed(config.training.seed)
        self.module = VAEModule(build_vae(config), config)
        self.optimizer = self.module.configure_optimizers()
        self.training = config.training
        images = config.images
        shape = (batch_size or config.training.batch_size, images.channels, *images.size)
        self.batch = torch.randint(0, images.levels, shape, dtype=torch.uint8)
        self.seconds: list[float] = []

    def step(self) -> None:
        """Train one step."""
        started = time.perf_counter()
        self.optimizer.zero_grad()
        loss = self.module.network(self.batch).objective(self.training.free_bits)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.network.parameters(), self.training.clip)
        self.optimizer.step()
        self.module.average.update_parameters(self.module.network)
        if not torch.isfinite(loss):
            raise SystemExit(f"{self.path}: the loss is {loss.item()}")
        self.seconds.append(time.perf_counter() - started)


arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
arguments.add_argument("configs", nargs="+", metavar="CONFIG")
arguments.add_argument("--batch", type=int, help="images a step; default: as configured")
arguments.add_argument("--steps", type=int, default=1, help="the first is left out of several")
options = arguments.parse_args()
keep_freed_memory()
contenders = [Contender(path, options.batch) for path in options.configs]
for _ in range(options.steps):
    for contender in contenders:
        contender.step()
gibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
for contender in contenders:
    median = statistics.median(contender.seconds[1:] or contender.seconds)
    parameters = count_parameters(contender.module.network)["total"]
    print(
        f"{contender.path}: {parameters / 1e6:.3f} M parameters, "
        f"{median:.3g} s a step of {len(contender.batch)}",
        flush=True,
    )
print(f"peak memory {gibibytes:.1f} GiB")
