"""Kill every command that writes, at random moments; see that nothing is lost and nothing changes.

A command is first run undisturbed. Then it is begun in a process of its own, and it and all that it
started are killed at a random moment of the time it takes, its start and its end included. What it
left is read: no file may be half-written, and what a reader takes for whole must be. Half of the
times it is begun again and killed again; then it is run to its end, which must be that of the
undisturbed run byte for byte, but for times. Temporary files lie on the same file system and, where
there is one in memory, on another, in turn.

python scripts/fault_campaign.py --times 25
"""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from sdunet.runtime.threads import waiting_policy

os.environ.update(waiting_policy())  # before torch is imported

import torch
from fault_commands import COMMANDS, NEEDED, Command, make_inputs
from fault_files import content, contents, differing, files, is_readable

from data_prep.core.errors import DataError
from sdunet import demo
from sdunet.cli import main as cli
from sdunet.runtime.tables import markdown

_OTHER = Path("/dev/shm")
_LONGER = 1.1  # times what it takes: the last kills come when it is done
_HEAD = ["command", "kills", "while it ran", "left half-written", "taken for whole and not"]
_HEAD += ["run to its end", "as if undisturbed"]
# Imported before a process begins, which would only import for most of its time otherwise.
_PRELOADED = [
    *("fault_campaign", "data_prep.convert", "sdunet.segmentation.export.package"),
    *("sdunet.segmentation.training.cross_validation", "sdunet.segmentation.review.compare_page"),
    *(
        "sdunet.vae.training.train",
        "sdunet.vae.evaluation.evaluate",
        "sdunet.vae.evaluation.samples",
        "sdunet.vae.data.sources",
    ),
]


@dataclass
class Seen:
    """What was seen of a command, in the order of the table."""

    kills: int = 0
    running: int = 0
    half_written: int = 0
    taken_for_whole: int = 0
    ends: int = 0
    identical: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.half_written or self.taken_for_whole or self.identical < self.ends)


