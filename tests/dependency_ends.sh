#!/usr/bin/env bash
# Tests both ends of the ranges in pyproject.toml, each in a virtual environment that is thrown away:
# the oldest releases that resolve on this Python, and the newest on the registry. torch is the one
# that TORCH names, where a registry has CPU builds of few releases only.
#
# tests/dependency_ends.sh [oldest|newest] [PYTEST ARGUMENTS...]
set -euo pipefail
cd "$(dirname "$0")/.."

end=${1:-oldest}; shift || true
[ "$end" = oldest ] && resolution=lowest-direct || resolution=highest
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
export PATH="$work/venv/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1
pip install -q uv
echo "torch==${TORCH:-2.13.0}" > "$work/torch.txt"
uv pip compile -q pyproject.toml --extra lite --extra dev --resolution "$resolution" \
  --override "$work/torch.txt" --output-file "$work/pins.txt" > /dev/null
pip install -q -c "$work/pins.txt" -e '.[lite,dev]'
grep -E '^[a-z0-9-]+==' "$work/pins.txt" | tr '\n' ' '; echo
pytest "$@"
