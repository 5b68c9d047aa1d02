"""Run the notebooks of docs/tutorials, and keep what they print and show.

    python scripts/run_tutorials.py

Each runs in a folder of its own, which is removed: what they write is not kept.
"""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parents[1] / "docs/tutorials"


def run_tutorial(path: Path) -> None:
    """Run a notebook from its start, and write it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=600,
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/jpeg", None)  # the same picture again
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for path in sorted(TUTORIALS.glob("*.ipynb")):
        run_tutorial(path)
