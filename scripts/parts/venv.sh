#!/usr/bin/env bash
# usage: venv.sh NAME PACKAGE…
# Installs packages (from PyPI) into a virtual environment of that name in the parts folder, and prints the path of its
# python. Idempotent. Needs python3 with venv. For the scripts beside it: a name stands for just these packages.
#   TOLLBOOK_PARTS   the parts folder; ~/.cache/tollbook without it
set -euo pipefail
parts=${TOLLBOOK_PARTS:-$HOME/.cache/tollbook}
folder=$parts/$1
shift

command -v python3 >/dev/null || { echo "venv.sh: python3 is missing (Debian: apt-get install python3-venv)" >&2; exit 1; }
mkdir -p "$parts"
exec 9>"$folder.lock"
flock 9
# A virtual environment knows its own path, so it cannot be moved into place: a file says that it is complete.
if [ ! -f "$folder/complete" ]; then
  rm -rf "$folder"
  python3 -m venv "$folder" >&2
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
  touch "$folder/complete"
fi
echo "$folder/bin/python"
