"""The commands that draw what a VAE has learned: `sample`, `interpolate` and their like."""

from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse
import numpy as np
import torch

from data_prep.core.errors import DataError
from data_prep.core.parse import read_bounded, usable
from data_prep.core.values.numbers import Count, NumberFrom0
from data_prep.files.atomic import write_bytes
from data_prep.files.hashed_json import parse_hashed, write_hashed
from data_prep.files.output_folder import own_folder
from sdunet.cli.options import PICTURES, Command, add_vae, same_images, vae_of
from sdunet.cli.parser import Parser
from sdunet.runtime.run_record import bar, tell

_RECORD = "pictures.json"  # which model drew them
_DISTANCES = 5  # copies of those of a block, with as many indices, while the nearest are chosen

if TYPE_CHECKING:  # commands import what they run, so that help does not wait for it
    from sdunet.vae.model import Model


def _describe_sample(parser: Parser) -> None:
    """Draw images from the model, a grid for each temperature.

    Example: sdunet vae sample --model run -o samples
    """
    add_vae(parser)
    parser.add_argument("-o", "--out", required=True, help="folder for the pictures")
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0], help="from 0 on")
    parser.add_argument("--count", type=Count, default=25)
    parser.add_argument("--pixels", action="store_true", help="draw pixels too, not their mode")


