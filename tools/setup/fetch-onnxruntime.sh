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

title="ONNX Runtime" package=onnxruntime prefix=onnxruntime needs="bundles with an .onnx"
file=libonnxruntime.so member=onnxruntime/capi/libonnxruntime.so.$version
others=(onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt)
platforms=(--platform=manylinux_2_27 --platform=manylinux_2_28)
. "$(dirname "$0")/fetch-library.sh"
