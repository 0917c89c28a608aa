#!/usr/bin/env bash
# Builds and runs the unit tests under a sanitizer: sanitized_tests.sh asan|tsan
set -euo pipefail
cd "$(dirname "$0")/../.."
preset=${1:?asan or tsan}
cmake --preset "$preset"
cmake --build --preset "$preset" -j "$(nproc)"
exec python3 tools/checks/run_unit_tests.py "build/$preset"
