#!/usr/bin/env bash
# Prints the folder that holds schemathesis, which asks the server what its API description promises, and installs
# it if it is not there. --installed: never installs, fails if it is absent.
set -euo pipefail

version=4.32.5
venv=${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/schemathesis-$version

if [ ! -f "$venv/complete" ]; then
  if [ "${1:-}" = --installed ]; then
    echo "setup: schemathesis $version is not in $venv; run tools/setup/services.sh once" >&2
    exit 3
  fi
  echo "setup: installing schemathesis $version" >&2
  "$(dirname "$0")/python-tool.sh" "$venv" "schemathesis==$version"
fi
echo "$venv/bin"
