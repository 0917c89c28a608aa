#!/usr/bin/env bash
# Installs what building and running needs on Debian 12: the packages of apt-packages.txt, the LiteRT
# runtime and, for the dashboard, Node.js. Does nothing that is done already.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

missing=()
while read -r package; do
  [ -n "$package" ] || continue
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done <"$here/apt-packages.txt"

if [ ${#missing[@]} -gt 0 ]; then
  sudo=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
      echo "setup: these packages are missing and need root to install: ${missing[*]}" >&2
      exit 3
    }
    sudo=(sudo)
  fi
  echo "setup: installing ${#missing[@]} packages: ${missing[*]}"
  log=$(mktemp)
  if ! { "${sudo[@]}" apt-get update -qq &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: apt-get failed (whole log: $log)" >&2
    exit 3
  fi
  rm -f "$log"
fi

"$here/fetch-litert.sh"
