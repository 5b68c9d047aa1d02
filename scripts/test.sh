#!/usr/bin/env bash
# Set up everything and check the project: lint, format, documentation, tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh test
.venv/bin/ruff check .
.venv/bin/ruff format --check .
export NO_MKDOCS_2_WARNING=1 # which is no word about these pages
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
.venv/bin/mkdocs build --strict --quiet --site-dir "$site"
.venv/bin/python -m pytest "$@"
