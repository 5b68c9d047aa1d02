# Sourced, from the project's root, with the extra to install as argument: makes .venv and
# installs into it, unless that was done before with the same requirements.

extra=$1
# Images of containers often set this; then every start would compile all of PyTorch anew, for half
# a minute.
unset PYTHONDONTWRITEBYTECODE
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
    echo "Installing sdunet[$extra] into .venv: up to some minutes, in silence" >&2
    # PyTorch by pip, which knows builds of it that lie on the machine; the many others by uv, which
    # finds, fetches and unpacks them side by side. Modules compile when they are first imported.
    .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-compile --no-deps \
        --constraint constraints.txt torch uv
    .venv/bin/uv pip install --python .venv/bin/python --quiet --system-certs \
        --constraint constraints.txt --editable ".[$extra]"
    printf '%s\n' "$requirements" >"$stamp"
fi
