"""Train one step of each configuration on random images of its shape; print time and memory."""

import argparse
import resource
import time
from dataclasses import replace

import torch

from sdunet.ops import keep_freed_memory
from sdunet.runs.parser import Parser
from sdunet.vae.cli import add_config, config_of
from sdunet.vae.model import build_vae, count_parameters
from sdunet.vae.module import VAEModule

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("configs", nargs="+", metavar="CONFIG")
arguments.add_argument("--batch", type=int, default=2)
options = arguments.parse_args()
keep_freed_memory()
for path in options.configs:
    parser = Parser()
    add_config(parser)
    config = config_of(parser.instantiate(parser.parse_args(["--config", path])))
    config = replace(config, training=replace(config.training, batch_size=options.batch))
    torch.manual_seed(config.training.seed)
    started = time.monotonic()
    module = VAEModule(build_vae(config), config)
    images = config.images
    shape = (options.batch, images.channels, *images.size)
    batch = torch.randint(0, images.levels, shape, dtype=torch.uint8)
    optimizer = module.configure_optimizers()
    built = time.monotonic()
    terms = module.network(batch)
    loss = terms.objective(config.training.free_bits)
    loss.backward()
    optimizer.step()
    module.average.update_parameters(module.network)
    gibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    bits = -terms.elbo.mean().item() / module.nats_per_bit
    print(
        f"{path}: {count_parameters(module.network)['total'] / 1e6:.1f} M parameters, "
        f"{bits:.2f} bits/dim at first, built in {built - started:.0f} s, step of "
        f"{options.batch} in {time.monotonic() - built:.0f} s, peak so far {gibibytes:.1f} GiB",
        flush=True,
    )
    if not torch.isfinite(loss):
        raise SystemExit(f"{path}: the loss is {loss.item()}")
    del module, optimizer, terms, loss
