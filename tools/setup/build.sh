#!/usr/bin/env bash
# Configures and builds the optimised preset: build.sh [TARGET ...]; everything when none is named.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"

node_bin=$(tools/setup/node.sh)
export PATH="$node_bin:$PATH"

# Another checkout of the same files finds what was compiled for this one.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

mkdir -p build
log=build/configure.log
if ! cmake --preset release >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "build: configuring failed (whole log: $log)" >&2
  exit 3
fi

jobs=$(nproc)
[ "$jobs" -gt 4 ] && jobs=4
# A compiler needs up to 1.5 GB for the largest file; a small machine builds one at a time.
memory_kb=$(awk '/MemTotal/ {print $2}' /proc/meminfo)
[ "$memory_kb" -lt 3500000 ] && jobs=1

targets=()
for target in "$@"; do targets+=(--target "$target"); done
echo "build: $([ $# -gt 0 ] && echo "$*" || echo everything) with $jobs jobs"
NINJA_STATUS='[%f/%t, %es] ' cmake --build --preset release -j "$jobs" "${targets[@]}" >build/build.log 2>&1 &
builder=$!
trap 'kill $builder 2>/dev/null' INT TERM
while kill -0 $builder 2>/dev/null; do
  if [ -t 1 ]; then printf '\r\033[K%s' "$(tail -n 1 build/build.log | cut -c1-100)"; fi
  sleep 1
done
[ -t 1 ] && printf '\r\033[K'
if ! wait $builder; then
  grep -E -A6 'error|FAILED' build/build.log | head -n 40 >&2 || tail -n 40 build/build.log >&2
  echo "build: failed (whole log: build/build.log)" >&2
  exit 3
fi

# The runtime lies where the binaries look for it.
mkdir -p build/release/lib
ln -sfn "${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/litert-2.1.6/$(uname -m)/libLiteRt.so" build/release/lib/libLiteRt.so
