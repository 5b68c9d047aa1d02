"""What tests of raw data share."""

import json

import pytest


@pytest.fixture
def written(tmp_path):
    """Writer of files by name, JSON where the content is no bytes."""

    def write(files, folder="raw"):
        for name, data in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        return tmp_path / folder

    return write
