#!/usr/bin/env bash
# Make .venv-nnunet: nnU-Net in an environment of its own, beside this project's packages, which it
# takes from .venv. For the tests of its trainers and for comparisons with it.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh test
if [ -e .venv-nnunet/.installed ]; then
    exit 0
fi
rm -rf .venv-nnunet
.venv/bin/python -m venv .venv-nnunet
packages() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
packages .venv >"$(packages .venv-nnunet)/project.pth"
pip=(.venv-nnunet/bin/python -m pip install --disable-pip-version-check --quiet)
"${pip[@]}" nnunetv2==2.8.1 "torch<2.14"
# Of what nnU-Net imports, torchvision's current releases load beside one build of PyTorch alone.
.venv-nnunet/bin/python -c "import torchvision" 2>/dev/null ||
    "${pip[@]}" --no-deps torchvision==0.15.2
touch .venv-nnunet/.installed
