#!/usr/bin/env bash
# Prints the folder that holds schemathesis, which asks the server what its API description promises, and installs
# it, with what it signs a device's requests with, if it is not there. --installed: never installs, fails if it is
# absent.
set -euo pipefail
. "$(dirname "$0")/python-tool.sh"

version=4.32.5
venv=${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/schemathesis-$version
requirements=("schemathesis==$version" cryptography==50.0.2)

if ! has_python_tool "$venv" "${requirements[@]}"; then
  if [ "${1:-}" = --installed ]; then
    echo "setup: schemathesis $version is not in $venv; run tools/setup/services.sh once" >&2
    exit 3
  fi
  echo "setup: installing schemathesis $version" >&2
  install_python_tool "$venv" "${requirements[@]}"
fi
echo "$venv/bin"
