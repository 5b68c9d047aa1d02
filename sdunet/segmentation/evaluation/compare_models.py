"""Compare models over the same cases: paired tests on the scores that `evaluate` wrote."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.core.codes import explain
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.parse import once, usable
from data_prep.core.safe_text import plain_name
from data_prep.files.atomic import write_bytes
from data_prep.files.hashed_json import read_hashed
from data_prep.files.links import real
from data_prep.files.output_folder import check_free, check_output, own_folder
from sdunet.runtime.doubts import SEEN, findings_of
from sdunet.runtime.run_record import check_results, say
from sdunet.runtime.tables import markdown, plain_markdown, write_csv
from sdunet.segmentation.evaluation.evaluate import SUMMARY, TABLES
from sdunet.segmentation.evaluation.plots import paired_differences
from sdunet.segmentation.metrics.case_scores import METRICS, USUAL, ScoreOptions
from sdunet.segmentation.metrics.statistics import holm, interval, signed_rank

_SAME = 1e-12
_FILES = ("compare.csv", "compare.md", "differences.png")


@dataclass(frozen=True)
class Scored:
    """What `evaluate` wrote about one model.

    Attributes:
        name: of the model.
        classes: names by number.
        options: of the scores.
        cases: of each case the scores of each class number, by their labels.
        references: of each case the SHA-256 of its reference.
        predictions: of each case that of its prediction, `None` if there was none.
        doubts: codes of what is doubtful about the networks that predicted.
        seen: ids of cases that they were trained on.
    """

    name: str
    classes: dict[str, str]
    options: ScoreOptions
    cases: dict[str, dict[str, dict[str, Any]]]
    references: dict[str, str]
    predictions: dict[str, str | None]
    doubts: tuple[str, ...] = ()
    seen: frozenset[str] = frozenset()


def compare(
    folders: Sequence[str | Path],
    out: str | Path,
    metrics: Sequence[str] = USUAL,
    names: Sequence[str] | None = None,
    only: set[str] | None = None,
) -> tuple[list[dict[str, Any]], list[DataError]]:
    """Compare every two models, class by class, over the cases that all of them were scored on.

    Differences are second minus first. Where one of two has nothing to score, because it rightly
    predicted nothing, its score is the best there is. p is that of Wilcoxon's signed-rank test,
    corrected by Holm for all rows of the table.

    Writes `compare.csv`, `compare.md` and `differences.png`.

    Args:
        folders: written by `evaluate`, one a model.
        out: folder for the tables.
        metrics: names in `METRICS`.
        names: of the models. Default: what tells their folders apart.
        only: ids of the cases to compare. Default: all.

    Returns:
        The rows of the table, and one error for each case that only some were scored on.

    Raises:
        DataError: COMPARE_FEW for fewer than two; COMPARE_SCORES if a folder holds no scores;
            COMPARE_OTHER if classes, references or tolerances differ; COMPARE_NONE without a
            common case; CASE_UNKNOWN if a case asked for is in none; as `check_results`.
    """
    scored, problems = read_scores(folders, names, only)
    doubts = [f"{m.name}: {one}" for m in scored for one in (*findings_of(m.doubts), *_missed(m))]
    for doubt in doubts:
        say(doubt)
    check_output(out, *folders)
    check_free(out, "compare", _FILES)
    rows = [
        row
        for first, second in combinations(scored, 2)
        for number in first.classes
        for row in _rows(first, second, number, metrics)
    ]
    corrected = holm([row["p"] for row in rows])
    rows = [row | {"p_holm": p} for row, p in zip(rows, corrected, strict=True)]
    shown = {
        f"{row['second']} - {row['first']}, {row['class']}": row["differences"]
        for row in rows
        if row["metric"] == metrics[0] and row["n"]
    }
    out = Path(out)
    columns = [column for column in rows[0] if column != "differences"]
    picture = paired_differences(shown, METRICS[metrics[0]].label) if shown else None
    with own_folder(out, "compare", _FILES) as output:
        output.remove_rest()  # of an earlier comparison, its page too
        write_csv(out / "compare.csv", columns, rows)
        text = markdown(*cells_of(rows)) + "".join(f"\n{plain_markdown(d)}\n" for d in doubts)
        write_bytes(out / "compare.md", text.encode())
        if picture:
            write_bytes(out / "differences.png", picture)
    return rows, problems


def _missed(scored: Scored) -> list[Finding]:
    """Return a warning of cases without a prediction, whose scores are the worst there are."""
    number = sum(scored.predictions[case] is None for case in scored.cases)
    if not number:
        return []
    found = f"{number} of {len(scored.cases)} cases have no prediction, and count as missed"
    return [
        Finding("warning", "COMPARE_MISSED", found, "predict them, or leave them out by --cases")
    ]


def cells_of(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the lines of a table of the rows, as text."""
    head = ["class", "score", "first", "second", "n", "mean first", "mean second"]
    head += ["difference (95 %)", "wins/ties/losses of second", "p (Holm)"]
    lines = []
    for row in rows:
        line = [row["class"], METRICS[row["metric"]].label, row["first"], row["second"]]
        line += [str(row["n"])]
        if row["n"]:
            difference = f"{row['difference']:+.4f}"
            if row["low"] is not None:
                difference += f" ({row['low']:+.4f} to {row['high']:+.4f})"
            line += [f"{row['mean_first']:.4f}", f"{row['mean_second']:.4f}", difference]
        else:
            line += ["-"] * 3
        line += [f"{row['wins']}/{row['ties']}/{row['losses']}", f"{row['p_holm']:.3g}"]
        lines.append(line)
    return head, lines


def read_scores(
    folders: Sequence[str | Path],
    names: Sequence[str] | None = None,
    only: set[str] | None = None,
) -> tuple[list[Scored], list[DataError]]:
    """Read what `evaluate` wrote about several models, keeping the cases common to all.

    Raises:
        DataError: see `compare`.
    """
    places = [Path(folder) for folder in folders]
    if not names and len({real(place) for place in places}) < len(places):
        found = f"one folder of scores twice: {', '.join(map(str, places))}"
        raise DataError("COMPARE_FEW", found, "give each once, or to each a name of its own")
    names = list(names or _told_apart(places))
    apart = len(set(names)) == len(folders) == len(names) and all(n.strip() for n in names)
    if len(folders) < 2 or not apart:
        raise DataError(
            "COMPARE_FEW",
            f"{len(folders)} folders of scores, with names {names}",
            "give at least two, and to each a name of its own",
        )
    scored = [_read(folder, name) for folder, name in zip(places, names, strict=True)]
    first = scored[0]
    for other in scored[1:]:
        if (other.classes, other.options) != (first.classes, first.options):
            raise _other(first, other, "classes or tolerances")
    everywhere = set.union(*(set(model.cases) for model in scored))
    if only is not None and not only <= everywhere:
        unknown = ", ".join(sorted(only - everywhere)[:5])
        raise DataError("CASE_UNKNOWN", f"never scored: {unknown}", "check the list of cases")
    everywhere &= only or everywhere
    common = everywhere.intersection(*(set(model.cases) for model in scored))
    if not common:
        raise DataError("COMPARE_NONE", "no case was scored for all", "evaluate the same cases")
    for model in scored[1:]:
        for case in common:
            if first.references[case] != model.references[case]:
                raise _other(first, model, f"the reference of case {case}")
    problems = [
        DataError("COMPARE_CASE", "scored for some models only", "evaluate it for all", case=case)
        for case in sorted(everywhere - common)
    ]
    return [_of_cases(model, common) for model in scored], problems


def _of_cases(scored: Scored, common: Collection[str]) -> Scored:
    """Return the scores of some cases, and what is doubtful about those."""
    seen = scored.seen.intersection(common)
    doubts = tuple(code for code in scored.doubts if code != SEEN or seen)
    cases = {case: scored.cases[case] for case in sorted(common)}
    return replace(scored, cases=cases, doubts=doubts, seen=seen)


def _read(folder: Path, name: str) -> Scored:
    path = folder / SUMMARY
    with usable("COMPARE_SCORES", path, "give a folder that sdunet evaluate wrote"):
        summary = read_hashed(path)
        check_results(folder, TABLES)
        classes = {number: str(mean["name"]) for number, mean in summary["mean"].items()}
        cases = once(
            [
                (str(record["case"]), {n: dict(record["metrics"][n]) for n in classes})
                for record in summary["metric_per_case"]
            ]
        )
        needed = [metric.label for metric in METRICS.values()]
        for record in cases.values():
            for scores in record.values():
                for label in needed:
                    float(0 if scores[label] is None else scores[label])
        references, predictions = (
            {record["case"]: record[f"{side}_sha256"] for record in summary["metric_per_case"]}
            for side in ("reference", "prediction")
        )
        doubts = tuple(explain(str(code)).name for code in summary.get("doubts", ()))
        options = ScoreOptions(**summary["options"])
        seen = frozenset(map(str, summary.get("seen", ())))
        return Scored(name, classes, options, cases, references, predictions, doubts, seen)


def _other(first: Scored, second: Scored, what: str) -> DataError:
    return DataError(
        "COMPARE_OTHER",
        f"{first.name} and {second.name} were scored with other {what}",
        "evaluate both against the same references, with the same settings",
    )


def _told_apart(folders: Sequence[Path]) -> list[str]:
    """Return names without folders: the last parts of each path, as many as tell all apart."""
    parts = [folder.resolve().parts for folder in folders]
    while all(len(p) > 1 for p in parts) and len({p[-1] for p in parts}) == 1:
        parts = [p[:-1] for p in parts]
    for most in range(1, 1 + max(map(len, parts))):
        names = ["_".join(map(plain_name, p[-most:])) for p in parts]
        if len(set(names)) == len(names):
            break
    return names


def _rows(
    first: Scored, second: Scored, number: str, metrics: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for name in metrics:
        metric = METRICS[name]
        pairs = []
        for case, scores in first.cases.items():
            found = [s[number][metric.label] for s in (scores, second.cases[case])]
            if found != [None, None]:
                pairs.append([metric.best if value is None else value for value in found])
        values = np.array(pairs, np.float64).reshape(-1, 2)
        differences = values[:, 1] - values[:, 0]
        better = differences if metric.best else -differences
        bounds = interval(differences.tolist()) or (None, None)
        means = values.mean(0).tolist() if len(values) else [None, None]
        yield {
            "class": first.classes[number],
            "metric": name,
            "first": first.name,
            "second": second.name,
            "n": len(values),
            "mean_first": means[0],
            "mean_second": means[1],
            "difference": float(differences.mean()) if len(values) else None,
            "low": bounds[0],
            "high": bounds[1],
            "wins": int((better > _SAME).sum()),
            "ties": int((np.abs(better) <= _SAME).sum()),
            "losses": int((better < -_SAME).sum()),
            "p": signed_rank(differences.tolist()),
            "differences": differences.tolist(),
        }
