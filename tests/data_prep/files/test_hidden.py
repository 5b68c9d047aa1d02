"""What file servers and file managers leave is no case and no error, wherever it lies."""

import tarfile
import zipfile

import numpy as np
import pytest
from bad_sets import png

from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from sdunet.vae.data.picture_folder import files_of

LEFT = (
    *("@eaDir/SYNOFILE_THUMB_M.png", ".thumbnails/a.png", ".DS_Store", "._a.png", "Thumbs.db"),
    *("__MACOSX/._a.png", ".ipynb_checkpoints/a-checkpoint.png", "$RECYCLE.BIN/$R1.png"),
    *("desktop.ini", "THUMBS.DB", "lost+found/a.png", "System Volume Information/a.png"),
)
PICTURE = png(np.arange(48, dtype=np.uint8).reshape(6, 8))
FILES = ("images/a.png", "images/b.png", "masks/a.png", "masks/b.png")


def packed(root, tmp_path, kind):
    if kind == "folder":
        return root
    path = tmp_path / f"set.{kind}"
    with zipfile.ZipFile(path, "w") if kind == "zip" else tarfile.open(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                add = archive.write if kind == "zip" else archive.add
                add(file, file.relative_to(root).as_posix())
    return path


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize("folder", ["", "images/", "masks/"])
@pytest.mark.parametrize("left", LEFT)
def test_they_are_left_out_and_counted(written, tmp_path, left, folder, kind):
    root = written(dict.fromkeys((*FILES, folder + left), PICTURE))
    tree = open_tree(packed(root, tmp_path, kind))
    layout = find_layout(tree)
    assert tree.names == FILES
    assert [case.id for case in layout.cases] == ["a", "b"]
    assert not layout.problems
    assert [f.code for f in layout.findings] == ["LAY_HIDDEN"]
    told = folder + (left.split("/", maxsplit=1)[0])
    assert layout.findings[0].found.endswith(f"are not read: {told}")
    assert [f.code for f in find_layout(tree, need_labels=False).findings] == ["LAY_HIDDEN"]


def test_a_hidden_folder_counts_once(written):
    left = {f"images/@eaDir/{n}.png": PICTURE for n in range(5)}
    layout = find_layout(open_tree(written(dict.fromkeys(FILES, PICTURE) | left)))
    assert layout.findings[0].found.startswith("1 files and folders")


def test_a_link_in_a_hidden_folder_of_an_archive_is_no_loss(written, tmp_path):
    root = written(dict.fromkeys(FILES, PICTURE))
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX/x.png").symlink_to("../images/a.png")
    layout = find_layout(open_tree(packed(root, tmp_path, "tar")))
    assert not layout.problems


def test_nothing_is_told_where_nothing_is_hidden(written):
    layout = find_layout(open_tree(written(dict.fromkeys(FILES, PICTURE))))
    assert not layout.findings


def test_pictures_to_generate_from_are_taken_by_the_same_rule(written):
    root = written(dict.fromkeys(("a.png", "x/b.png", *LEFT), PICTURE))
    pictures, others, told = files_of(root)
    assert (pictures, others) == (["a.png", "x/b.png"], [])
    assert [finding.code for finding in told] == ["LAY_HIDDEN"]
