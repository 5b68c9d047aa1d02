"""Find the cases of a raw dataset from the names of its files."""

from data_prep.layouts.cases import Case, Layout, choose
from data_prep.layouts.detect import find_labels, find_layout

__all__ = ["Case", "Layout", "choose", "find_labels", "find_layout"]
