#!/usr/bin/env bash
# Installs the newest DuckDB (from PyPI), which benchmarks are measured against, into a virtual environment in the parts
# folder, and prints the path of its python. The Delta extension is for an older one: duckdb.sh. Idempotent. Needs
# python3 with venv.
#   TOLLBOOK_PARTS   the parts folder; ~/.cache/tollbook without it
set -euo pipefail
parts=${TOLLBOOK_PARTS:-$HOME/.cache/tollbook}
rival=$parts/rival-duckdb-2.0.1

command -v python3 >/dev/null || { echo "duckdb-rival.sh: python3 is missing (Debian: apt-get install python3-venv)" >&2; exit 1; }
mkdir -p "$parts"
exec 9>"$parts/rival.lock"
flock 9
# A virtual environment knows its own path, so it cannot be moved into place: a file says that it is complete.
if [ ! -f "$rival/complete" ]; then
  rm -rf "$rival"
  python3 -m venv "$rival" >&2
  "$rival/bin/python" -m pip install --quiet --disable-pip-version-check duckdb==2.0.1 >&2
  touch "$rival/complete"
fi
echo "$rival/bin/python"