class Campaign:
    """Runs commands and kills them.

    Args:
        folder: for everything it writes.
        seed: of the moments.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.root, self.out = folder / "root", folder / "root/out"
        self.random = random.Random(seed)
        self.temporary = [folder / "temporary"]
        self.said = folder / "said"
        self.want: dict[str, bytes] = {}
        for path in (self.root, self.said, *self.temporary):
            path.mkdir()
        if _OTHER.is_dir():
            self.temporary.append(Path(tempfile.mkdtemp(dir=_OTHER)))
        make_inputs(self.root)
        for result, name in NEEDED.items():
            self._begin(COMMANDS[name])
            self._run(COMMANDS[name])
            self.out.rename(self.root / result)

    def close(self) -> None:
        """Remove what lies elsewhere."""
        for path in self.temporary:
            shutil.rmtree(path)

    def kill(self, name: str, times: int) -> Seen:
        """Kill a command so many times while it runs, and return what was seen.

        Kills that come too late, as it was done, are counted apart.

        Raises:
            AssertionError: if it fails, changes what it reads, or does not do the same twice.
        """
        command, seen = COMMANDS[name], Seen()
        seconds = self._undisturbed(command)
        read = self._inputs()
        while seen.running < times:
            self._begin(command)
            again = True
            while again:
                seen.running += self._run(command, self.random.uniform(0, seconds * _LONGER))
                seen.kills += 1
                self._look(name, seen)
                ended = command.once and self._passes_for_whole(command)
                again = not ended and seen.running < times and self.random.random() < 0.5
            if not ended:
                self._run(command)
            others = differing(contents(self.out), self.want)
            seen.ends, seen.identical = seen.ends + 1, seen.identical + (not others)
            _tell(name, "ended otherwise", others)
            assert self._inputs() == read, f"{name} changed what it reads"
        return seen

    def _look(self, name: str, seen: Seen) -> None:
        """Look at what a killed command left."""
        half = {path.name for path in files(self.out) if not self._is_whole(path)}
        seen.half_written += bool(half)
        _tell(name, "half-written", half)
        if self._passes_for_whole(COMMANDS[name]):
            # The record of the run, for people, is written when all else is whole.
            others = differing(contents(self.out), self.want) - {"run.json"}
            seen.taken_for_whole += bool(others)
            _tell(name, "taken for whole without", others)

    def _is_whole(self, path: Path) -> bool:
        wanted = self.want.get(path.relative_to(self.out).as_posix())
        return content(path.name, path.read_bytes()) == wanted or is_readable(path)

    def _passes_for_whole(self, command: Command) -> bool:
        try:
            command.read(self.out)
        except (DataError, OSError, ValueError):
            return False
        return True

    def _undisturbed(self, command: Command) -> float:
        """Run a command twice, keep what it makes, and return the seconds it takes."""
        results = []
        for _ in range(2):
            self._begin(command)
            begun = time.monotonic()
            self._run(command)
            seconds = time.monotonic() - begun
            results.append(contents(self.out))
        assert self._passes_for_whole(command), f"{command.lines} cannot be read"
        assert not differing(*results), f"{command.lines}: {differing(*results)} differ"
        self.want = results[0]
        return seconds

    def _begin(self, command: Command) -> None:
        """Empty the folder of results, or lay in it what the command goes on from."""
        shutil.rmtree(self.out, ignore_errors=True)
        if command.made_by:
            shutil.copytree(self.root / command.made_by, self.out)
        else:
            self.out.mkdir()

    def _inputs(self) -> dict[str, bytes]:
        paths = (path for path in self.root.rglob("*") if not path.is_relative_to(self.out))
        return {str(path): path.read_bytes() for path in paths if path.is_file()}

    def _run(self, command: Command, after: float | None = None) -> bool:
        """Run a command; kill it after some seconds and tell whether it was running then.

        Raises:
            AssertionError: if it failed by itself.
        """
        again = command.again * (not command.begun or (self.out / command.begun).exists())
        self.temporary.reverse()
        running = []
        for number, line in enumerate(command.lines):
            line, said = f"{line} {again}".format(out=self.out.name), self.said / str(number)
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(_PRELOADED)
            arguments = (line.split(), self.root, self.temporary[0], said)
            running.append((context.Process(target=_work, args=arguments), line, said))
        for process, *_ in running:
            process.start()
        until = None if after is None else time.monotonic() + after
        for process, *_ in running:
            process.join(None if until is None else max(0, until - time.monotonic()))
        were_running = [process.is_alive() for process, *_ in running]
        for process, line, said in running:
            _kill(process)
            known = (-signal.SIGKILL, 0, *[1] * line.startswith("demo"))  # 1: it learnt too little
            assert process.exitcode in known, f"{line}: {process.exitcode}\n{said.read_text()}"
        return any(were_running)


def _work(arguments: Sequence[str], root: Path, temporary: Path, said: Path) -> None:
    """Run the command line in a process group of its own."""
    os.setpgid(0, 0)
    with said.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(root)
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    torch.set_num_threads(1)  # sums over several threads round in another way
    small = replace(demo.TASK.network, features=(4, 6, 8), num_features=2)
    few = replace(demo.TASK.training, epochs=1, patches_per_case=1, device="cpu")
    demo.TASK = replace(demo.TASK, network=small, training=few)
    sys.exit(cli.main(arguments))


def _kill(process: multiprocessing.Process) -> None:
    """Kill a process and all of its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it did not get so far as to have a group, or all are gone
        process.kill()
    process.join()


def _tell(name: str, what: str, which: Iterable[str]) -> None:
    if which:
        print(f"{name}: {what}: {', '.join(sorted(which))}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the campaign in a temporary folder, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kills = "kills of each command while it runs"
    arguments.add_argument("--times", type=int, default=25, help=kills)
    arguments.add_argument("--commands", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    lines, good = [], True
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), options.seed)
        for name in options.commands:
            seen = campaign.kill(name, options.times)
            lines.append([name, *map(str, astuple(seen))])
            good &= seen.good
            print(markdown(_HEAD, lines[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
        campaign.close()
    totals = [sum(int(line[column]) for line in lines) for column in range(1, len(_HEAD))]
    print(markdown(_HEAD, [*lines, ["all", *map(str, totals)]]), end="")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
