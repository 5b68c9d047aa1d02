#!/usr/bin/env bash
# Set up everything and run the demo: train on real nuclei, compare, draw the errors.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh demo
.venv/bin/sdunet demo --out demo
