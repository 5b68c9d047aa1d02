"""Damage files of every format at random, read them, and count what comes back wrong unsaid.

A mutant may be refused by a named error, or be read as what it was before. Everything else is
counted: as wrong, or as a crash, which is any other error than a named one. Where a format has no
checksum, no reader can know that a voxel, or a number of the header that nothing else repeats, was
another one before: those bytes are cut, but not changed. In `nrrd.head` and `metaimage.head` whole
words of the header are put in place of others, such as no damage of single bytes makes. In `list.`
and `folders.` the words of lists and folders are spelled otherwise, see `fuzz_lists.py`.

python scripts/fuzz_readers.py --n 20000
"""

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from fuzz_files import FORMATS, HEADS, unknowable
from fuzz_lists import SETS, fuzz_set

from data_prep.core.errors import DataError
from data_prep.core.geometry import ROUNDED, voxels_apart
from data_prep.core.scan import Scan

_SLOW_SECONDS = 5.0
_WORDS = (
    *(b"", b"0", b"-1", b"1e999", b"nan", b"inf", b"-inf", b"99999999999999999999", b"1.5", b"()"),
    *(
        b"none",
        b"True",
        b"\xff\xfe",
        b"\xc2\x85",
        b":",
        b"=",
        b"(1,2",
        b"LOCAL",
        b"3 4",
        b"*",
        b"../a",
    ),
)


def header_mutant(head: bytes, free: set[int], random: np.random.Generator) -> bytes:
    """Return a text header with a word or a line of it exchanged, doubled or left out."""
    found = list(re.finditer(rb"[^\s,()]+|\s|[,()]", head))
    pieces = [one.group() for one in found]
    places = [i for i, one in enumerate(found) if one.group().strip() and one.start() not in free]
    for _ in range(random.integers(1, 3)):
        at = places[random.integers(len(places))]
        word = _WORDS[random.integers(len(_WORDS))]
        pieces[at] = (word, pieces[places[random.integers(len(places))]])[random.integers(2)]
    lines = b"".join(pieces).split(b"\n")
    kind, at = random.integers(4), random.integers(len(lines) - 1)
    if kind == 0:
        lines.insert(at, lines[random.integers(len(lines) - 1)])
    elif kind == 1:
        del lines[at]
    return b"\n".join(lines)


def mutant(data: bytes, free: set[int], random: np.random.Generator) -> tuple[bytes, str]:
    """Return damaged bytes, none of those in `free` changed, and which kind of damage it was."""
    places = [i for i in range(len(data)) if i not in free]
    kind = ("cut", "bit", "byte", "field")[random.integers(4)]
    if kind == "cut":
        return data[: random.integers(0, len(data))], kind
    out = bytearray(data)
    at = int(random.choice(places))
    if kind == "bit":
        out[at] ^= 1 << int(random.integers(8))
    elif kind == "byte":
        out[at] = int(random.integers(256))
    else:
        for i in range(at, min(at + 4, len(out))):
            if i not in free:
                out[i] = int(random.choice([0, 1, 0x7F, 0x80, 0xFF]))
    return bytes(out), kind


def verdict(read: Callable[[bytes], Scan], good: Scan, data: bytes) -> str:
    """Return what became of a mutant: refused, as before, WRONG or CRASH."""
    try:
        got = read(data)
    except DataError:
        return "refused"
    except BaseException as error:
        return f"CRASH {type(error).__name__}: {error}"[:100]
    same = got.array.dtype == good.array.dtype and np.array_equal(got.array, good.array)
    if same and good.affine is not None:
        # What a header says twice may differ by what its rounding does.
        same = voxels_apart(got.affine, good.affine, good.size) <= ROUNDED
    return "as before" if same else "WRONG"


def fuzz(name: str, n: int, seed: int) -> tuple[Counter, list[tuple[str, str, int]]]:
    """Return how many of `n` mutants ended how, and the bad ones: verdict, kind, first byte."""
    data, read = FORMATS[name]
    good, random = read(data), np.random.default_rng([seed, *name.encode()])
    free = unknowable(name, data)
    counts: Counter = Counter()
    bad = []
    for _ in range(n):
        if head := HEADS.get(name):
            broken, kind = header_mutant(head, free, random) + data[len(head) :], "words"
        else:
            broken, kind = mutant(data, free, random)
        started = time.monotonic()
        found = verdict(read, good, broken)
        if time.monotonic() - started > _SLOW_SECONDS:
            found = "CRASH hangs"
        counts[found.split(" ")[0] if found.startswith("CRASH") else found] += 1
        if found not in ("refused", "as before"):
            first = next((i for i, (a, b) in enumerate(zip(data, broken, strict=False)) if a != b),
                         len(broken))  # fmt: skip
            bad.append((found, kind, first))
    return counts, bad


def main() -> int:
    """Run, print a table, and return whether any mutant was wrong unsaid."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("formats", nargs="*", default=[*FORMATS, *SETS])
    arguments.add_argument("--n", type=int, default=500, help="mutants of each format")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    worst = 0
    for name in options.formats:
        counts, bad = (fuzz_set if name in SETS else fuzz)(name, options.n, options.seed)
        told = ", ".join(f"{found} {count}" for found, count in counts.most_common())
        print(f"{name:<15}{options.n} mutants: {told}", flush=True)
        for found, kind, at in bad[:20]:
            print(f"    {found} ({kind}, from {at})")
        worst |= bool(bad)
    return worst


if __name__ == "__main__":
    sys.exit(main())
