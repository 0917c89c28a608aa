#!/usr/bin/env bash
# Brings the LiteRT runtime (libLiteRt.so out of the Python package ai-edge-litert, Apache-2.0) into the
# cache folder where the agent looks for it. Does nothing when it is there and its digest is right.
#
#   fetch-litert.sh [--all]      for this machine; --all: for x86_64 and aarch64
set -euo pipefail

version=2.1.6
declare -A wheel=(
  [x86_64]=af4f2ba681fa2c688746cbd7ddd71a2bbbdd9e6a51aa609d382bfad77d1c695e
  [aarch64]=8475d18c73698d9244380ad72f67caf540e5c72d9a80c66d17c4b81ca81a21c8
)
declare -A library=(
  [x86_64]=d46eca60880d6e28c1992d136459f06ab642e30eb423bdc14d56e928f398ce19
  [aarch64]=c3e365e05249ea97d8dd6d0590df7f9bc817ff61e9610a355ff3937b72864d11
)

cache="${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/litert-$version"
architectures=("$(uname -m)")
[ "${1:-}" = "--all" ] && architectures=(x86_64 aarch64)

is_right() { [ -f "$2" ] && echo "${library[$1]}  $2" | sha256sum -c --status; }

# Any pip will do: nothing is installed, one wheel is downloaded and unpacked.
pip() {
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      "$python" -m pip "$@"
      return
    fi
  done
  echo "fetch-litert: python3 with pip is needed (apt package python3-pip)" >&2
  return 3
}

for arch in "${architectures[@]}"; do
  [ -n "${library[$arch]:-}" ] || {
    echo "fetch-litert: there is no LiteRT $version for $arch; bundles with a .tflite will not run here" >&2
    continue
  }
  target="$cache/$arch/libLiteRt.so"
  is_right "$arch" "$target" && continue
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  echo "setup: fetching LiteRT $version for $arch"
  echo "ai-edge-litert==$version --hash=sha256:${wheel[$arch]}" >"$work/requirements.txt"
  pip download -q --disable-pip-version-check --no-cache-dir --no-deps --require-hashes --only-binary=:all: \
    --implementation cp --python-version 311 --abi cp311 --platform "manylinux_2_27_$arch" \
    -d "$work" -r "$work/requirements.txt" || {
    echo "fetch-litert: the package index could not be reached" >&2
    exit 3
  }
  unzip -q -o -j "$work"/ai_edge_litert-*.whl ai_edge_litert/libLiteRt.so -d "$work"
  is_right "$arch" "$work/libLiteRt.so" || {
    echo "fetch-litert: libLiteRt.so for $arch has the wrong digest" >&2
    exit 3
  }
  mkdir -p "$cache/$arch"
  # Beside the target first, so that a half-written library is never found.
  cp "$work/libLiteRt.so" "$target.new"
  mv "$target.new" "$target"
  rm -rf "$work"
  trap - EXIT
done
