"""What a message advises can be done: the option it names exists, and helps."""

import re
from dataclasses import fields

import pytest
from advice import OPTION, fixes_in, options_by_command, options_elsewhere, said_by_command
from bad_sets import Pictures, Volumes, blob, gz, mask, nifti, noise, patched, png
from raised_codes import ROOT

from data_prep.core.codes import groups
from data_prep.core.config import DataConfig
from sdunet.cli.main import main
from sdunet.segmentation.config import NetworkConfig, TrainingConfig
from sdunet.vae import config as vae

# By the classes that hold them, of segmentation and of VAEs.
SECTIONS = {
    "dataset": (DataConfig,),
    "network": (NetworkConfig,),
    "training": (TrainingConfig, vae.TrainingConfig),
}
FIXES = [text for top in ("data_prep", "sdunet") for p in (ROOT / top).rglob("*.py")
         for text in fixes_in(p)]  # fmt: skip
REGISTRY = [code.fix for group in groups() for code in group.codes]
OF_SLURM = {"--ntasks-per-node"}
# Files that a command imports for something else than what there gives the advice.
NOT_CALLED = {
    "data_prep/core/memory_limits.py": {"train", "postprocess", "export", "demo"},  # set no limit
    # What `run` predicts with has been trained to its end, by the folds that it counted itself, and
    # it resumes exactly what is there to be resumed.
    "sdunet/runtime/run_record.py": {
        *("train", "demo", "evaluate", "overlay", "compare", "bench", "run"),
    },
    "sdunet/segmentation/export/licence.py": {"run", "serve"},  # name none
    "sdunet/segmentation/inference/ensemble.py": {"train", "postprocess", "demo", "run", "serve"},
    # These predict plain labels alone.
    "sdunet/segmentation/inference/files/case_files.py": {"demo", "run", "serve"},
    "sdunet/segmentation/inference/files/dicom_seg.py": {"demo", "run", "serve"},
    "sdunet/segmentation/inference/files/source_series.py": {"demo", "run", "serve"},
    "sdunet/segmentation/training/cross_validation.py": {"postprocess", "run"},
    "sdunet/segmentation/training/data_module.py": {"postprocess", "demo", "run"},  # have no --fold
    "sdunet/segmentation/training/train_fold.py": {"postprocess", "demo", "run"},
    "sdunet/segmentation/models/run_folder.py": {"postprocess", "demo", "run"},
    "sdunet/runtime/checkpoint.py": {"postprocess", "demo", "run"},
    "sdunet/segmentation/training/initial_weights.py": {"postprocess", "demo", "run"},
}


def test_options_that_fixes_name_are_those_of_the_commands_that_say_so():
    have, missing = options_by_command(), []
    for command, files in said_by_command().items():
        for file, options in files.items():
            if command not in NOT_CALLED.get(file, ()):
                lacking = options - have[command] - OF_SLURM
                missing += [(command, file, option) for option in lacking]
    assert not missing
    assert any("--max-ram" in options for options in said_by_command()["predict"].values())


def test_options_that_any_text_names_exist():
    have = options_by_command()
    every = set.union(*have.values()) | OF_SLURM
    for text in (*FIXES, *REGISTRY):
        assert {*OPTION.findall(text)} <= every, text
        for command, option in options_elsewhere(text):
            assert option in have[command], text


def test_settings_that_any_text_names_exist():
    named = re.compile(rf"\b({'|'.join(SECTIONS)})\.(?!json)([a-z_]+)")
    found = [pair for text in (*FIXES, *REGISTRY) for pair in named.findall(text)]
    assert len(found) > 10
    for section, key in found:
        known = [field.name for kind in SECTIONS[section] for field in fields(kind)]
        assert key in known, f"{section}.{key}"


# What is planted, its code, and the arguments that its message or its registry text advise.
ADVISED = [
    (Pictures, lambda s: s.label(png(mask(255))), "LBL_UNKNOWN", "--dataset.label_map={255: 1}"),
    (Volumes, lambda s: s.image(gz(nifti(noise()) + b"12")), "IO_TRAILING", None),
    (Volumes, lambda s: s.image(gz(patched(268, noise()[:1, 0, 0].astype("f4")))), "GEO_SQFORM",
     None),
    (Volumes, lambda s: s.label(gz(nifti(blob()[:-1]))), "GEO_SHAPE", None),
    (Volumes, lambda s: s.image(gz(nifti(noise(1)))), "SET_DUPLICATE", None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "plant", "code", "option"), ADVISED, ids=[a[2] for a in ADVISED])
def test_advice_that_is_followed_makes_the_finding_go(tmp_path, capsys, kind, plant, code, option):
    planted = kind(tmp_path / "set")
    plant(planted)
    command = ["check", str(tmp_path / "set")]
    command += [f"--dataset.{name}={value}" for name, value in kind.config.items()]
    assert main(command) == 1
    said = capsys.readouterr()
    said = said.out + said.err
    assert f"error {code}" in said
    if option is None:  # the message has it, as in a file of settings
        key, value = re.search(rf"accept it: (dataset\.accept): (\[{code}\])", said).groups()
        option = f"--{key}={value}"
    assert main([*command, option]) == 0
    said = capsys.readouterr()
    assert f"error {code}" not in said.out + said.err