def _sample(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.samples import sample
    from sdunet.vae.evaluation.sheet import check_sheet

    model = vae_of(options)
    names = [f"{temperature:g}" for temperature in options.temperature]
    if len(set(names)) < len(names):
        raise DataError("OPTION", f"--temperature {' '.join(names)}", "give each of them once")
    check_sheet(model.config.images, options.count, fix=_lower("sample"))
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
    """Walk between pairs of test images through latent space.

    Example: sdunet vae interpolate --model run --data packed -o walk
    """
    add_vae(parser, data=True)
    parser.add_argument("-o", "--out", required=True, help="folder for the picture")
    parser.add_argument("--pairs", type=Count, default=4, help="rows of the picture")
    parser.add_argument("--steps", type=Count, default=7, help="images between two")
    parser.add_argument("--layers", type=Count, help="only the top so many; others drawn")
    parser.add_argument(
        "--temperature", type=NumberFrom0, help="of the drawn layers; default 0.7 with --layers"
    )


def _interpolate(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.samples import interpolate
    from sdunet.vae.evaluation.sheet import check_sheet

    if options.temperature is not None and options.layers is None:
        found = f"--temperature {options.temperature:g} changes nothing: no layer is drawn"
        raise DataError("OPTION", found, "give --layers, too, or leave it out")
    model = vae_of(options)
    count, columns = options.pairs * (options.steps + 2), options.steps + 2
    check_sheet(model.config.images, count, columns, fix=_lower("interpolate"))
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
                temperature=0.7 if options.temperature is None else options.temperature,
            )
        except ValueError as error:
            raise DataError("OPTION", str(error), "change --layers") from error
        rows += [pair[:1], between, pair[1:]]
    name = "all" if options.layers is None else f"top_{options.layers}"
    images = torch.cat(rows)
    _write(options.out, f"interpolation_{name}.png", images, model, options.steps + 2)
    return 0


def _describe_reconstruct(parser: Parser) -> None:
    """Show test images above what the model makes of their latents.

    Example: sdunet vae reconstruct --model run --data packed -o pictures
    """
    add_vae(parser, data=True)
    parser.add_argument("-o", "--out", required=True, help="folder for the picture")
    parser.add_argument("--count", type=Count, default=10)


def _reconstruct(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.samples import reconstruct
    from sdunet.vae.evaluation.sheet import check_sheet

    model = vae_of(options)
    count = options.count
    check_sheet(model.config.images, 2 * count, count, fix=_lower("reconstruct"))
    images = _some_images(options, model, options.count)
    torch.manual_seed(options.seed)
    both = torch.cat([images, reconstruct(model.network, images).to(images)])
    _write(options.out, "reconstructions.png", both, model, len(images))
    return 0


def _describe_neighbours(parser: Parser) -> None:
    """Show samples beside the training images nearest to them: is it copying?

    Example: sdunet vae neighbours --model run --data packed -o pictures
    """
    add_vae(parser, data=True)
    parser.add_argument("-o", "--out", required=True, help="folder for the picture")
    parser.add_argument("--count", type=Count, default=5, help="samples, one a row")
    parser.add_argument("--neighbours", type=Count, default=5)
    parser.add_argument("--temperature", type=NumberFrom0, default=1.0)


def _neighbours(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.data.packed import load_packed
    from sdunet.vae.evaluation.samples import BLOCK, nearest, sample
    from sdunet.vae.evaluation.sheet import check_sheet

    model = vae_of(options)
    columns = 1 + options.neighbours
    distances = options.count * (BLOCK + options.neighbours) * 8  # of a block, float64
    check_sheet(
        model.config.images,
        options.count * columns,
        columns,
        besides=_DISTANCES * distances,
        fix=_lower("neighbours"),
    )
    torch.manual_seed(options.seed)
    images = sample(model.network, options.count, temperature=options.temperature).cpu()
    stored = same_images(model, load_packed(options.data))
    merge = stored.levels // model.config.images.levels
    train = stored.images("train")
    _check_number(options.neighbours, "train", len(train))
    found = nearest(images, train, options.neighbours, merge=merge, progress=bar)
    rows = [
        torch.cat([image[None], torch.from_numpy(np.stack([train[i] // merge for i in indices]))])
        for image, indices in zip(images, found, strict=True)
    ]
    _write(options.out, "neighbours.png", torch.cat(rows), model, 1 + found.shape[1])
    return 0


def _describe_traverse(parser: Parser) -> None:
    """Change one latent at a time, from -3 to 3 (model: vanilla).

    Example: sdunet vae traverse --model run --data packed -o pictures
    """
    add_vae(parser, data=True)
    parser.add_argument("-o", "--out", required=True, help="folder for the picture")


def _traverse(options: jsonargparse.Namespace) -> int:
    from sdunet.vae.evaluation.samples import traverse

    model = vae_of(options)
    try:
        images = traverse(model.network, _some_images(options, model, 1))
    except ValueError as error:
        raise DataError("MODEL_KIND", str(error), "train one with model: vanilla") from error
    _write(options.out, "traversal.png", images, model, 7)
    return 0


def _some_images(options: jsonargparse.Namespace, model: "Model", count: int) -> torch.Tensor:
    """Return test images, or training images if there are no others, chosen by the seed.

    Raises:
        DataError: OPTION if there are not so many.
    """
    from sdunet.vae.data.packed import PackedImages, load_packed

    data = same_images(model, load_packed(options.data))
    split = "test" if "test" in data.splits else "train"
    images = PackedImages(data.images(split), data.levels, model.config.images.levels)
    _check_number(count, split, len(images))
    chosen = np.random.default_rng(options.seed).permutation(len(images))[:count]
    return torch.stack([images[int(i)] for i in chosen]).to(options.device)


def _lower(command: str) -> str:
    return f"lower {SMALLER[command]}"


def _check_number(asked: int, split: str, there: int) -> None:
    if asked > there:
        found = f"{asked} images of {split} are asked for, there are {there}"
        raise DataError("OPTION", found, "ask for fewer")


def _write(
    out: str, name: str, images: torch.Tensor, model: "Model", columns: int | None = None
) -> None:
    from sdunet.vae.evaluation.sheet import to_png
    from sdunet.vae.model import weights_sha256

    path, record = Path(out) / name, Path(out) / _RECORD
    drawn_by = {"weights_sha256": weights_sha256(model.root)}
    with own_folder(out, PICTURES, [name, _RECORD]) as output:
        with usable("MODEL_JSON", record, "give another folder"):
            same = record.is_file() and parse_hashed(read_bounded(record)) == drawn_by
        picture = to_png(images, model.config.images.levels, columns)
        if not same:
            output.remove_rest()  # pictures of another model, before there is one of this
        write_hashed(record, drawn_by)
        write_bytes(path, picture)
    tell(f"wrote {path}")


SMALLER = {  # what takes less memory of each command when it is lowered
    "sample": "--count",
    "interpolate": "--pairs or --steps",
    "reconstruct": "--count",
    "neighbours": "--count or --neighbours",
}
COMMANDS: dict[str, Command] = {
    "sample": (_describe_sample, _sample),
    "interpolate": (_describe_interpolate, _interpolate),
    "reconstruct": (_describe_reconstruct, _reconstruct),
    "neighbours": (_describe_neighbours, _neighbours),
    "traverse": (_describe_traverse, _traverse),
}
