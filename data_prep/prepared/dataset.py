"""The prepared dataset on disk: what `prepare` writes and training reads.

A folder with `dataset.json` (schema, plan, one record a case), `splits.json` (folds),
`images/` and `labels/` (`.npy`, memory-mappable) and `qc/` (thumbnails).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.parse import UNUSABLE, once, plainly, read_json, whole
from data_prep.files.atomic import write_json
from data_prep.files.hashed_json import hash_json, read_hashed, write_hashed
from data_prep.files.written_files import FileHashes, check_whole
from data_prep.planning.plan_json import plan_from
from data_prep.planning.splits import check_folds
from data_prep.prepared.not_prepared import is_raw, not_prepared
from data_prep.preprocessing.intensity import Scaling

SCHEMA = 3


@dataclass(frozen=True)
class CaseRecord:
    """One prepared case.

    Attributes:
        id: name of the case.
        group: what it must stay together with in a fold.
        image: array file of the image, relative to the dataset, `(C, ...)`.
        label: array file of the label, `(1, ...)` class numbers.
        size: voxels along each axis of both.
        scaling: how its intensities are to be scaled.
        voxels: how many each class has.
        sha256: of the two array files, by their name.
        source: files it was made from, and the hash of their content.
        made_with: hash of everything else the arrays depend on.
        ignored: how many voxels are ignored; in the label they have the number `Rules.void`.
        lost_objects: how many objects have no voxel of the grid any more.
        label_files: those of `source` that are of the label; empty where none are recorded.
    """

    id: str
    group: str
    image: str
    label: str
    size: tuple[int, ...]
    scaling: Scaling
    voxels: list[int]
    sha256: dict[str, str]
    source: dict[str, str]
    made_with: str
    ignored: int = 0
    lost_objects: int = 0
    label_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset, opened.

    Attributes:
        root: its folder.
        layout: of the raw dataset.
        plan: how scans were read and preprocessed.
        cases: by id.
        folds: ids of training and validation cases of each fold.
        test: ids of cases that no fold holds.
        split_by: settings that folds and groups were made by; empty where none are recorded.
    """

    root: Path
    layout: str
    plan: Plan
    cases: dict[str, CaseRecord]
    folds: list[dict[str, list[str]]]
    test: tuple[str, ...] = ()
    split_by: Mapping[str, Any] = field(default_factory=dict)
    _files: FileHashes = field(default_factory=FileHashes, repr=False, compare=False)

    def arrays(self, case_id: str) -> tuple[np.ndarray, np.ndarray]:
        """Return image and label of a case, memory-mapped read-only.

        Raises:
            DataError: SET_FILE if a file is missing or not of the recorded size, SET_HASH if it is
                not as it was prepared.
        """
        record = self.cases[case_id]
        image, label = (self._array(case_id, name) for name in (record.image, record.label))
        if image.shape[1:] != record.size or label.shape[1:] != record.size:
            raise DataError(
                "SET_FILE", "an array is not of the recorded size", "prepare again", case=case_id
            )
        return image, label

    def sides(self, fold: int | None) -> dict[str, list[str]]:
        """Return the ids of the cases that train, `"train"`, and of those that validate, `"val"`.

        Args:
            fold: that validates, from 0. None: all cases of the folds train, and none validates.

        Raises:
            DataError: SPLIT_FOLD if there is no such fold.
        """
        if fold is None:
            held = {id_ for one in self.folds for side in one.values() for id_ in side}
            return {"train": [id_ for id_ in self.cases if id_ in held], "val": []}
        if isinstance(fold, bool) or fold not in range(len(self.folds)):
            found = f"fold {fold} of {len(self.folds)}"
            raise DataError("SPLIT_FOLD", found, "count folds from 0, or name none of them")
        return self.folds[fold]

    def verify(self) -> None:
        """Check every array file against its recorded hash.

        Raises:
            DataError: SET_HASH, or SET_FILE if one is missing.
        """
        for record in self.cases.values():
            for name in record.sha256:
                self._array(record.id, name)

    def _array(self, case_id: str, name: str) -> np.ndarray:
        recorded = self.cases[case_id].sha256
        try:
            array = np.load(self.root / name, mmap_mode="r", allow_pickle=False)
            sha256 = self._files.of(self.root / name)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                "SET_FILE",
                f"cannot be read: {plainly(error)}",
                "prepare again",
                case=case_id,
                file=name,
            ) from error
        if recorded.get(name, sha256) != sha256:
            found = "changed since it was prepared"
            raise DataError("SET_HASH", found, "prepare again", case=case_id, file=name)
        return array


