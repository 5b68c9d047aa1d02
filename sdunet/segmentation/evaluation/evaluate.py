"""Score predictions against references."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_prep.checks.settings import never_held
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError, set_aside
from data_prep.core.findings import Finding, Findings
from data_prep.core.progress import Progress, silent
from data_prep.core.values.regions import Region, inside
from data_prep.files.atomic import write_bytes
from data_prep.files.hashed_json import write_hashed
from data_prep.files.output_folder import check_free, check_output, own_folder
from data_prep.reading.other_names import ask_other_names
from sdunet.runtime.run_record import say, versions
from sdunet.runtime.tables import csv_bytes
from sdunet.segmentation.evaluation import instance_scores, plots
from sdunet.segmentation.evaluation.ignored import ABOUT
from sdunet.segmentation.evaluation.instance_scores import instance_rows, instance_summary
from sdunet.segmentation.evaluation.pair import Copies, Pair, hash_of
from sdunet.segmentation.evaluation.pairing import open_pairs
from sdunet.segmentation.evaluation.probabilities import Probabilities
from sdunet.segmentation.metrics.batch_pooled import BatchPooledDice
from sdunet.segmentation.metrics.calibration import Calibration
from sdunet.segmentation.metrics.case_scores import METRICS, ClassScores, ScoreOptions
from sdunet.segmentation.metrics.instance_table import COLUMNS, object_rows, volume_in
from sdunet.segmentation.metrics.overlap import POLICY, Overlap, summarise
from sdunet.segmentation.metrics.statistics import interval

SUMMARY = "summary.json"
_COUNTS = ("tp", "fp", "fn", "tn")
_FACTS = (
    *("volume_reference", "volume_prediction", "volume_difference"),
    *("objects_reference", "objects_prediction", "objects_found"),
)
TABLES = ("cases.csv", "components.csv", instance_scores.FILE, SUMMARY)
_FILES = (*TABLES, "dice.png", "volumes.png", "sizes.png", "calibration.png")
_SIZES = 4  # groups of objects by size, of as many each


def evaluate(
    predictions: str | Path,
    references: str | Path,
    out: str | Path,
    only: set[str] | None = None,
    config: DataConfig | None = None,
    progress: Progress = silent,
    options: ScoreOptions | None = None,
    max_ram: float | None = None,
    pooled: BatchPooledDice | None = None,
    *,
    instances: bool = False,
) -> tuple[dict, list[DataError]]:
    """Score each case and class, or region, and each object.

    Writes `cases.csv`, a row a case and class; `components.csv`, a row an object; `summary.json`
    in nnU-Net's form with intervals and the numbers of cases beside every mean; and plots. Cases
    without a usable prediction count as missed. Probabilities beside the predictions are held to
    the references, too. Predictions that number objects are scored by those, and `instances.csv`
    has them beside the connected components of the same foreground.

    Args:
        predictions: folder of label files named like the cases.
        references: raw dataset in a known layout, or a folder of label files. Predictions are
            brought to their grid.
        out: folder for the scores.
        only: ids of the cases to score. Default: all.
        config: classes and label map. Default: those recorded with the predictions.
        progress: wraps the loop over cases, given a title.
        options: tolerances. Default: `ScoreOptions()`.
        max_ram: gigabytes of memory that one case may take; a larger one is refused.
        pooled: also takes this score of published tables, over batches of cases in their order.
        instances: predictions hold ids of objects. Default: as their record says.

    Returns:
        The summary, and one error for each case that could not be scored as it should.

    Raises:
        DataError: if there is nothing to score, see `open_pairs`.
    """
    options = options or ScoreOptions()
    pairs = open_pairs(predictions, references, only, config, max_ram, instances=instances)
    check_output(out, references, predictions)
    check_free(out, "evaluate", _FILES)
    if pooled is not None and pairs.rules.regions:
        found = "the batch-pooled Dice is of classes, and regions are scored"
        raise DataError("LBL_REGIONS", found, "leave it out, or give dataset.regions: {}")
    tables = _Tables(pairs.targets, told_apart=pairs.instances)
    same: list[bool] = []
    copies = Copies()
    held: dict[str, frozenset[int | str]] = {}
    for case in progress(pairs.cases, "scoring"):
        with set_aside(tables.problems, case.id, case.labels[0]):
            pair = pairs.read(case)
            held |= pair.held
            scores = pair.scores(pairs.num_classes, options)
            if pooled is not None:
                label = None if pair.prediction is None else pair.prediction[0]
                pooled.add(label, pair.reference.array[0], pairs.num_classes)
            tables.add(pair, scores)
            same.append(pair.is_reference)
            copies.add(pair, tables.records[-1])
    everything = frozenset[int | str]().union(*held.values())
    noticed = Findings(pairs.rules.accept)
    tables.problems += ask_other_names(held, pairs.rules, noticed)
    unused = never_held(config or DataConfig(), everything) if everything else []
    for finding in (*unused, *noticed.found, *copies.findings()):
        say(str(finding))
    if any(same) and all(same):
        found = f"all {len(same)} predictions are their references, voxel for voxel"
        say(str(Finding("warning", "EVAL_SAME", found, "check that they are predictions")))
    if not tables.records:
        problems = [*tables.problems, *pairs.problems]
        raise DataError(
            "EVAL_NONE",
            f"no reference of {len(pairs.cases)} can be used, the first: {problems[0]}",
            "correct what it names, then run again",
        )
    summary = tables.summary() | {
        "options": asdict(options),
        "versions": versions(),
        "doubts": pairs.doubts,
        "seen": pairs.seen,
    }
    if pairs.rules.ignored is not None:
        cells = sum(record["n_ignored"] for record in tables.records)
        summary["ignored"] = {"value": pairs.rules.ignored, "voxels": cells, "about": ABOUT}
    if pooled is not None:
        summary["batch_pooled_dice"] = pooled.summary(tables.names)
    files = tables.files(summary)
    with own_folder(out, "evaluate", _FILES) as output:
        output.remove_rest()  # tables of two evaluations must never stand beside each other
        for name, content in files.items():
            write_bytes(Path(out) / name, content)
        write_hashed(Path(out) / SUMMARY, summary)
    return summary, [*pairs.problems, *tables.problems]


class _Tables:
    """Rows of all cases, and what their means are taken of.

    Args:
        targets: what is scored, numbered from 1.
        told_apart: whether predictions number their objects.
    """

    def __init__(self, targets: Sequence[Region], *, told_apart: bool) -> None:
        self.targets = dict(enumerate(targets, start=1))
        self.names = {number: target.name for number, target in self.targets.items()}
        self.told_apart = told_apart
        self.instances: list[dict[str, Any]] = []
        self.problems: list[DataError] = []
        self.records: list[dict[str, Any]] = []
        self.cases: list[dict[str, Any]] = []
        self.objects: list[dict[str, Any]] = []
        self.counted: dict[int, list[_Counted]] = {number: [] for number in self.targets}
        self.calibration: dict[int, Calibration] = defaultdict(Calibration)
        self.unit = "pixels"

    def add(self, pair: Pair, scores: Sequence[ClassScores]) -> None:
        """Add a case, with the scores of each target; all of it, or nothing if that fails."""
        affine = pair.reference.affine
        rows, objects, calibrated = [], [], []
        read = self._probabilities(pair)
        for number, found in enumerate(scores, start=1):
            begin = {"case": pair.id, "class": self.names[number]}
            rows.append(begin | _row(found, volume_in(affine)))
            probabilities = None if read is None else read(number)
            objects += [begin | row for row in object_rows(found, affine, probabilities)]
            if probabilities is not None:
                sums = Calibration()
                there = inside(pair.reference.array, self.targets[number].classes)
                if pair.ignored is not None:
                    counts = ~pair.ignored
                    probabilities, there = probabilities[counts], there[counts]
                sums.update(probabilities, there)
                calibrated.append((number, sums))
        self.records.append(_record(pair, scores, [t.key for t in self.targets.values()]))
        self.unit = "pixels" if affine is None else "ml"
        self.problems += pair.problems
        self.cases += rows
        self.objects += objects
        self.instances += instance_rows(pair.id, scores[0]) if self.told_apart else ()
        for number, found in enumerate(scores, start=1):
            # Without the maps of objects, which of all cases would fill the memory.
            self.counted[number].append(_Counted(found.overlap, found.values))
        for number, sums in calibrated:
            self.calibration[number].add(sums)

    def _probabilities(self, pair: Pair) -> Probabilities | None:
        """Return the probabilities of a case, if there are any to be used."""
        try:
            if pair.probabilities:
                pair.probabilities.check()
        except DataError as error:
            self.problems.append(error)
            return None
        return pair.probabilities

    def summary(self) -> dict[str, Any]:
        """Return means, with intervals and numbers, and the scores of every case."""
        means = {
            self.targets[number].key: {"name": self.names[number]} | _means(found)
            for number, found in self.counted.items()
        }
        return {
            "foreground_mean": _over_classes(list(means.values())),
            "mean": means,
            "metric_per_case": self.records,
            "found_by_size": {name: _by_size(self.objects, name) for name in self.names.values()},
            "calibration_error": {
                self.names[number]: {"ECE": sums.compute(), "n_cases": sums.cases}
                for number, sums in self.calibration.items()
            },
            "n_cases": len(self.records),
            "policy": POLICY,
            "unit": self.unit,
            "about": {metric.label: metric.about for metric in METRICS.values()},
            **({"instances": instance_summary(self.instances)} if self.told_apart else {}),
        }

    def files(self, summary: dict[str, Any]) -> dict[str, bytes]:
        """Return tables and plots by the names of their files."""
        columns = ("case", "class", "outcome", *METRICS, *_COUNTS, *_FACTS)
        files = {
            "cases.csv": csv_bytes(columns, self.cases),
            "components.csv": csv_bytes(COLUMNS, self.objects),
            "dice.png": plots.dice_by_case(self.cases),
            "volumes.png": plots.volume_agreement(self.cases, self.unit),
            "sizes.png": plots.found_by_size(summary["found_by_size"], self.unit),
        }
        if self.told_apart:
            files[instance_scores.FILE] = csv_bytes(instance_scores.COLUMNS, self.instances)
        if self.calibration:
            curves = {self.names[number]: sums for number, sums in self.calibration.items()}
            files["calibration.png"] = plots.calibration(curves)
        return files


class _Counted(NamedTuple):
    """What is kept of a class in a case until means are taken."""

    overlap: Overlap
    values: dict[str, float | None]


def _row(scores: ClassScores, cell: float) -> dict[str, Any]:
    overlap, objects = scores.overlap, scores.objects
    there, found = (overlap.tp + overlap.fn) * cell, (overlap.tp + overlap.fp) * cell
    facts = (
        *(there, found, found - there),
        *(len(objects.reference_sizes), len(objects.predicted_sizes), scores.found),
    )
    return (
        {"outcome": overlap.outcome}
        | scores.values
        | {name: getattr(overlap, name) for name in _COUNTS}
        | dict(zip(_FACTS, facts, strict=True))
    )


def _record(pair: Pair, scores: Sequence[ClassScores], keys: Sequence[str]) -> dict[str, Any]:
    return {
        "case": pair.id,
        "reference_file": pair.reference_file,
        "prediction_file": pair.prediction_file,
        "reference_sha256": hash_of(pair.reference.array, pair.ignored),
        "prediction_sha256": None if pair.prediction is None else hash_of(pair.prediction),
        "metrics": {
            key: {METRICS[name].label: value for name, value in found.values.items()}
            | _cells(found.overlap)
            | {"outcome": found.overlap.outcome}
            for key, found in zip(keys, scores, strict=True)
        },
        **({} if pair.ignored is None else {"n_ignored": int(np.count_nonzero(pair.ignored))}),
    }


def _cells(overlap: Overlap) -> dict[str, int]:
    counts = {name.upper(): getattr(overlap, name) for name in _COUNTS}
    return counts | {"n_pred": overlap.tp + overlap.fp, "n_ref": overlap.tp + overlap.fn}


def _means(scores: Sequence[_Counted]) -> dict[str, Any]:
    """Return the means of one class over cases, with their intervals and numbers."""
    values = {
        METRICS[name].label: [value for s in scores if (value := s.values[name]) is not None]
        for name in METRICS
    }
    cells = [_cells(s.overlap) for s in scores]
    return (
        {label: float(np.mean(found)) if found else None for label, found in values.items()}
        | {"interval": {label: interval(found) for label, found in values.items()}}
        | {name: float(np.mean([c[name] for c in cells])) for name in cells[0]}
        | {k: v for k, v in summarise(s.overlap for s in scores).items() if k not in values}
    )


def _over_classes(classes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average the class means; a class without a score is left out and the number says so."""
    result = {}
    for metric in METRICS.values():
        values = [means[metric.label] for means in classes if means[metric.label] is not None]
        result[metric.label] = float(np.mean(values)) if values else None
    return result | {"n_classes": sum(means["Dice"] is not None for means in classes)}


def _by_size(objects: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the share of a class's reference objects that were found, small ones first."""
    mine = [row for row in objects if row["class"] == name and row["side"] == "reference"]
    mine.sort(key=lambda row: row["volume"])
    groups = [group for group in np.array_split(np.arange(len(mine)), _SIZES) if len(group)]
    return [
        {
            "from": mine[group[0]]["volume"],
            "to": mine[group[-1]]["volume"],
            "objects": len(group),
            "found": sum(mine[i]["outcome"] == "found" for i in group),
        }
        for group in groups
    ]
