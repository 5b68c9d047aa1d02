"""Names of structures in a file, held to the names of the classes."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from data_prep.core.findings import Findings
from data_prep.planning.classes import IGNORE, is_ignore

_SHOWN = 8


def plain(name: str) -> str:
    """Return a name as names are compared: its capitals and blanks around it do not matter."""
    return name.strip().lower()


def check_names(names: Iterable[str], classes: Mapping[str, int], findings: Findings) -> None:
    """Tell of classes that no structure of a file is called by, and of names nearly theirs.

    So is told of one that says by its name that it is to be ignored, and is not.

    Args:
        names: of the structures of one file.
        classes: names of structures, see `plain`, to class numbers.
        findings: take what is found.

    Raises:
        DataError: LBL_NEAR if a structure that is no class is called nearly as a class that has
            none here, unless accepted.
    """
    names = sorted(set(names))
    there = {classes[plain(name)] for name in names if plain(name) in classes}
    unused = [name for name in names if plain(name) not in classes]
    if any(map(is_ignore, unused)):
        found = f"a structure is called {IGNORE!r}, is no class, and its voxels are background"
        fix = f"name it beside the classes: dataset.labels: {{{IGNORE}: 255}}"
        findings.warn("DCM_UNUSED", found, fix)
    near: dict[int, list[str]] = defaultdict(list)
    numbers = {_bare(name): number for name, number in classes.items()}
    for name in unused:
        if _bare(name) and _bare(name) in numbers:
            near[numbers[_bare(name)]].append(name)
    called = {number: name for name, number in reversed(list(classes.items()))}
    for number, several in near.items():
        found = f"{several[:_SHOWN]} are no class, and called nearly as class {called[number]}"
        if number in there:
            findings.warn("LBL_NEAR", f"{found}, which is there", "look whether they belong to it")
        else:
            fix = "call them alike, or name all structures: dataset.structures: {name: number}"
            findings.ask("LBL_NEAR", f"{found}, which is not there", fix)
    for number in sorted(set(classes.values()) - there - set(near)):
        if unused and called[number] != IGNORE:  # which cases may well be without
            found = f"no structure of class {called[number]}; what is no class: {unused[:_SHOWN]}"
            findings.warn("LBL_MISSING", found, "look whether it is there by another name")


def classes_called(cases: Iterable[Collection[str]]) -> list[str]:
    """Return the classes that the structures of all cases name, sorted.

    Names that differ in capitals and blanks around them are one. Of names that are nearly alike,
    see `check_names`, and never in one case together, most cases decide: what the others have is
    no class, which `check_names` then tells of in each of them.

    Args:
        cases: names of the structures of each.
    """
    there = [{plain(name) for name in names} for names in cases]
    spelt = Counter(name for names in cases for name in {*names})
    times = Counter(name for names in there for name in names)
    near: dict[str, list[str]] = defaultdict(list)
    for name in times:
        near[_bare(name) or name].append(name)
    chosen = set()
    for several in near.values():
        apart = all(len(names & {*several}) < 2 for names in there)
        chosen |= {min(several, key=lambda n: (-times[n], n))} if apart else {*several}
    return sorted(
        min((s for s in spelt if plain(s) == n), key=lambda s: (-spelt[s], s)) for n in chosen
    )


def _bare(name: str) -> str:
    """Return a name without accents, plural, and what stands between words; `+` tells margins."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in letters if c.isalnum() or c == "+").removesuffix("s")
