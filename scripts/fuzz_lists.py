"""Sets whose lists and folders are spelled at random: each word is obeyed or named, none dropped.

A set is made of cases of which it is known where they belong: to training or a part kept apart, to
a fold, to a patient, to a folder of labels. Then what tells so is spelled as people may, and in
ways that nobody means. Where a case comes to lie elsewhere, an error must say so, or a warning or
note that has the word.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from json import dumps
from pathlib import Path

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.findings import Finding
from data_prep.files.file_tree import Tree
from data_prep.layouts import Layout, find_layout

_CASES = tuple(f"c{number}" for number in range(6))
_PARTS = {"train": None, "val": "test", "test": "test"}
_WORDS = {
    "train": ("train", "training", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "holdout", "unseen"),
}
_COLUMNS = {
    "split": ("split", "subset", "partition", "set", "data split"),
    "fold": ("fold",),
    "patient": ("patient", "patient id", "subject", "participant id", "subject id"),
}
_SAID_ANYWAY = ("SPLIT_KEPT", "SPLIT_VALIDATION")  # of what is understood
_FOLDERS = ("masks", "labels", "labelsTr", "gt", "ground truth", "segmentations", "1st manual")


_WAYS: tuple[Callable[[str], str], ...] = (
    *(str.upper, str.title, lambda w: f" {w}", lambda w: f"{w} ", lambda w: f"{w}\u00a0"),
    *(lambda w: w.replace(" ", "_"), lambda w: w.replace(" ", "-"), lambda w: w.replace(" ", "")),
    *(lambda w: f"my_{w}", lambda w: f"{w}_1", lambda w: f"{w}.", lambda w: f"({w})"),
    *(lambda w: f"{w}/x", lambda w: w),
)
_SLIPS: tuple[Callable[[str], str], ...] = (
    *(lambda w: w[:-1], lambda w: w + w[-1], lambda w: w[1:], lambda w: f"{w}s"),
    *(lambda w: w.replace("a", "\u0430"), lambda w: w[1] + w[0] + w[2:]),
)
_SHORT = 4  # letters, of which a slip leaves nothing to know a word by


def spelled(word: str, random: np.random.Generator) -> str:
    """Return a word as it is, or as somebody may write it, perhaps with a slip of the hand."""
    if random.integers(2):
        return word
    if len(word) > _SHORT and random.integers(3) == 0:
        word = _SLIPS[random.integers(len(_SLIPS))](word)
    return _WAYS[random.integers(len(_WAYS))](_WAYS[random.integers(len(_WAYS))](word))


def _spelled_part(part: str, random: np.random.Generator) -> str:
    return spelled(_WORDS[part][random.integers(len(_WORDS[part]))], random)


def _number(fold: int, random: np.random.Generator) -> str:
    forms = (
        "{}",
        "{}.0",
        "0{}",
        " {} ",
        "fold_{}",
        "Fold {}",
        "{}.5",
        "-{}",
        "{}e0",
        "f{}",
        "{}, ",
    )
    return forms[random.integers(len(forms))].format(fold)


def _tree(files: Mapping[str, bytes]) -> Tree:
    return Tree(Path("set"), tuple(sorted(files)), lambda name, limit: files[name][:limit])


def _listed(
    column: str, values: Iterable[str], random: np.random.Generator
) -> tuple[Tree, list[str]]:
    """Return a set with a list of a column, and the words that it tells by."""
    values = list(values)
    files = {f"{at}/{name}.png": b"" for at in ("i", "m") for name in _CASES}
    rows = [(f"i/{n}.png", f"m/{n}.png", v) for n, v in zip(_CASES, values, strict=True)]
    if random.integers(2):
        keys = ("image", "label", column)
        records = [dict(zip(keys, row, strict=True)) for row in rows]
        files["list.json"] = dumps({"training": records}).encode()
    else:
        quoted = [[f'"{cell}"' for cell in row] for row in (("image", "label", column), *rows)]
        files["list.csv"] = "\n".join(",".join(row) for row in quoted).encode()
    return _tree(files), [column, *values]


def splits(random: np.random.Generator) -> tuple[Tree, list[str], Callable[[Layout], set[str]]]:
    """Return a list with a column of parts, its words, and what says which cases lie elsewhere."""
    parts = [("train", "train", "train", "val", "test", "test")[i] for i in random.permutation(6)]
    one = {part: _spelled_part(part, random) for part in _PARTS}
    names = _COLUMNS["split"]
    column = spelled(names[random.integers(len(names))], random)
    tree, words = _listed(column, [one[part] for part in parts], random)
    due = {name: _PARTS[part] for name, part in zip(_CASES, parts, strict=True)}
    return tree, words, lambda layout: {c.id for c in layout.cases if c.split != due[c.id]}


def folds(random: np.random.Generator) -> tuple[Tree, list[str], Callable[[Layout], set[str]]]:
    """Return the same of folds."""
    told = [int(n) for n in random.permutation([0, 0, 1, 1, 2, 2])]
    values = [_number(fold, random) if random.integers(2) else str(fold) for fold in told]
    column = spelled("fold", random)
    tree, words = _listed(column, values, random)
    due = dict(zip(_CASES, told, strict=True))
    return tree, words, lambda layout: {c.id for c in layout.cases if c.split != due[c.id]}


def patients(random: np.random.Generator) -> tuple[Tree, list[str], Callable[[Layout], set[str]]]:
    """Return the same of patients, who have two cases each."""
    told = [int(n) for n in random.permutation([0, 0, 1, 1, 2, 2])]
    forms = ("p{}", "{}", " p{}", "p{} ")
    start = random.integers(2)
    values = [forms[start if start else 2 * random.integers(2)].format(n) for n in told]
    names = _COLUMNS["patient"]
    column = spelled(names[random.integers(len(names))], random)
    tree, words = _listed(column, values, random)
    due = dict(zip(_CASES, told, strict=True))

    def apart(layout: Layout) -> set[str]:
        held: dict[int, set[object]] = {}
        for case in layout.cases:
            person = case.patient if case.patient is not None else case.group
            held.setdefault(due[case.id], set()).add(person or case.id)
        torn = {person for person, groups in held.items() if len(groups) > 1}
        return {name for name, person in due.items() if person in torn}

    return tree, words, apart


def label_folders(
    random: np.random.Generator,
) -> tuple[Tree, list[str], Callable[[Layout], set[str]]]:
    """Return folders of images and labels, perhaps with another that may be of labels."""
    folder = spelled(_FOLDERS[random.integers(len(_FOLDERS))], random)
    others = ("", "roi", "mask", "2nd manual", "labels_old")
    other = others[random.integers(len(others))]
    folders = [name for name in dict.fromkeys((folder, other)) if name]
    files = {f"{at}/{name}.png": b"" for at in ("images", *folders) for name in _CASES}

    def elsewhere(layout: Layout) -> set[str]:
        right = {c.id for c in layout.cases if [f.rsplit("/", 1)[0] for f in c.labels] == [folder]}
        return set(_CASES) - right if len(folders) == 1 else set(_CASES)

    return _tree(files), folders, elsewhere


def part_folders(
    random: np.random.Generator,
) -> tuple[Tree, list[str], Callable[[Layout], set[str]]]:
    """Return folders of images and labels for training, and others for a part kept apart."""
    part = ("val", "test")[random.integers(2)]
    both = [_spelled_part(one, random) for one in ("train", part)]
    form = ("{0}/{1}", "{1}/{0}", "{0}_{1}")[random.integers(3)]
    due = {name: number // 3 for number, name in enumerate(_CASES)}  # training first
    files = {
        f"{form.format(at, both[number])}/{name}.png": b""
        for at in ("images", "labels")
        for name, number in due.items()
    }
    return (
        _tree(files),
        both,
        lambda layout: {
            case.id for case in layout.cases if (case.split == "test") != bool(due[case.id])
        },
    )


SETS = {
    "list.splits": splits,
    "list.folds": folds,
    "list.patients": patients,
    "folders.labels": label_folders,
    "folders.parts": part_folders,
}


def fuzz_set(name: str, n: int, seed: int) -> tuple[Counter, list[tuple[str, str, int]]]:
    """Return how many of `n` sets ended how, and the bad ones: verdict, words, number."""
    random, counts, bad = np.random.default_rng([seed, *name.encode()]), Counter(), []
    for number in range(n):
        tree, words, elsewhere = SETS[name](random)
        found, what = verdict(tree, words, elsewhere)
        counts[found.split(" ")[0] if found.startswith("CRASH") else found] += 1
        if found not in ("refused", "as before", "named"):
            bad.append((found, what, number))
    return counts, bad


def verdict(
    tree: Tree, words: Iterable[str], elsewhere: Callable[[Layout], set[str]]
) -> tuple[str, str]:
    """Return what became of a set: refused, as before, named or WRONG, and what it was."""
    try:
        layout = find_layout(tree)
    except DataError as error:
        return "refused", error.code
    except BaseException as error:
        return f"CRASH {type(error).__name__}: {error}"[:100], repr(list(words))
    wrong = elsewhere(layout)
    wrong -= {problem.case for problem in layout.problems}
    if not wrong:
        return ("refused", layout.problems[0].code) if layout.problems else ("as before", "")
    if any(_names(finding, words) for finding in layout.findings):
        return "named", layout.findings[0].code
    return "WRONG", f"{list(words)!r} of {list(tree.names)[:3]!r}: {sorted(wrong)}"


def _names(finding: Finding, words: Iterable[str]) -> bool:
    bare = [word.strip() for word in words]
    written = {form for word in bare if word for form in (word, repr(word)[1:-1])}
    whole = [rf"(?<![^\W_]){re.escape(form)}(?![^\W_])" for form in written]
    return finding.code not in _SAID_ANYWAY and any(re.search(f, finding.found) for f in whole)
