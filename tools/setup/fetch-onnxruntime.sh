#!/usr/bin/env bash
# Brings ONNX Runtime (libonnxruntime.so out of the Python package onnxruntime, MIT) into the cache folder
# where the agent looks for it. An optional component: only bundles with an .onnx model need it. Does
# nothing when it is there and its digest is right.
#
#   fetch-onnxruntime.sh [--all]      for this machine; --all: for x86_64 and aarch64
set -euo pipefail

version=1.31.1
declare -A wheel=(
  [x86_64]=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
  [aarch64]=da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3
)
declare -A library=(
  [x86_64]=fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3
  [aarch64]=8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467
)

cache="${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/onnxruntime-$version"
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
  echo "fetch-onnxruntime: python3 with pip is needed (apt package python3-pip)" >&2
  return 3
}

for arch in "${architectures[@]}"; do
  [ -n "${library[$arch]:-}" ] || {
    echo "fetch-onnxruntime: there is no ONNX Runtime $version for $arch; bundles with an .onnx will not run here" >&2
    continue
  }
  target="$cache/$arch/libonnxruntime.so"
  is_right "$arch" "$target" && continue
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  echo "setup: fetching ONNX Runtime $version for $arch"
  echo "onnxruntime==$version --hash=sha256:${wheel[$arch]}" >"$work/requirements.txt"
  pip download -q --disable-pip-version-check --no-cache-dir --no-deps --require-hashes --only-binary=:all: \
    --implementation cp --python-version 311 --abi cp311 \
    --platform "manylinux_2_27_$arch" --platform "manylinux_2_28_$arch" \
    -d "$work" -r "$work/requirements.txt" || {
    echo "fetch-onnxruntime: the package index could not be reached" >&2
    exit 3
  }
  unzip -q -o -j "$work"/onnxruntime-*.whl "onnxruntime/capi/libonnxruntime.so.$version" onnxruntime/LICENSE \
    onnxruntime/ThirdPartyNotices.txt -d "$work"
  is_right "$arch" "$work/libonnxruntime.so.$version" || {
    echo "fetch-onnxruntime: libonnxruntime.so for $arch has the wrong digest" >&2
    exit 3
  }
  mkdir -p "$cache/$arch"
  cp "$work/LICENSE" "$work/ThirdPartyNotices.txt" "$cache/$arch/"
  # Beside the target first, so that a half-written library is never found.
  cp "$work/libonnxruntime.so.$version" "$target.new"
  mv "$target.new" "$target"
  rm -rf "$work"
  trap - EXIT
done
