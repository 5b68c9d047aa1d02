"""Results of sdunet as another tool, an earlier version or a careful forger would leave them."""

import json
import shutil


def disown(folder):
    """Remove the list of what was written into a folder, and the hashes that its records carry."""
    shutil.rmtree(folder / ".sdunet", ignore_errors=True)
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        if isinstance(record, dict):
            for name in ("sha256", "splits_sha256"):
                record.pop(name, None)
            if path.name == "predictions.json":
                record["cases"] = []  # as it was before there were hashes
            path.write_text(json.dumps(record))
    return folder


def rewrite(path, change):
    """Change a record so that no hash tells of it."""
    disown(path.parent)
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
