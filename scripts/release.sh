#!/usr/bin/env bash
# Build the source distribution and the wheel into dist/, and try both outside of this folder: in
# bare environments, with a compiler and without one. Nothing is uploaded.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh test
rm -rf dist
.venv/bin/python -m pip install --disable-pip-version-check --quiet build
.venv/bin/python -m build --outdir dist .
# The compiled library needs nothing of Python: one wheel fits every version.
.venv/bin/python -m pip install --disable-pip-version-check --quiet wheel
.venv/bin/python -m wheel tags --remove --python-tag py3 --abi-tag none dist/*.whl >/dev/null
constraints=$PWD/constraints.txt
bare=$(mktemp -d)
trap 'rm -rf "$bare"' EXIT

try() { # NAME FILE: install a file into an environment of its own, and run it there
    .venv/bin/python -m venv "$bare/$1"
    (
        cd "$bare"
        "$1/bin/python" -m pip install --disable-pip-version-check --quiet --constraint "$constraints" "$2"
        "$1/bin/python" -c 'import sdunet, torch; print(sdunet.SDNLayer(2, 3, 4, 3, 1, 1)(torch.ones(1, 2, 5, 6)).shape)'
        "$1/bin/sdunet" info
    )
}

try wheel "$PWD"/dist/*.whl
try source "$PWD"/dist/*.tar.gz
# A compiler that fails is as good as none: the sweep then runs in PyTorch operations.
CC=false CXX=false try no_compiler "$PWD"/dist/*.tar.gz
ls -l dist
