"""A package, made once: exporting takes seconds."""

import pytest

from sdunet.segmentation.export.package import _zip, export


@pytest.fixture(scope="session")
def packages(trained_discs, tmp_path_factory):
    """A package as folder and as zip, made once."""
    root = tmp_path_factory.mktemp("packages")
    export(trained_discs / "run", root / "folder", onnx=True)
    _zip(root / "folder", root / "packed.zip")
    return root
