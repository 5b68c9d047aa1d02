"""References and predictions of the same cases, brought together and checked."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.checks.binary_masks import BINARY, note_of, show_binary
from data_prep.checks.settings import check_not_mapped
from data_prep.core.config import DataConfig, Rules
from data_prep.core.errors import DataError, case_errors
from data_prep.core.findings import Finding, Findings
from data_prep.core.memory_limits import bytes_of, memory_within
from data_prep.core.scan import Scan
from data_prep.core.values.regions import Region, targets_of
from data_prep.files.file_tree import Tree, held_to, open_tree
from data_prep.files.written_files import is_written_by
from data_prep.formats.mask_images import check_shown_alike, decide, look_at_masks
from data_prep.formats.registry import is_scan_name, read_label
from data_prep.layouts import Case, choose, find_labels
from data_prep.planning.classes import classes_of, ignored_of, learned_classes, without_ignored
from data_prep.planning.regions import check_no_objects, check_regions
from data_prep.preprocessing.grid import fit_label
from data_prep.preprocessing.instances import IGNORED
from data_prep.reading.label import as_classes, read_case_label
from data_prep.reading.objects import as_ids, read_objects, tells_objects
from sdunet.runtime.doubts import SEEN, findings_of
from sdunet.runtime.run_record import say
from sdunet.segmentation.evaluation.ignored import check_predicted, set_apart
from sdunet.segmentation.evaluation.pair import Pair
from sdunet.segmentation.evaluation.predicted_files import files_by_case, in_their_place
from sdunet.segmentation.evaluation.probabilities import FOLDER, Probabilities
from sdunet.segmentation.evaluation.recorded import (
    Recorded,
    predictions_as_references,
    read_recorded,
)
from sdunet.segmentation.evaluation.region_probabilities import RegionProbabilities
from sdunet.segmentation.evaluation.stated_classes import (
    SETTINGS,
    check_named_alike,
    classes_beside,
    doubt_about_regions,
    regions_beside,
    with_regions,
)
from sdunet.segmentation.inference.prediction_record import MANIFEST
from sdunet.segmentation.metrics.arguments import without


@dataclass(frozen=True)
class Pairs:
    """All cases to be compared; `read` reads one of them.

    Attributes:
        rules: names of the classes, and how references are read.
        problems: incomplete cases and predictions without a reference.
        cases: those with a reference.
        noticed: what is told of the references as a whole.
        references: the files of the references.
        predictions: those of the predictions, held to what was recorded of them.
        memory: bytes that one case may take; `None` for no limit.
        instances: whether predictions number objects.
    """

    rules: Rules
    problems: tuple[DataError, ...]
    cases: tuple[Case, ...]
    noticed: tuple[Finding, ...]
    references: Tree
    predictions: Tree
    _files: dict[str, str]
    _predicted: Rules
    _record: Recorded
    memory: float | None = None
    instances: bool = False

    @property
    def told(self) -> str:
        """Which predictions these are, in words for a page."""
        networks = ", ".join(sha256[:12] for sha256 in self._record.models)
        by = f" by {networks} (SHA-256 of the network)" if networks else ""
        doubts = "".join(f"; {finding}" for finding in findings_of(self.doubts))
        return f"Predictions in {self.predictions.root.name}{by}{doubts}"

    @property
    def doubts(self) -> tuple[str, ...]:
        """Codes of what is doubtful about the networks that predicted, for these very cases."""
        return (*self._record.doubts, *[SEEN] * bool(self.seen))

    @property
    def seen(self) -> list[str]:
        """Ids of those of the cases that the networks which predicted them were trained on."""
        return [case.id for case in self.cases if case.id in self._record.seen]

    def differing(self, asked: DataConfig) -> list[Finding]:
        """Return a warning for each setting that is not the one the predictions were made with."""
        findings, nothing = Findings(), DataConfig()
        for name, known in self._record.settings.items():
            given = getattr(asked, name)
            if given not in (known, getattr(nothing, name)):
                findings.warn(
                    "SET_OTHER",
                    f"dataset.{name} is {given}, the predictions were made with {known}",
                    "leave it out, unless the references are stored in another way",
                )
        return findings.found

    @property
    def num_classes(self) -> int:
        """Classes, background included."""
        return max(self.rules.labels.values()) + 1

    @property
    def names(self) -> list[str]:
        """Names of the classes by their numbers, background first."""
        return sorted(self.rules.labels, key=self.rules.labels.__getitem__)

    def read(self, case: Case) -> Pair:
        """Read the reference and the prediction of one of the cases.

        Raises:
            DataError: PAIR_OTHER_IMAGE if its image is not the one that was predicted; if the
                reference cannot be read, see `read_case_label`. That a prediction
                cannot be is the `problem` of the pair.
        """
        source = self._record.sources.get(case.id, frozenset())
        with memory_within(self.memory):
            self._check_image(case, source)
            reference, objects, held = self._reference(case)
        reference, ignored = set_apart(reference, self.rules.void)
        file = self._files.get(case.id)
        lost: list[DataError] = []
        seen = Findings(self.rules.accept)
        prediction = problem = numbered = None
        try:
            with case_errors(case.id, file), memory_within(self.memory):
                predicted = self._prediction(file, seen)
                fitted, lost = self._fitted(predicted, reference)
                prediction = fitted.array
                if self.instances:
                    numbered, prediction = prediction, (prediction != 0).astype(np.uint8)
                    predicted = predicted.holding((predicted.array != 0).astype(np.uint8))
                if ignored is not None:
                    (prediction,) = without(ignored, prediction)
        except DataError as error:
            problem = error
        probabilities = None
        if self.has_probabilities and prediction is not None:
            probabilities = self._probabilities(case.id, predicted, reference)
        return Pair(
            case.id,
            reference,
            prediction,
            case.labels[0],
            file,
            problem,
            tuple(error.at(case=case.id) for error in lost),
            None if objects is None else objects.array,
            probabilities,
            self.memory,
            source,
            # Our own predictions are not mapped.
            {case.id: held}
            | ({} if self._record.rules else {f"{case.id} (prediction)": frozenset(seen.held)}),
            ignored,
            numbered,
            self.rules.regions,
        )

    def _probabilities(self, case_id: str, predicted: Scan, reference: Scan) -> Probabilities:
        """Return what reads the probabilities of a case, of classes or of regions."""
        tidied, regions = self._record.tidied, self.rules.regions
        # Of ids, foreground without a seed was left out, as small components are by rules.
        left_out = tidied if not self.instances else self.names
        classes = {n for name, n in self.rules.labels.items() if name in left_out}
        scans = self.predictions, case_id, predicted, reference, self.num_classes
        known = self._record.rules is not None, self.rules.accept, self.memory
        if regions:
            return RegionProbabilities(*scans, tidied, *known, regions=regions)
        return Probabilities(*scans, classes, *known)

    @property
    def targets(self) -> tuple[Region, ...]:
        """What is scored: regions, or each class but the background."""
        return targets_of(self.rules.labels, self.rules.regions)

    @property
    def has_probabilities(self) -> bool:
        """Whether probabilities of what is scored were predicted, too."""
        known = self._record.rules
        if known is not None and known.regions != self.rules.regions:
            return False
        return any(n.startswith(FOLDER) for n in (*self.predictions.names, *self._record.hashes))

    def _check_image(self, case: Case, source: frozenset[str]) -> None:
        """Refuse a case whose image is there, and not the one that was predicted.

        Raises:
            DataError: PAIR_OTHER_IMAGE, unless it is accepted.
        """
        names = [name for files in case.scans for name in files if name in self.references.names]
        if source and names:
            hashes = {hashlib.sha256(self.references.read(name)).hexdigest() for name in names}
            if not hashes <= source:
                ask_other_image(Findings(self.rules.accept))

    def _reference(self, case: Case) -> tuple[Scan, Scan | None, frozenset[int | str]]:
        """Return class numbers, the numbers of objects if there are any, and what was held."""
        if not tells_objects(case, self.rules):
            findings = Findings(self.rules.accept)
            try:
                label = read_case_label(self.references, case, self.rules, findings=findings)
            except DataError as error:
                raise self._record.advised(error) from error.__cause__
            return label, None, frozenset(findings.held)
        objects = read_objects(self.references, case, Findings(self.rules.accept), self.rules)
        mask = (objects.array != 0).astype(np.uint8)
        if self.rules.void is not None:
            mask[objects.array == IGNORED] = self.rules.void
            objects = objects.holding(np.where(objects.array == IGNORED, 0, objects.array))
        return objects.holding(mask), objects, frozenset()

    def _fitted(self, prediction: Scan, reference: Scan) -> tuple[Scan, list[DataError]]:
        """Return a prediction on the grid of its reference, which is never changed itself.

        With it comes an error for each class that is lost on the way.

        Raises:
            DataError: as `fit_label`.
        """
        findings = Findings(self.rules.accept)
        fitted = fit_label(reference, prediction, findings, "prediction", "reference")
        return fitted, [found.error for found in findings.found if found.level == "warning"]

    def _prediction(self, file: str | None, findings: Findings) -> Scan:
        """Return class numbers or those of objects, `(1, ...)`, on the grid of the prediction."""
        if file is None:
            raise DataError("PRED_MISSING", "no prediction", "predict it, or leave the case out")
        scan = read_label(self.predictions, file, findings, self._predicted)
        if self.instances:
            nothing_ignored = Rules((), self.rules.labels, instances=self.rules.instances)
            return scan.holding(as_ids(scan.array, findings, nothing_ignored))
        told = replace(self._predicted, labels=self.rules.labels, accept=self.rules.accept)
        label = as_classes(scan, told, findings)
        check_predicted(label, told)
        return scan.holding(label)


def ask_other_image(findings: Findings) -> None:
    """Refuse an image that is not the one that was predicted.

    Raises:
        DataError: PAIR_OTHER_IMAGE, unless it is accepted.
    """
    findings.ask(
        "PAIR_OTHER_IMAGE",
        "not the image that was predicted",
        "give the images of the prediction, or predict this one",
    )


def open_pairs(
    predictions: str | Path,
    references: str | Path | Tree,
    only: set[str] | None = None,
    config: DataConfig | None = None,
    max_ram: float | None = None,
    *,
    instances: bool = False,
) -> Pairs:
    """Find the references of a raw dataset and the predictions of the same names.

    Classes are those of `config`, of the predictions' record, of the dataset and of what another
    tool left beside its predictions, which must agree; the label map is that of `config`, else the
    recorded one.

    Args:
        predictions: folder of label files named like the cases.
        references: raw dataset in a known layout, or a folder of label files; or its tree, if it
            is open already.
        only: ids of the cases to compare. Default: all.
        config: classes and label map.
        max_ram: gigabytes of memory that one case may take. Default: no limit.
        instances: predictions hold ids of objects, and so do references. Default: as is recorded.

    Raises:
        DataError: if there are no cases, or the record of the predictions is damaged; LBL_CLASSES
            if classes are stated differently; LBL_REGIONS if regions are; LBL_MIXED if palettes
            show one class as another; PRED_INSTANCES if ids are due where classes are recorded;
            SET_CONFLICT for ids of several classes, or of regions.
    """
    memory = bytes_of(max_ram)
    with memory_within(memory):
        pairs = _open(predictions, references, only, config, instances=instances)
        pairs = replace(pairs, memory=memory)
    for finding in (*findings_of(pairs.doubts), *pairs.differing(config or DataConfig())):
        say(f"{predictions}: {finding}")
    for finding in pairs.noticed:
        say(f"{pairs.references.root}: {finding}")
    return pairs


def _open(
    predictions: str | Path,
    references: str | Path | Tree,
    only: set[str] | None,
    config: DataConfig | None,
    *,
    instances: bool,
) -> Pairs:
    tree = references if isinstance(references, Tree) else open_tree(references)
    layout = find_labels(tree, config.label_folder if config else None)
    cases = choose(layout.cases, only, layout.problems)
    predicted = open_tree(predictions)
    recorded = read_recorded(predicted)
    if instances and recorded.rules and not recorded.instances:
        found = f"{MANIFEST} says that {predictions} holds classes, not ids of objects"
        raise DataError("PRED_INSTANCES", found, "predict by --instances, or leave it out here")
    instances = instances or recorded.instances
    hashes = recorded.hashes
    own = [name for name in predicted.names if is_scan_name(name)] if recorded.complete else []
    predicted = held_to(predicted, {**hashes, **in_their_place(predicted.names, hashes)}, own)
    asked = config or DataConfig()
    classes_of(DataConfig(labels=asked.labels), None)  # refuses what cannot be
    known = recorded.rules or Rules((), {})
    stated = [
        (SETTINGS, without_ignored(asked.labels or {})),
        ("the record of the predictions", known.labels),
        (f"{layout.described_in} beside the references", layout.stated)
        if layout.described_in
        else ("the dataset", layout.stated),
        *((f"{file} beside the predictions", c) for file, c in classes_beside(predicted)),
    ]
    if layout.name == "labels":  # of which that file may lie beside, and is not read by the layout
        stated += [(f"{file} beside the references", c) for file, c in classes_beside(tree)]
    declared = [(who, classes) for who, classes in stated if classes]
    check_named_alike(declared)
    mapped = is_written_by(tree.root, "convert")
    config = DataConfig(
        labels=declared[0][1] if declared else layout.labels,
        regions=asked.regions,
        # A copy of `sdunet convert` holds class numbers already.
        label_map=asked.label_map or ({} if mapped else known.label_map),
        structures=asked.structures or known.structures,
    )
    config, regions = with_regions(config, recorded.rules, layout.regions, predicted)
    known_ignored = known.ignored if layout.ignored is None else layout.ignored
    if layout.ignored is not None:  # its number may be that of a class by now
        moved = config.label_map.get(layout.ignored, layout.ignored)
        known_ignored = layout.ignored if moved in (config.labels or {}).values() else moved
    ignored = ignored_of(asked if asked.labels else config, known_ignored)
    accept = tuple(sorted({*asked.accept, *known.accept}))
    masks = [name for case in layout.cases for name in case.masks]
    files, doubtful = files_by_case(predicted, [case.id for case in layout.cases])
    noticed = [finding for finding in layout.findings if finding.level == "warning"]
    noticed += predictions_as_references(tree)
    if not known.regions:  # else classes of the same names are those that they are made of
        told = [(layout.described_in or "the dataset", layout.regions), *regions_beside(predicted)]
        noticed += doubt_about_regions(asked, declared, told, regions)
    settled = recorded.rules or config.labels or config.label_map or config.structures
    objects = instances or asked.instances
    if not (settled or objects) and show_binary((tree, masks), (predicted, files.values())):
        config = replace(config, label_map=BINARY)
        noticed.append(note_of("references"))
    form = decide(look_at_masks(tree, masks), known.form)
    classes = classes_of(config, None, ignored)
    check_not_mapped(tree.root, asked.label_map, classes, layout.labels)
    check_regions(regions, classes)
    if objects:
        check_no_objects([region.name for region in regions])
    _, name = learned_classes(replace(config, instances=objects), classes)
    maps = config.label_map, config.structures
    rules = Rules((), classes, *maps, accept, form, ignored, name, regions)
    # Our own hold class numbers already; mapping them again could swap classes.
    label_map = {} if recorded.rules else config.label_map
    drawn = decide(look_at_masks(predicted, files.values()))
    if not recorded.rules:  # colours of our own are of no set but theirs
        check_shown_alike(("references", form, rules.label_map), ("predictions", drawn, label_map))
    predicted_by = replace(rules, label_map=label_map, form=drawn)
    problems = [
        error for error in (*layout.problems, *doubtful) if only is None or error.case in only
    ]
    for id_ in sorted(set(files) - {case.id for case in layout.cases}):
        problems.append(
            DataError("PRED_EXTRA", "no reference", "remove it", case=id_, file=files[id_])
        )
    return Pairs(
        rules,
        tuple(problems),
        tuple(cases),
        tuple(noticed),
        tree,
        predicted,
        files,
        predicted_by,
        recorded,
        instances=instances,
    )
