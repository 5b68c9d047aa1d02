"""Arrays are used again only where the same files are in the same places."""

import numpy as np

from data_prep.core.config import DataConfig
from data_prep.prepared.prepare import prepare


def test_files_that_change_places_are_prepared_anew(tmp_path, write_picture):
    root, out = tmp_path / "raw", tmp_path / "out"
    random = np.random.default_rng(0)
    for name in "abc":
        for kind in ("T1", "T2"):
            write_picture(root / f"{name}_{kind}.png", random.integers(0, 99, (9, 9), np.uint8))
        write_picture(root / f"{name}_label.png", np.eye(9, dtype=np.uint8))
    config = DataConfig(channels=("T1", "T2"))
    rows = [f"{name},{name}_T1.png|{name}_T2.png,{name}_label.png" for name in "abc"]
    (root / "list.csv").write_text("\n".join(["id,image,label", *rows]))
    first = prepare(root, out, config)[0].arrays("a")[0].copy()
    turned = [f"{name},{name}_T2.png|{name}_T1.png,{name}_label.png" for name in "abc"]
    (root / "list.csv").write_text("\n".join(["id,image,label", *turned]))
    second = prepare(root, out, config)[0].arrays("a")[0]
    np.testing.assert_array_equal(second, first[::-1])
    assert not np.array_equal(first, second)
