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

title=LiteRT package=ai-edge-litert prefix=litert needs="bundles with a .tflite"
file=libLiteRt.so member=ai_edge_litert/libLiteRt.so others=()
platforms=(--platform=manylinux_2_27)
. "$(dirname "$0")/fetch-library.sh"
