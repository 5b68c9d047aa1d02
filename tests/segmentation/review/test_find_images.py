"""Images are found by the names of their references, also where nnU-Net numbers their channels."""

import numpy as np
import pytest
from bad_sets import png

from data_prep.files.file_tree import open_tree
from data_prep.layouts import Case
from sdunet.segmentation.review.case_view import find_images

PICTURE = png(np.random.default_rng(0).integers(0, 255, (16, 16), np.uint8))


@pytest.mark.parametrize(
    ("files", "ids", "found"),
    [
        (("a_0000.png", "b_0000.png"), "ab", {"a": 1, "b": 1}),
        (("a_0000.png", "a_0001.png", "b_0000.png", "b_0001.png"), "ab", {"a": 2, "b": 2}),
        (("a_0000.png", "b_0000.png"), ("a_0000", "b_0000"), {"a_0000": 1, "b_0000": 1}),
        (("a_0000.png", "b.png"), "ab", {"a_0000": 1, "b": 1}),
        (("a.png", "b.png"), "xy", {"a": 1, "b": 1}),
    ],
)
def test_images_are_found_by_the_names_of_references(tmp_path, files, ids, found):
    for name in files:
        (tmp_path / name).write_bytes(PICTURE)
    tree = open_tree(tmp_path)
    references = [Case(id_, ((f"{id_}.png",),), (f"{id_}.png",)) for id_ in ids]
    cases = find_images(tree, references)
    assert {id_: len(case.scans) for id_, case in cases.items()} == found
