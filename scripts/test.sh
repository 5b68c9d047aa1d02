#!/usr/bin/env bash
# Set up everything and check the project: lint, format, types, documentation, tests. `--full` runs
# the long tests, too; `--coverage` counts the lines that the others run, and fails below the floor.
# Other arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
options=(-m "not long")
if [ "${1:-}" = --full ]; then
    options=()
    shift
elif [ "${1:-}" = --coverage ]; then
    options+=(--cov=sdunet --cov=data_prep --cov-report=term:skip-covered --cov-fail-under=95)
    shift
fi
source scripts/environment.sh test
export NO_MKDOCS_2_WARNING=1 # which is no word about these pages
site=$(mktemp -d)
.venv/bin/mkdocs build --strict --quiet --site-dir "$site" & # beside the others, on another core
documentation=$!
trap 'kill "$documentation" 2>/dev/null || true; rm -rf "$site"' EXIT
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
wait "$documentation"
# Two workers: with more, tests that hold processes to their memory would take it from each other.
.venv/bin/python -m pytest --numprocesses 2 --dist worksteal "${options[@]}" "$@"
