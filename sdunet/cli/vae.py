"""The commands `sdunet vae ...`: parse, call, print."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse
import numpy as np
import torch
from jsonargparse.typing import PositiveFloat, PositiveInt

from data_prep.core.config import NumberFrom0, Seed
from data_prep.core.errors import DataError
from data_prep.files.atomic import write_bytes, write_json
from data_prep.files.hashed_json import write_hashed
from data_prep.files.output_folder import own_folder
from sdunet.cli.parser import Parser
from sdunet.cli.spellings import add_old_position
from sdunet.runtime.device import choose_device
from sdunet.runtime.run_record import RunRecord, bar, tell
from sdunet.vae.config import VAEConfig

if TYPE_CHECKING:  # commands import what they run, so that help does not wait for it
    from sdunet.vae.data.packed import Packed
    from sdunet.vae.model import Model


def describe_vae(parser: Parser) -> None:
    """Density estimation: VAEs whose decoder sweeps, and their convolutional twins."""
    commands = parser.add_subcommands(dest="action", required=True)
    for name, (describe, _) in _COMMANDS.items():
        sub = Parser(allow_abbrev=False, print_config="--print-config")
        commands.add_subcommand(name, sub, help=describe.__doc__)
        describe(sub)
        add_old_position(sub, f"vae {name}")


def run_vae(options: jsonargparse.Namespace) -> int:
    """Run the chosen command and return the exit status."""
    return _COMMANDS[options.action][1](getattr(options, options.action))


def _describe_prepare(parser: Parser) -> None:
    """Pack an image set into memory-mapped arrays with checksums."""
    from sdunet.vae.data.sources import SOURCES

    parser.add_argument("SOURCE", help="file or folder of images; for digits and factors any word")
    parser.add_argument("-o", "--out", help="folder for the packed set (required)")
    parser.add_argument("--kind", choices=["auto", *SOURCES], default="auto")
    parser.add_argument("--name", help="name of the set, as in tables; default: its kind's")
    parser.add_argument(
        "--max-ram",
        type=PositiveFloat,
        metavar="GB",
        help="memory that files held whole may take; default: what there is",
    )


def _prepare(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.data.packed import pack
    from sdunet.vae.data.sources import read_source

    raw = read_source(options.SOURCE, options.kind, options.name, options.max_ram)
    packed = pack(raw, options.out, progress=bar)
    counts = ", ".join(f"{split} {packed.images(split).shape[0]}" for split in packed.splits)
    height, width = packed.size
    tell(
        f"{packed.name}: {counts} images of {packed.channels} x {height} x {width}, "
        f"{packed.levels} levels, packed in {options.out}"
    )
    return 0


def _describe_train(parser: Parser) -> None:
    """Train a VAE on a packed image set."""
    parser.add_argument("--data", required=True, help="packed image set")
    parser.add_argument("-o", "--out", required=True, help="folder for the run")
    parser.add_argument("--resume", action="store_true", help="resume where the run stopped")
    add_config(parser)


def _train(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.training.train import train

    bits = train(config_of(options), options.data, options.out, resume=options.resume)
    judged = "not judged" if math.isnan(bits) else f"-ELBO of the test images {bits:.4f} bits/dim"
    tell(f"{judged}, model in {options.out}")
    return 0


def _describe_evaluate(parser: Parser) -> None:
    """Measure -ELBO and likelihood in bits a dimension, rates by layer, active units."""
    _add_model(parser, data=True)
    parser.add_argument("--samples", type=int, default=1, help="importance samples an image")
    parser.add_argument("--split", choices=["train", "test"], default="test")
    parser.add_argument("--limit", type=PositiveInt, help="only so many images")
    parser.add_argument("--batch-size", type=int, default=64)


def _evaluate(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.data.packed import load_packed
    from sdunet.vae.evaluation.evaluate import evaluate
    from sdunet.vae.evaluation.published import EVALUATION
    from sdunet.vae.model import count_parameters

    model = _model(options)
    for name in ("samples", "limit", "batch_size"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise DataError("OPTION", f"--{name} is {getattr(options, name)}", "give 1 or more")
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
    found["data"] = model.data_name
    found["parameters"] = count_parameters(model.network)["total"]
    write_hashed(Path(options.model) / EVALUATION, found | {"run": record.facts})
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


def _describe_sample(parser: Parser) -> None:
    """Draw images from the model, a grid for each temperature."""
    _add_model(parser)
    parser.add_argument("-o", "--out", required=True, help="folder for the pictures")
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0], help="from 0 on")
    parser.add_argument("--count", type=PositiveInt, default=25)
    parser.add_argument("--pixels", action="store_true", help="draw pixels too, not their mode")


def _sample(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.samples import sample

    model = _model(options)
    names = [f"{temperature:g}" for temperature in options.temperature]
    if len(set(names)) < len(names):
        raise DataError("OPTION", f"--temperature {' '.join(names)}", "give each of them once")
    for temperature in options.temperature:
        if not 0 <= temperature < float("inf"):
            raise DataError("OPTION", f"--temperature is {temperature}", "give 0 or more")
        torch.manual_seed(options.seed)
        images = sample(
            model.network, options.count, temperature=temperature, pixels=options.pixels
        )
        kind = "pixels" if options.pixels else "samples"
        _write(options.out, f"{kind}_{temperature:g}.png", images, model)
    return 0


def _describe_interpolate(parser: Parser) -> None:
    """Walk between pairs of test images through latent space."""
    _add_model(parser, data=True)
    parser.add_argument("-o", "--out", required=True, help="folder for the picture")
    parser.add_argument("--pairs", type=PositiveInt, default=4, help="rows of the picture")
    parser.add_argument("--steps", type=PositiveInt, default=7, help="images between two")
    parser.add_argument("--layers", type=PositiveInt, help="only the top so many; others drawn")
    parser.add_argument("--temperature", type=NumberFrom0, default=0.7, help="of the drawn layers")


def _interpolate(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.samples import interpolate

    model = _model(options)
    ends = _some_images(options, model, 2 * options.pairs)
    torch.manual_seed(options.seed)
    rows = []
    for pair in ends.split(2):
        try:
            between = interpolate(
                model.network,
                pair,
                options.steps,
                layers=options.layers,
                temperature=options.temperature,
            )
        except ValueError as error:
            raise DataError("OPTION", str(error), "change --layers") from error
        rows += [pair[:1], between, pair[1:]]
    name = "all" if options.layers is None else f"top_{options.layers}"
    images = torch.cat(rows)
    _write(options.out, f"interpolation_{name}.png", images, model, options.steps + 2)
    return 0


def _describe_reconstruct(parser: Parser) -> None:
    """Show test images above what the model makes of their latents."""
    _add_model(parser, data=True)
    parser.add_argument("-o", "--out", required=True, help="folder for the picture")
    parser.add_argument("--count", type=PositiveInt, default=10)


def _reconstruct(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.samples import reconstruct

    model = _model(options)
    images = _some_images(options, model, options.count)
    torch.manual_seed(options.seed)
    both = torch.cat([images, reconstruct(model.network, images).to(images)])
    _write(options.out, "reconstructions.png", both, model, len(images))
    return 0


def _describe_neighbours(parser: Parser) -> None:
    """Show samples beside the training images nearest to them: is it copying?"""
    _add_model(parser, data=True)
    parser.add_argument("-o", "--out", required=True, help="folder for the picture")
    parser.add_argument("--count", type=PositiveInt, default=5, help="samples, one a row")
    parser.add_argument("--neighbours", type=PositiveInt, default=5)
    parser.add_argument("--temperature", type=NumberFrom0, default=1.0)


def _neighbours(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.data.packed import load_packed
    from sdunet.vae.evaluation.samples import nearest, sample

    model = _model(options)
    torch.manual_seed(options.seed)
    images = sample(model.network, options.count, temperature=options.temperature).cpu()
    stored = _checked(model, load_packed(options.data))
    merge = stored.levels // model.config.images.levels
    train = stored.images("train")
    found = nearest(images, train, options.neighbours, merge=merge, progress=bar)
    rows = [
        torch.cat([image[None], torch.from_numpy(np.stack([train[i] // merge for i in indices]))])
        for image, indices in zip(images, found, strict=True)
    ]
    _write(options.out, "neighbours.png", torch.cat(rows), model, 1 + found.shape[1])
    return 0


def _describe_traverse(parser: Parser) -> None:
    """Change one latent at a time, from -3 to 3 (model: vanilla)."""
    _add_model(parser, data=True)
    parser.add_argument("-o", "--out", required=True, help="folder for the picture")


def _traverse(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.samples import traverse

    model = _model(options)
    try:
        images = traverse(model.network, _some_images(options, model, 1))
    except ValueError as error:
        raise DataError("MODEL_KIND", str(error), "train one with model: vanilla") from error
    _write(options.out, "traversal.png", images, model, 7)
    return 0


def _describe_disentangle(parser: Parser) -> None:
    """Score how the latents separate known factors: FactorVAE and beta-VAE metrics."""
    _add_model(parser, data=True)


def _disentangle(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.data.packed import load_packed
    from sdunet.vae.evaluation.disentanglement import beta_vae_score, factor_vae_score

    model = _model(options)
    stored = _checked(model, load_packed(options.data))
    factors = stored.factors("train")
    merge = stored.levels // model.config.images.levels

    def encode(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(images) // merge).to(options.device)
            return model.network(x).latents[0].mean.flatten(1).cpu().numpy()

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
    """Print evaluated runs beside published figures."""
    parser.add_argument("RUNS", nargs="+", help="folders of evaluated runs of one data set")


def _table(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.published import table

    tell(*table(options.RUNS).splitlines())
    return 0


def _describe_info(parser: Parser) -> None:
    """Show parameters, sweeping scales and sequential steps of a model, without data."""
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


def _add_model(parser: Parser, *, data: bool = False) -> None:
    parser.add_argument("--model", required=True, help="folder of a run")
    if data:
        parser.add_argument("--data", required=True, help="the packed set it was trained on")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")
    parser.add_argument("--seed", type=Seed, default=0)


def _model(options: jsonargparse.Namespace) -> "Model":
    from sdunet.vae.model import load_model

    options.device = choose_device(options.device)
    return load_model(options.model, options.device)


def _checked(model: "Model", data: "Packed") -> "Packed":
    from sdunet.vae.model import check_images_fit, check_same_data

    check_images_fit(model.config.images, data)
    check_same_data(model, data)
    return data


def _some_images(options: jsonargparse.Namespace, model: "Model", count: int) -> torch.Tensor:
    """Return test images, or training images if there are no others, chosen by the seed."""
    from sdunet.vae.data.packed import PackedImages, load_packed

    data = _checked(model, load_packed(options.data))
    split = "test" if "test" in data.splits else "train"
    images = PackedImages(data.images(split), data.levels, model.config.images.levels)
    chosen = np.random.default_rng(options.seed).permutation(len(images))[:count]
    return torch.stack([images[int(i)] for i in chosen]).to(options.device)


def _write(
    out: str, name: str, images: torch.Tensor, model: "Model", columns: int | None = None
) -> None:
    from sdunet.vae.evaluation.samples import to_png

    path = Path(out) / name
    with own_folder(out, "vae pictures", [name]):
        write_bytes(path, to_png(images, model.config.images.levels, columns))
    tell(f"wrote {path}")


_COMMANDS = {
    "prepare": (_describe_prepare, _prepare),
    "train": (_describe_train, _train),
    "evaluate": (_describe_evaluate, _evaluate),
    "sample": (_describe_sample, _sample),
    "interpolate": (_describe_interpolate, _interpolate),
    "neighbours": (_describe_neighbours, _neighbours),
    "reconstruct": (_describe_reconstruct, _reconstruct),
    "traverse": (_describe_traverse, _traverse),
    "disentangle": (_describe_disentangle, _disentangle),
    "table": (_describe_table, _table),
    "info": (_describe_info, _info),
}
