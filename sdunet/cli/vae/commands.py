"""The commands `sdunet vae ...`: parse, call, print."""

import json
import math
from pathlib import Path

import jsonargparse
import numpy as np
import torch

from data_prep.core.errors import DataError
from data_prep.core.values.numbers import PositiveNumber, Steps
from data_prep.files.atomic import write_json
from data_prep.files.output_folder import check_output
from sdunet.cli.options import Command, accepted, add_vae, same_images, vae_of
from sdunet.cli.parser import Parser, add_command
from sdunet.cli.spellings import add_old_position
from sdunet.cli.vae import samples
from sdunet.runtime.device import check_environment
from sdunet.runtime.run_record import RunRecord, bar, say, tell
from sdunet.runtime.torch_errors import memory_errors, not_finite
from sdunet.vae.config import VAEConfig


def describe_vae(parser: Parser) -> None:
    """Density estimation: VAEs whose decoders sweep, and their convolutional twins."""
    commands = parser.add_subcommands(dest="action", required=True)
    for name, (describe, _) in _COMMANDS.items():
        add_old_position(add_command(commands, name, describe), f"vae {name}")


def run_vae(options: jsonargparse.Namespace) -> int:
    """Run the chosen command and return the exit status."""
    smaller = _SMALLER.get(options.action)
    fix = "close other programs" + f", or lower {smaller}" * bool(smaller)
    with memory_errors(fix):
        return _COMMANDS[options.action][1](getattr(options, options.action))


def _describe_prepare(parser: Parser) -> None:
    """Pack an image set into memory-mapped arrays with checksums.

    Example: sdunet vae prepare fashion-mnist -o packed
    """
    from sdunet.vae.data.sources import SOURCES

    parser.add_argument("SOURCE", help="file or folder of images; for digits and factors any word")
    parser.add_argument("-o", "--out", help="folder for the packed set (required)")
    parser.add_argument("--kind", choices=["auto", *SOURCES], default="auto")
    parser.add_argument("--name", help="name of the set, as in tables; default: its kind's")
    parser.add_argument(
        "--max-ram",
        type=PositiveNumber,
        metavar="GB",
        help="memory that files held whole may take; default: what there is",
    )


