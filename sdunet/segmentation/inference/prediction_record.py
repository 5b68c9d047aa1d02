"""What was predicted into a folder, by which models: kept up to date while it goes on."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from data_prep.core.errors import DataError
from data_prep.core.parse import read_bounded, usable
from data_prep.files.hashed_json import parse_hashed, write_hashed
from data_prep.files.written_files import MARK

MANIFEST = "predictions.json"
SEG_NRRD = ".seg.nrrd"
DICOM_SEG, RTSTRUCT = "dicom_seg", "rtstruct"
# Folders of what is no label, or holds it once more.
BESIDE = tuple(f"{name}/" for name in ("uncertainty", "probabilities", DICOM_SEG, RTSTRUCT))
_SAID = {"models": "weights", "mirror": "--mirroring", "removed": "rules of postprocess.json"}
_SAID |= {"instances": "--instances"}
_PAUSE = 5.0  # seconds between writes: of many small cases, each would write the whole list


class Manifest:
    """The record of a folder of predictions; several processes may write to it.

    Args:
        folder: of the predictions.
        facts: what all predictions in the folder must share.
        parts: into how many parts which cases are divided, where this is one of several: all of
            them must be divided alike, or cases would be in none.
        also: what is recorded besides.
    """

    def __init__(
        self,
        folder: Path,
        facts: Mapping[str, Any],
        parts: Mapping[str, Any] | None = None,
        **also: Any,
    ) -> None:
        self.path = folder / MANIFEST
        self.facts = json.loads(json.dumps(facts))
        self.parts = dict(parts) if parts else None
        self.also = also
        self.cases: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, str] = {}
        self.written = time.monotonic()

    def __enter__(self) -> "Manifest":
        """Take the folder for these facts, before anything is predicted.

        Raises:
            DataError: as `before`.
        """
        self.write()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what was done, whatever ended it."""
        self.write()

    def before(self) -> dict[str, dict[str, Any]]:
        """Return the cases recorded before.

        Raises:
            DataError: OUT_OTHER if they are of other models or settings.
        """
        return self._recorded()[0]

    def _recorded(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Return the cases recorded and those that failed, of these models and settings."""
        if not self.path.exists():
            return {}, {}
        with usable("PRED_MANIFEST", self.path, "remove the folder, or give another"):
            there = parse_hashed(read_bounded(self.path))
            other = [_SAID.get(n, n) for n, value in self.facts.items() if there[n] != value]
            other += ["models for each case"] * bool(there.get("pooled"))
            parts, own = there.get("parts") or {}, self.parts or {}
            # Another number of parts begins anew: the folder is whole when all of those are done.
            if parts.get("parts") == own.get("parts") and parts != own:
                other.append("cases for its parts")
            cases, failed = dict(there["cases"]), dict(there["failed"])
            if not all(isinstance(record, dict) for record in (*cases.values(), failed)):
                raise TypeError("cases that are no records")
        if other:
            raise DataError(
                "OUT_OTHER",
                f"{self.path.parent} holds predictions made with other {', '.join(other)}",
                "give another folder, or remove it",
            )
        return cases, failed

    def done(self, case_id: str, record: Mapping[str, Any]) -> None:
        """Record a case."""
        self.cases[case_id] = dict(record)
        self._write_in_time()

    def failed_with(self, error: DataError) -> None:
        """Record why a case has no prediction."""
        self.failed[str(error.case)] = str(error.for_records())
        self._write_in_time()

    def write(self) -> None:
        """Write what is known by now, beside what other processes wrote.

        Raises:
            DataError: as `before`.
        """
        with FileLock(self.path.parent / MARK / "manifest.lock"):
            cases, failed = self._recorded()
            cases = {i: r for i, r in cases.items() if i not in self.failed} | self.cases
            failed = {i: e for i, e in failed.items() if i not in self.cases} | self.failed
            record = {"cases": dict(sorted(cases.items())), "failed": failed, "parts": self.parts}
            write_hashed(self.path, self.facts | self.also | record)
        self.written = time.monotonic()

    def _write_in_time(self) -> None:
        if time.monotonic() - self.written > _PAUSE:
            self.write()
