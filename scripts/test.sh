#!/usr/bin/env bash
# Set up everything and check the project: lint, format, types, documentation, tests. `--full` runs
# the long tests, too; other arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
long=(-m "not long")
if [ "${1:-}" = --full ]; then
    long=()
    shift
fi
source scripts/environment.sh test
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
export NO_MKDOCS_2_WARNING=1 # which is no word about these pages
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
.venv/bin/mkdocs build --strict --quiet --site-dir "$site"
# Two workers: with more, tests that hold processes to their memory would take it from each other.
.venv/bin/python -m pytest --numprocesses 2 --dist worksteal "${long[@]}" "$@"
