"""What a folder of predictions records of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data_prep.core.codes import explain
from data_prep.core.config import MaskForm, Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.core.parse import MAX_BYTES, once, usable, whole
from data_prep.core.values.regions import Region
from data_prep.files.file_tree import Tree
from data_prep.files.hashed_json import parse_hashed
from data_prep.files.written_files import check_written
from data_prep.planning.regions import check_regions
from sdunet.runtime.run_record import check_results
from sdunet.segmentation.inference.prediction_record import MANIFEST


@dataclass(frozen=True)
class Recorded:
    """What is recorded with predictions.

    Attributes:
        rules: how their labels are read; `None` where nothing is recorded.
        hashes: SHA-256 of each file.
        sources: SHA-256 of the files that each case was predicted from.
        models: SHA-256 of each network that predicted.
        tidied: names of the classes whose small components were removed.
        doubts: codes of what is doubtful about the networks.
        seen: ids of cases that the networks which predicted them were trained on.
        settings: of the dataset that they were trained on, by name.
        complete: whether all files that were predicted are in `hashes`.
        instances: whether labels number objects.
        of_objects: whether the networks tell objects apart, if that is asked for.
    """

    rules: Rules | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, frozenset[str]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    tidied: frozenset[str] = frozenset()
    doubts: tuple[str, ...] = ()
    seen: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = False
    instances: bool = False
    of_objects: bool = False

    def advised(self, error: DataError) -> DataError:
        """Return an error of a reference with what is likely, if networks tell objects apart."""
        if error.code != "LBL_UNKNOWN" or not self.of_objects:
            return error
        fix = "give dataset.instances: true, if references number objects; or dataset.label_map"
        return DataError(error.code, error.found, fix, case=error.case, file=error.file)


def predictions_as_references(references: Tree) -> list[Finding]:
    """Return a warning where references are predictions themselves, as of swapped arguments."""
    if MANIFEST not in references.names:
        return []
    found = f"references with {MANIFEST}, which are predictions themselves"
    fix = "give predictions and references the other way round, unless that is meant"
    return [Finding("warning", "PAIR_SWAPPED", found, fix)]


def read_recorded(tree: Tree) -> Recorded:
    """Read what is recorded with predictions; nothing, where they are of others.

    Raises:
        DataError: PRED_MANIFEST if the record is damaged, OUT_CHANGED if it is gone; as
            `check_results`.
    """
    if MANIFEST not in tree.names:
        check_written(tree.root / MANIFEST, None)
        return Recorded()
    if tree.root.is_dir():
        check_results(tree.root)
    with usable("PRED_MANIFEST", MANIFEST, "predict again"):
        manifest = parse_hashed(tree.read(MANIFEST, MAX_BYTES + 1))
        labels = {name: whole(number) for name, number in manifest["labels"].items()}
        label_map = once([(whole(a), whole(b)) for a, b in manifest["label_map"].items()])
        structures = {a: whole(b) for a, b in manifest.get("structures", {}).items()}
        accept = tuple(str(code) for code in manifest.get("accept", []))
        form = manifest.get("form")
        form = None if form is None else MaskForm.from_json(form)
        cases = manifest.get("cases", {})
        listed = isinstance(cases, dict)  # there were lists of ids
        cases = cases if listed else {}
        told = list(cases.values())
        sources = {id_: frozenset(case.get("source", {}).values()) for id_, case in cases.items()}
        complete = listed and all("files" in case for case in told)
        hashes = {name: sha256 for case in told for name, sha256 in case.get("files", {}).items()}
        models = tuple(str(sha256) for sha256 in manifest.get("models", []))
        tidied = frozenset(map(str, manifest.get("removed", {})))
        doubts = tuple(explain(str(code)).name for code in manifest.get("doubts", []))
        seen = frozenset(id_ for id_, case in cases.items() if case.get("seen"))
        settings: dict[str, Any] = {"label_map": label_map, "structures": structures}
        if "channels" in manifest:
            settings["channels"] = tuple(map(str, manifest["channels"]))
        ignored = manifest.get("ignored")
        ignored = None if ignored is None else whole(ignored)
        regions = tuple(map(Region.from_json, manifest.get("regions", ())))
        check_regions(regions, labels)
        rules = Rules((), labels, label_map, structures, accept, form, ignored, None, regions)
        instances = manifest.get("instances", False)
        if not isinstance(instances, bool):
            raise ValueError(f"instances must be true or false, got {instances!r:.80}")
        told = rules, hashes, sources, models, tidied, doubts, seen, settings, complete
        return Recorded(*told, instances, "instances" in manifest)
