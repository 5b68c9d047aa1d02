"""Workflows of MONAI bundles, as `monai.bundle` makes them."""

from monai.bundle import ConfigWorkflow

_FILES = {"infer": "inference", "train": "train"}


def workflow(kind, root, data, out, **more):
    """Return the workflow of a bundle that infers or trains, begun."""
    made = ConfigWorkflow(
        config_file=str(root / f"configs/{_FILES[kind]}.json"),
        meta_file=str(root / "configs/metadata.json"),
        logging_file=False,
        workflow_type=kind,
        bundle_root=str(root),
        dataset_dir=str(data),
        output_dir=str(out),
        **more,
    )
    made.initialize()
    return made
