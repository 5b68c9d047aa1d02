"""Images for a trained network: the cases of a folder, with channels in the order of training."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.core.scan_checks import order_of_channels
from data_prep.files.file_tree import Tree
from data_prep.layouts import Case, Layout, find_layout
from data_prep.layouts.by_folder import joined_folders
from data_prep.layouts.cases import without
from data_prep.layouts.folders.channel_files import crossed_channels
from data_prep.layouts.nnunet import joined_channels
from data_prep.reading.image import read_case_image
from sdunet.runtime.run_record import say


def cases_in(
    tree: Tree, plan: Plan, accepting: Findings, tell: Callable[[str], None] = say
) -> tuple[Layout, list[DataError]]:
    """Return the cases of a folder to predict, and an error for each file that may be one, too.

    Args:
        tree: the folder.
        plan: of the networks.
        accepting: what is noticed of the whole is added to it, and told.
        tell: is told what was found. Default: the user.

    Raises:
        DataError: if it is in no known layout, or its channels are not those of the plan.
    """
    layout = find_layout(tree, need_labels=False)
    layout = joined_channels(layout, len(plan.channels), tree.root)
    layout = joined_folders(layout, plan.channels)
    if not layout.channels:  # else they are taken by those names
        layout = without(layout, crossed_channels(layout, plan.channels))
    tell(f"layout {layout.name}, {len(layout.cases)} cases")
    unused = _unused(layout, accepting, tell)
    order_of_channels(layout.channels, plan.channels, accepting)
    for finding in accepting.found:
        tell(str(finding))
    cases = tuple(replace(case, channels=case.channels or layout.channels) for case in layout.cases)
    return replace(layout, cases=cases), unused


def _unused(layout: Layout, accepting: Findings, tell: Callable[[str], None]) -> list[DataError]:
    """Tell what was noticed of the files, and return errors for those that may be images, too.

    What a list leaves out is left out on purpose.
    """
    left = []
    for finding in layout.findings:
        if (finding.level, finding.code) == ("warning", "LAY_UNUSED") and not layout.listed_in:
            try:
                accepting.ask("LAY_UNUSED", finding.found, finding.fix)
            except DataError as error:
                left.append(error)
        else:
            tell(str(finding))
    return left


def read_in_order(
    tree: Tree, case: Case, plan: Plan, findings: Findings
) -> tuple[Scan, Sequence[int]]:
    """Read the image of a case, its channels in the order of training, and tell of that order.

    Raises:
        DataError: CH_OTHER if its channels have other names; as `read_case_image`.
    """
    scan = read_case_image(tree, case, findings)
    order = order_of_channels(case.channels, plan.channels, findings)
    if order != sorted(order) and len(scan.array) == len(order):
        scan = replace(scan, array=scan.array[order])
        findings.note("CH_ORDER", f"channels {order} of the dataset, by their names")
    return scan, order
