# Sourced, from the project's root, with the extra to install as argument: makes .venv and
# installs into it, unless that was done before with the same requirements.

extra=$1
stamp=.venv/.installed-$extra

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Python 3.11 or newer is needed; '$python' is not. Set PYTHON to one that is." >&2
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        echo "Could not make .venv; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
fi
requirements=$(cat setup.* pyproject.toml constraints.txt sdunet/ops/csrc/* | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$requirements" ]; then
    echo "Installing sdunet[$extra] into .venv: some minutes, in which pip is silent" >&2
    # Most modules are never imported: those that are compile themselves then.
    .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-compile \
        --constraint constraints.txt --editable ".[$extra]"
    printf '%s\n' "$requirements" >"$stamp"
fi
