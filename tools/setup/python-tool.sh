#!/usr/bin/env bash
# Makes a Python environment that holds what is named, whole or not at all: python-tool.sh FOLDER REQUIREMENT...
set -euo pipefail
venv=$1
shift
mkdir -p "$(dirname "$venv")"
rm -rf "$venv"
log=$(mktemp)
# Its commands name the folder they were installed in, so it is made in place; whoever finds it without the
# mark `complete` makes it anew.
if ! { python3 -m venv "$venv" &&
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "$@"; } >"$log" 2>&1; then
  rm -rf "$venv"
  tail -n 20 "$log" >&2
  echo "setup: $* could not be installed (whole log: $log)" >&2
  exit 3
fi
rm -f "$log"
touch "$venv/complete"
