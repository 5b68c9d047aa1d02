"""What is doubtful about trained networks and was accepted; all that is made with them tells it."""

from collections.abc import Collection, Iterable
from pathlib import Path

from data_prep.core.codes import explain
from data_prep.core.parse import read_json, usable
from data_prep.files.atomic import write_json
from data_prep.files.written_files import is_listed
from sdunet.runtime.doubts import UNFINISHED, UNLISTED
from sdunet.segmentation.models.integrity import ACCEPTED, is_sealed
from sdunet.segmentation.models.trained_model import DESCRIPTION, WEIGHTS, check_finished


def doubts_of(run: Path, accept: Collection[str] = ()) -> set[str]:
    """Return the codes of what is doubtful about a run, or was about that of a package.

    Raises:
        DataError: RUN_UNFINISHED, unless accepted; PACKAGE_LIST if the record is damaged.
    """
    found = set() if check_finished(run, accept) else {UNFINISHED}
    if (run / ACCEPTED).exists():
        with usable("PACKAGE_LIST", run / ACCEPTED, "fetch the package again"):
            record = read_json(run / ACCEPTED)
            return found | {explain(str(code)).name for code in record["accepted"]}
    is_run = (run / DESCRIPTION).exists()  # and no folder of several
    listed = all(is_listed(run / name) for name in (DESCRIPTION, WEIGHTS))
    if is_run and not is_sealed(run) and not listed:
        found.add(UNLISTED)
    return found


def write_accepted(folder: Path, codes: Iterable[str]) -> None:
    """Write into a package what was doubtful about its run."""
    write_json(folder / ACCEPTED, {"accepted": sorted(codes)})
