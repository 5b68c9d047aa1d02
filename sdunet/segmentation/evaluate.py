"""Score predictions against references."""

import csv
import io
from pathlib import Path

import numpy as np

from data_prep.config import DataConfig
from data_prep.errors import DataError
from data_prep.progress import Progress, silent
from data_prep.tree import check_output, open_tree
from data_prep.writer import write_bytes, write_json
from sdunet.runs.record import versions
from sdunet.segmentation.metrics import POLICY, Overlap, missing, overlaps, summarise
from sdunet.segmentation.pairs import Pair, open_pairs


def evaluate(
    predictions: str | Path,
    references: str | Path,
    out: str | Path,
    only: set[str] | None = None,
    config: DataConfig | None = None,
    progress: Progress = silent,
) -> tuple[dict, list[DataError]]:
    """Score each case and class by Dice and Jaccard.

    Writes `cases.csv`, a row a case and class, and `summary.json` in nnU-Net's form with the
    numbers of cases beside every mean. Cases without a usable prediction count as missed.

    Args:
        predictions: folder of label files named like the cases.
        references: raw dataset in a known layout.
        out: folder for the scores.
        only: ids of the cases to score. Default: all.
        config: classes and label map. Default: those recorded with the predictions.
        progress: wraps the loop over cases, given a title.

    Returns:
        The summary, and one error for each case that could not be scored as it should.

    Raises:
        DataError: if there is nothing to score, see `open_pairs`.
    """
    pairs = open_pairs(predictions, references, only, config)
    check_output(out, open_tree(references), references)
    names = {number: name for name, number in pairs.rules.labels.items()}
    problems, rows, cases = [], [], []
    by_class: dict[int, list[Overlap]] = {c: [] for c in range(1, pairs.num_classes)}
    for pair in progress(pairs, "scoring"):
        counted = count(pair, pairs.num_classes)
        if pair.problem:
            problems.append(pair.problem)
        cases.append(_case_record(pair, counted))
        for c, overlap in enumerate(counted, start=1):
            by_class[c].append(overlap)
            rows.append(_row(pair.id, names[c], overlap))
    if not cases:
        raise DataError(
            "EVAL_NONE", f"no reference can be read, the first: {pairs.problems[0]}", "see it"
        )
    by_name = {names[c]: summarise(counted) for c, counted in by_class.items()}
    summary = {
        "foreground_mean": _mean(list(by_name.values())),
        "mean": {str(c): by_name[names[c]] | {"name": names[c]} for c in by_class},
        "metric_per_case": cases,
        "n_cases": len(cases),
        "policy": POLICY,
        "versions": versions(),
    }
    write_bytes(Path(out) / "cases.csv", _csv(rows))
    write_json(Path(out) / "summary.json", summary)
    return summary, [*pairs.problems, *problems]


def count(pair: Pair, num_classes: int) -> list[Overlap]:
    """Count the overlap of each class of a pair; without a prediction all is missed."""
    if pair.prediction is None:
        return missing(pair.reference.array, num_classes)
    return overlaps(pair.prediction, pair.reference.array, num_classes)


def _mean(classes: list[dict]) -> dict:
    """Average the class means; a class without a score is left out and the number says so."""
    result = {}
    for name in ("Dice", "IoU"):
        values = [scores[name] for scores in classes if scores[name] is not None]
        result[name] = float(np.mean(values)) if values else None
    return result | {"n_classes": sum(scores["Dice"] is not None for scores in classes)}


def _case_record(pair: Pair, counted: list[Overlap]) -> dict:
    return {
        "case": pair.id,
        "reference_file": pair.reference_file,
        "prediction_file": pair.prediction_file,
        "metrics": {
            str(c): {
                "Dice": o.dice,
                "IoU": o.jaccard,
                "TP": o.tp,
                "FP": o.fp,
                "FN": o.fn,
                "TN": o.tn,
                "n_pred": o.tp + o.fp,
                "n_ref": o.tp + o.fn,
                "outcome": o.outcome,
            }
            for c, o in enumerate(counted, start=1)
        },
    }


def _row(case_id: str, name: str, o: Overlap) -> dict:
    return {
        "case": case_id,
        "class": name,
        "dice": "" if o.dice is None else f"{o.dice:.6f}",
        "jaccard": "" if o.jaccard is None else f"{o.jaccard:.6f}",
        "tp": o.tp,
        "fp": o.fp,
        "fn": o.fn,
        "tn": o.tn,
        "outcome": o.outcome,
    }


def _csv(rows: list[dict]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
