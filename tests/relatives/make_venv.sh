#!/usr/bin/env bash
# A virtual environment of its own for `pytest -m relatives`: lldtool, and mmpretrain's relatives next
# to mmcv-lite. Run again, it brings an old one up to date.
#
#     tests/relatives/make_venv.sh [PATH, by default .venv-relatives]
#     .venv-relatives/bin/pytest -m relatives
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
venv=$(realpath -m "${1:-$root/.venv-relatives}")

cd "$root"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check install --quiet "$@"; }
pip -c constraints.txt -e '.[lite,dev]'
pip -c constraints.txt -r tests/relatives/requirements.txt
# Its dependencies do not all build, chumpy for one. Stand-ins do for them.
pip --no-deps mmpose==1.3.2
