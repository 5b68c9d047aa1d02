"""References and predictions of the same cases, brought together and checked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.checks import check_same_grid
from data_prep.config import DataConfig
from data_prep.errors import DataError
from data_prep.labels import read_case_label, to_classes
from data_prep.layouts import Case, find_layout
from data_prep.plan import classes_of
from data_prep.reading import is_scan_name, read_label, stem
from data_prep.scan import Scan
from data_prep.tree import Tree, open_tree
from sdunet.segmentation.predict import MANIFEST, choose


@dataclass(frozen=True)
class Pair:
    """A case with its reference and, if it could be read, its prediction, both `(1, ...)`."""

    id: str
    reference: Scan
    prediction: np.ndarray | None
    reference_file: str
    prediction_file: str | None
    problem: DataError | None = None


@dataclass(frozen=True)
class Pairs:
    """All cases to be compared; iterating reads them one at a time.

    Attributes:
        labels: class names to numbers.
        problems: cases whose reference cannot be used, and predictions without a reference.
    """

    labels: dict[str, int]
    label_map: dict[int, int]
    problems: list[DataError]
    _references: Tree
    _predictions: Tree
    _cases: list[Case]
    _files: dict[str, str]
    _ours: bool

    @property
    def num_classes(self) -> int:
        """Classes, background included."""
        return max(self.labels.values()) + 1

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[Pair]:
        for case in self._cases:
            try:
                reference = read_case_label(self._references, case, self.labels, self.label_map)
            except DataError as error:
                self.problems.append(error.at(case=case.id))
                continue
            file = self._files.get(case.id)
            try:
                prediction, problem = self._prediction(case.id, file, reference), None
            except DataError as error:
                prediction, problem = None, error.at(case=case.id, file=file)
            yield Pair(case.id, reference, prediction, case.labels[0], file, problem)

    def _prediction(self, case_id: str, file: str | None, reference: Scan) -> np.ndarray:
        if file is None:
            raise DataError("PRED_MISSING", "no prediction", "predict it, or leave the case out")
        scan = read_label(self._predictions, file)
        check_same_grid(reference, scan, "prediction")
        # Our own predictions hold class numbers already; mapping them again could swap classes.
        return to_classes(scan.array, self.labels, {} if self._ours else self.label_map)


def open_pairs(
    predictions: str | Path,
    references: str | Path,
    only: set[str] | None = None,
    config: DataConfig | None = None,
) -> Pairs:
    """Find the references of a raw dataset and the predictions of the same names.

    Classes are those of `config`, else those recorded with the predictions, else those the
    dataset declares.

    Args:
        predictions: folder of label files named like the cases.
        references: raw dataset in a known layout.
        only: ids of the cases to compare. Default: all.
        config: classes and label map.

    Raises:
        DataError: if there are no cases, two predictions share a name, or a file is damaged.
    """
    tree = open_tree(references)
    layout = find_layout(tree)
    cases = choose(layout.cases, only)
    if not cases:
        raise DataError("LAY_EMPTY", f"no complete case in {references}", "check the folder")
    predicted = open_tree(predictions)
    manifest = _manifest(predicted)
    config = config or DataConfig(
        labels=manifest.get("labels"),
        label_map={int(k): v for k, v in manifest.get("label_map", {}).items()},
    )
    labels = classes_of(config, layout.labels)
    files: dict[str, str] = {}
    problems = [error for error in layout.problems if only is None or error.case in only]
    for name in filter(is_scan_name, predicted.names):
        if stem(name) in files:
            raise DataError(
                "PRED_DUPLICATE", f"{name} and {files[stem(name)]}", "keep one", case=stem(name)
            )
        files[stem(name)] = name
    for id_ in sorted(set(files) - {case.id for case in layout.cases}):
        problems.append(
            DataError("PRED_EXTRA", "no reference", "remove it", case=id_, file=files[id_])
        )
    return Pairs(
        labels, dict(config.label_map), problems, tree, predicted, cases, files, bool(manifest)
    )


def _manifest(tree: Tree) -> dict:
    if MANIFEST not in tree.names:
        return {}
    try:
        return dict(json.loads(tree.read(MANIFEST)))
    except (ValueError, TypeError) as error:
        raise DataError("PRED_MANIFEST", f"{MANIFEST}: {error}", "predict again") from error
