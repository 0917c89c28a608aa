#!/usr/bin/env bash
# Builds web/dist if it is older than what it is made from. Several build folders may call it at once.
set -euo pipefail
cd "$(dirname "$0")"

node_bin=$(../tools/setup/node.sh --installed) || {
  echo "web: the dashboard needs Node.js; run tools/setup/node.sh, then build again" >&2
  exit 1
}
export PATH="$node_bin:$PATH"

exec 9>.build.lock
flock 9

is_older() {  # is_older FILE THAN...: FILE is missing or older than anything below THAN.
  local file=$1
  shift
  [ ! -e "$file" ] || [ -n "$(find "$@" -newer "$file" -type f -print -quit)" ]
}

if is_older node_modules/.package-lock.json package.json package-lock.json; then
  npm ci --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi
if is_older dist/.built ../docs/api/openapi.yaml src public index.html package-lock.json tsconfig.json vite.config.ts postcss.config.cjs; then
  npm run --silent build
  touch dist/.built
fi