def _prepare(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.data.packed import pack
    from sdunet.vae.data.sources import read_source

    made = options.kind in ("digits", "factors")  # whose source is any word
    check_output(options.out, *([] if made else [options.SOURCE]))
    raw = read_source(options.SOURCE, options.kind, options.name, options.max_ram)
    packed = pack(raw, options.out, progress=bar)
    for finding in (*raw.findings, *raw.turned(), *packed.findings()):
        say(str(finding))
    counts = ", ".join(f"{split} {packed.images(split).shape[0]}" for split in packed.splits)
    height, width = packed.size
    tell(
        f"{packed.name}: {counts} images of {packed.channels} x {height} x {width}, "
        f"{packed.levels} levels, packed in {options.out}"
    )
    return 0


def _describe_train(parser: Parser) -> None:
    """Train a VAE on a packed image set.

    Example: sdunet vae train --config configs/vae/fashion_sdn.yaml --data packed -o run
    """
    parser.add_argument("--data", required=True, help="packed image set")
    parser.add_argument("-o", "--out", required=True, help="folder for the run")
    parser.add_argument("--resume", action="store_true", help="resume where the run stopped")
    add_config(parser)


def _train(options: jsonargparse.Namespace) -> int:
    check_environment()
    from sdunet.vae.training.train import train

    bits = train(config_of(options), options.data, options.out, resume=options.resume)
    judged = "not judged" if math.isnan(bits) else f"-ELBO of the test images {bits:.4f} bits/dim"
    tell(f"{judged}, model in {options.out}")
    return 0


def _describe_evaluate(parser: Parser) -> None:
    """Measure -ELBO and likelihood in bits a dimension, rates by layer, active units.

    Example: sdunet vae evaluate --model run --data packed
    """
    add_vae(parser, data=True)
    parser.add_argument("--samples", type=int, default=1, help="importance samples an image")
    parser.add_argument("--split", choices=["train", "test", "validation"], default="test")
    parser.add_argument("--limit", type=Steps, help="only so many images")
    parser.add_argument("--batch-size", type=int, default=64)


def _evaluate(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.data.packed import load_packed
    from sdunet.vae.evaluation.evaluate import evaluate
    from sdunet.vae.evaluation.published import evaluation_of, save_evaluation
    from sdunet.vae.model import count_parameters, doubts_of, weights_sha256

    model = vae_of(options)
    for name in ("samples", "limit", "batch_size"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            found = f"--{name.replace('_', '-')} is {getattr(options, name)}"
            raise DataError("OPTION", found, "give 1 or more")
    record = RunRecord("vae evaluate", options.device)
    found = evaluate(
        model,
        load_packed(options.data),
        split=options.split,
        samples=options.samples,
        batch_size=options.batch_size,
        limit=options.limit,
        seed=options.seed,
        progress=bar,
    )
    found["doubts"] = sorted(doubts_of(model, accepted(options)))
    found["data"] = model.data_name
    found["parameters"] = count_parameters(model.network)["total"]
    found["weights_sha256"] = weights_sha256(Path(options.model))
    if not save_evaluation(Path(options.model), found | {"run": record.facts}):
        name = evaluation_of(options.split)
        say(f"{name} tells of more images than these {found['n']}: it stays as it is")
    for name, title in (("negative_elbo", "-ELBO"), ("nll", "NLL"), ("distortion", "distortion")):
        value = found[name]
        error = value["bits_per_dim_standard_error"]
        spread = "" if error is None else f" ± {error:.4f}"
        draws = f", {options.samples} samples" if name == "nll" else ""
        tell(
            f"{title:<12}{value['bits_per_dim']:.4f}{spread} bits/dim, "
            f"{value['nats']:.2f} nats, n={value['n']}{draws}"
        )
    tell("layer (top first)   rate bits/dim   active units")
    for index, layer in enumerate(found["layers"]):
        shape = "x".join(map(str, layer["shape"]))
        tell(
            f"{index:>3} {shape:<16}{layer['rate_bits_per_dim']:>13.4f}"
            f"{layer['active_units']:>9} of {layer['units']}"
        )
    return 0


def _describe_disentangle(parser: Parser) -> None:
    """Score how the latents separate known factors: FactorVAE and beta-VAE metrics.

    Example: sdunet vae disentangle --model run --data packed
    """
    add_vae(parser, data=True)


def _disentangle(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.data.packed import load_packed
    from sdunet.vae.evaluation.disentanglement import beta_vae_score, factor_vae_score

    model = vae_of(options)
    stored = same_images(model, load_packed(options.data))
    factors = stored.factors("train")
    merge = stored.levels // model.config.images.levels

    def encode(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(images) // merge).to(options.device)
            means = model.network(x).latents[0].mean.flatten(1).cpu()
        if not torch.isfinite(means).all():
            raise not_finite("what the model encodes is not finite")
        return means.numpy()

    images = stored.images("train")
    scores = {
        "FactorVAE": factor_vae_score(encode, images, factors, seed=options.seed),
        "beta-VAE": beta_vae_score(encode, images, factors, seed=options.seed),
    }
    write_json(Path(options.model) / "disentanglement.json", scores)
    for name, score in scores.items():
        tell(f"{name:<12}{score:.4f}")
    return 0


def _describe_table(parser: Parser) -> None:
    """Print evaluated runs beside published figures.

    Example: sdunet vae table run_a run_b
    """
    parser.add_argument("RUNS", nargs="+", help="folders of evaluated runs of one data set")


def _table(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.published import table

    tell(*table(options.RUNS).splitlines())
    return 0


def _describe_info(parser: Parser) -> None:
    """Show parameters, sweeping scales and sequential steps of a model, without data.

    Example: sdunet vae info --config configs/vae/fashion_sdn.yaml
    """
    parser.add_argument("--json", action="store_true", help="for programs")
    add_config(parser)


def _info(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.info import describe

    facts = describe(config_of(options))
    if options.json:
        tell(*json.dumps(facts, indent=1).splitlines())
        return 0
    tell(f"parameters        {facts['parameters']['total']:,}")
    for part, count in facts["parameters"].items():
        if part != "total":
            tell(f"  {part:<16}{count:,}")
    scales = ", ".join(f"{s['scale']} ({s['features']} features)" for s in facts["sdn_scales"])
    tell(f"sweeping scales   {scales or 'none'}")
    tell(f"sequential steps  {facts['sequential_steps']} lines a decode")
    return 0


def add_config(parser: Parser) -> None:
    """Let a parser take a configuration, from a file and by dotted options."""
    parser.add_argument("--config", action="config", help="YAML file of the model")
    parser.add_class_arguments(VAEConfig, None)


def config_of(options: jsonargparse.Namespace) -> VAEConfig:
    """Return the configuration that was parsed."""
    names = ("images", "likelihood", "model", "ladder", "vanilla", "training")
    return VAEConfig(**{name: getattr(options, name) for name in names})


_SMALLER = {  # what takes less memory of each command when it is lowered
    "prepare": "--max-ram",
    "train": "training.batch_size or the sizes of the network",
    "evaluate": "--batch-size",
    "info": "the sizes of the network",
    **samples.SMALLER,
}
_COMMANDS: dict[str, Command] = {
    "prepare": (_describe_prepare, _prepare),
    "train": (_describe_train, _train),
    "evaluate": (_describe_evaluate, _evaluate),
    **samples.COMMANDS,
    "disentangle": (_describe_disentangle, _disentangle),
    "table": (_describe_table, _table),
    "info": (_describe_info, _info),
}
