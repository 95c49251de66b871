#!/usr/bin/env bash
# scripts/venv.sh PYTHON VENV: makes the virtual environment VENV, unless it is there.
set -euo pipefail
python=$1 venv=$2

if ! command -v "$python" >/dev/null; then
    echo "There is no command '$python'. Install Python 3.10 or later, or name yours:" >&2
    echo "    make ... PYTHON=/path/to/python3" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "elephas_torch needs Python 3.10 or later; '$python' is $("$python" --version 2>&1)." >&2
    echo "Where a later one is installed, name it: make ... PYTHON=python3.12" >&2
    exit 1
fi
[ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null && exit 0

echo "Making the virtual environment $venv with $("$python" --version)."
if ! "$python" -m venv "$venv"; then
    rm -rf "$venv"
    echo "'$python' can't make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi
