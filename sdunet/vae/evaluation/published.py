"""Measured bits a dimension beside published ones, each with its source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.parse import usable
from data_prep.core.safe_text import inert
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.files.written_files import is_there
from sdunet.runtime.run_record import check_results
from sdunet.runtime.tables import plain_markdown
from sdunet.vae.model import WEIGHTS, weights_sha256

EVALUATION = "evaluation.json"
_SLIDES = "slides of the SDN paper's authors"


@dataclass(frozen=True)
class Published:
    """One published figure: bits a dimension on the test images, lower is better."""

    data: str
    levels: int
    model: str
    bits: float
    source: str


def _rows(data: str, levels: int, source: str, figures: dict[str, float]) -> list[Published]:
    return [Published(data, levels, model, bits, source) for model, bits in figures.items()]


PUBLISHED = [
    *_rows(
        "cifar10",
        256,
        _SLIDES,
        {
            "SDN-VAE": 2.87,
            "IAF-VAE+ (SDN-VAE without SDN)": 3.05,
            "IAF-VAE": 3.11,
            "BIVA": 3.08,
            "NVAE": 2.91,
            "GLOW": 3.35,
            "FLOW++": 3.08,
            "ANF": 3.05,
            "SurVAE": 3.08,
            "PixelRNN": 3.00,
            "PixelCNN": 3.03,
            "PixelCNN++": 2.92,
            "PixelSNAIL": 2.85,
            "IT": 2.90,
        },
    ),
    *_rows("cifar10", 256, "paperswithcode.com", {"VDVAE": 2.87, "VDM": 2.65, "MuLAN": 2.55}),
    *_rows("cifar10", 256, "Efficient-VDVAE's README", {"Efficient-VDVAE": 2.87}),
    *_rows("cifar10", 256, "i-DODE's abstract", {"i-DODE": 2.56}),
    *_rows(
        "imagenet32",
        256,
        _SLIDES,
        {
            "SDN-VAE": 3.85,
            "IAF-VAE+ (SDN-VAE without SDN)": 4.00,
            "NVAE": 3.92,
            "GLOW": 4.09,
            "FLOW++": 3.86,
            "ANF": 3.92,
            "SurVAE": 4.00,
            "PixelRNN": 3.86,
            "PixelCNN": 3.83,
            "PixelSNAIL": 3.80,
            "SPN": 3.85,
            "IT": 3.77,
        },
    ),
    *_rows("imagenet32", 256, "paperswithcode.com", {"VDVAE": 3.80, "MuLAN": 3.67}),
    *_rows("imagenet32", 256, "i-DODE's abstract", {"i-DODE": 3.69}),
    *_rows(
        "celebahq256",
        32,
        _SLIDES,
        {
            "SDN-VAE": 0.70,
            "IAF-VAE+ (SDN-VAE without SDN)": 0.71,
            "NVAE": 0.70,
            "GLOW": 1.03,
            "ANF": 0.72,
            "SPN": 0.61,
        },
    ),
    *_rows("celebahq256", 32, "Efficient-VDVAE's README", {"Efficient-VDVAE": 0.51}),
    *_rows("celebahq256", 256, "Efficient-VDVAE's README", {"Efficient-VDVAE": 1.35}),
]


def evaluation_of(split: str) -> str:
    """Return the name of the file that tells of a split: what is published is of the test part."""
    return EVALUATION if split == "test" else f"evaluation_{split}.json"


def save_evaluation(run: Path, record: Mapping[str, Any]) -> bool:
    """Write an evaluation, unless one of more images of the same split and weights is there.

    Returns:
        Whether it was written.
    """
    path = run / evaluation_of(record["split"])
    try:
        before = _load(run, path.name)
        alike = all(before.get(n) == record[n] for n in ("split", "data", "weights_sha256"))
        if alike and before["n"] > record["n"]:
            return False
    except DataError:
        pass  # none, or one of other weights, or one that nobody can read
    write_hashed(path, record)
    return True


def table(runs: Sequence[str | Path]) -> str:
    """Return a Markdown table of evaluated runs of one data set, and what was published on it.

    Args:
        runs: folders that hold `evaluation.json`.

    Raises:
        DataError: EVAL_MISSING, EVAL_JSON; OUT_CHANGED if the weights are gone; as `check_results`;
            TABLE_MIXED if data sets, by name or by their images, or grey levels differ, as bits
            a dimension of 32 and of 256 levels cannot be compared.
    """
    found = [(Path(run), _load(Path(run))) for run in runs]
    for run, _ in found:
        check_results(run)
        is_there(run / WEIGHTS)
    kinds = {(record["data"], record["levels"], record["split"]): run for run, record in found}
    if len(kinds) > 1:
        (one, first), (other, second), *_ = kinds.items()
        raise DataError(
            "TABLE_MIXED",
            f"{first} is {one[0]} of {one[1]} levels, split {one[2]}; {second} is {other[0]} of "
            f"{other[1]} levels, split {other[2]}: their bits cannot be compared",
            "make one table for each",
        )
    ((data, levels, split),) = kinds
    images = {record["images_sha256"]: run for run, record in found if "images_sha256" in record}
    if len(images) > 1:
        first, second, *_ = images.values()
        told = f"{first} and {second} were evaluated on other images, though both are of {data}"
        raise DataError("TABLE_MIXED", told, "make one table for each")
    lines = [
        f"Bits a dimension, {data}, {levels} levels, split {split}; lower is better.",
        "",
        "| model | -ELBO | NLL (samples) | n | parameters | source |",
        "|---|---|---|---|---|---|",
    ]
    for run, record in found:
        elbo, nll = record["negative_elbo"], record["nll"]
        samples = f"{_bits(nll)} ({record['samples']})" if record["samples"] > 1 else "-"
        lines.append(
            f"| {plain_markdown(run.name)} | {_bits(elbo)} | {samples} | {record['n']} | "
            f"{record['parameters']:,} | measured, {plain_markdown(str(run))} |"
        )
    for row in PUBLISHED:
        if (row.data, row.levels) == (data, levels):
            lines.append(f"| {row.model} | {row.bits:.2f} | | | | {row.source} |")
    if not any((row.data, row.levels) == (data, levels) for row in PUBLISHED):
        lines += ["", f"No published figure is known for {data} of {levels} levels."]
    return "\n".join(inert(line) for line in lines)


def _bits(value: dict) -> str:
    error = value["bits_per_dim_standard_error"]
    return f"{value['bits_per_dim']:.4f}" + ("" if error is None else f" ± {error:.4f}")


def _load(run: Path, name: str = EVALUATION) -> dict:
    path = run / name
    if not path.is_file():
        raise DataError("EVAL_MISSING", f"no {name} in {run}", "run sdunet vae evaluate")
    with usable("EVAL_JSON", path, "run sdunet vae evaluate again"):
        record = read_hashed(path)
        for name in ("negative_elbo", "nll"):
            _bits(record[name])
        hash((record["data"], record["levels"], record["split"]))
        record["n"], record["samples"] + 0, record["parameters"] + 0
        judged = record.get("weights_sha256")
        if judged and (run / WEIGHTS).exists() and judged != weights_sha256(run):
            raise ValueError("of other weights than the run has now")
        return record
