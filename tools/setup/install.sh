#!/usr/bin/env bash
# Installs what building and running needs on Debian 12: the packages of apt-packages.txt and the LiteRT
# runtime. Does nothing that is done already.
#   install.sh [NAME ...]      also those of apt-packages-NAME.txt, which only some checks need
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

lists=("$here/apt-packages.txt")
for name in "$@"; do lists+=("$here/apt-packages-$name.txt"); done

missing=()
while read -r package; do
  [ -n "$package" ] || continue
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done < <(cat "${lists[@]}")

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
