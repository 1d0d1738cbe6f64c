#!/usr/bin/env bash
# Installs DuckDB with its Delta extension, and Polars with deltalake (all from PyPI), into a virtual environment in
# the parts folder, and prints the path of its python. Idempotent. Needs python3 with venv.
#   TOLLBOOK_PARTS   the parts folder; ~/.cache/tollbook without it
set -euo pipefail
parts=${TOLLBOOK_PARTS:-$HOME/.cache/tollbook}
# DuckDB's version is that of the extension file in duckdb-ext-delta.
readers=$parts/readers-duckdb-1.4.4

command -v python3 >/dev/null || { echo "duckdb.sh: python3 is missing (Debian: apt-get install python3-venv)" >&2; exit 1; }
mkdir -p "$parts"
exec 9>"$parts/readers.lock"
flock 9
# A virtual environment knows its own path, so it cannot be moved into place: a file says that it is complete.
if [ ! -f "$readers/complete" ]; then
  rm -rf "$readers"
  python3 -m venv "$readers" >&2
  "$readers/bin/python" -m pip install --quiet --disable-pip-version-check \
    duckdb==1.4.4 duckdb-ext-delta polars deltalake >&2
  touch "$readers/complete"
fi
echo "$readers/bin/python"