def save_dataset(dataset: Dataset) -> None:
    """Write the two JSON files; `dataset.json` last, since its presence means complete."""
    write_json(dataset.root / "splits.json", dataset.folds)
    write_hashed(
        dataset.root / "dataset.json",
        {
            "schema": SCHEMA,
            "splits_sha256": hash_json(dataset.folds),
            "layout": dataset.layout,
            "plan": asdict(dataset.plan),
            "test": dataset.test,
            "split_by": dict(dataset.split_by),
            "cases": [asdict(record) for record in dataset.cases.values()],
        },
    )


def _record(described: dict) -> CaseRecord:
    scaling: dict[str, Any] = {
        name: None if numbers is None else [float(number) for number in numbers]
        for name, numbers in described["scaling"].items()
    }
    numbers: dict[str, Any] = {
        name: [whole(n, low=0) for n in described[name]] for name in ("size", "voxels")
    }
    size = tuple(numbers.pop("size"))
    numbers |= {name: whole(described.get(name, 0), low=0) for name in ("ignored", "lost_objects")}
    files = tuple(str(name) for name in described.get("label_files", ()))
    known = {"size": size, "scaling": Scaling(**scaling), "label_files": files}
    return CaseRecord(**described | numbers | known)


def load_dataset(root: str | Path, described: str = "dataset.json") -> Dataset:
    """Open a prepared dataset, by its description.

    Raises:
        DataError: SET_MISSING, SET_SCHEMA or SET_JSON; SET_RAW for a raw dataset; OUT_UNFINISHED if
            preparing was cut short.
    """
    root = Path(root)
    check_whole(root)
    if not (root / described).is_file():
        raise not_prepared(root)
    try:
        content = read_hashed(root / described)
        if is_raw(content):
            raise not_prepared(root)
        splits = read_json(root / "splits.json", list)
        if content.get("splits_sha256", hash_json(splits)) != hash_json(splits):
            raise ValueError("splits.json is not the one that was written with dataset.json")
        folds = [
            {side: [str(id_) for id_ in fold[side]] for side in ("train", "val")} for fold in splits
        ]
        if content.get("schema") != SCHEMA:
            raise DataError(
                "SET_SCHEMA",
                f"schema {content.get('schema')}, known is {SCHEMA}",
                "prepare again",
            )
        records = [_record(described) for described in content["cases"]]
        cases = once([(record.id, record) for record in records])
        plan = plan_from(content["plan"])
        layout = str(content["layout"])
        test = tuple(str(id_) for id_ in content["test"])
        split_by = dict(content.get("split_by", {}))
        if not folds:
            raise ValueError("no folds")
        held = {id_ for fold in folds for id_ in [*fold["train"], *fold["val"]]}
    except (OSError, DataError, *UNUSABLE) as error:
        if isinstance(error, DataError) and error.code in ("SET_SCHEMA", "SET_RAW", "SET_MISSING"):
            raise
        found = error.found if isinstance(error, DataError) else plainly(error)
        raise DataError("SET_JSON", found, "prepare again", file=str(root)) from error
    dataset = Dataset(root, layout, plan, cases, folds, test, split_by)
    unknown = (held | set(test)) - set(dataset.cases)
    if unknown:
        raise DataError(
            "SET_JSON", f"splits.json names unknown cases {sorted(unknown)[:5]}", "prepare again"
        )
    check_folds(folds, {id_: record.group for id_, record in cases.items()}, test)
    return dataset
