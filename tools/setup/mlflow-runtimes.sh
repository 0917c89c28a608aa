#!/usr/bin/env bash
# Prints the folder with the model runtimes by which MLflow's Python loads what TinySphere registered (for
# PYTHONPATH), and fetches them if they are not there. --installed: never fetches, fails if they are absent.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# The versions that the registered models name (tinysphere/platform/mlflow/model_files.h).
requirements=(ai-edge-litert==2.1.6 onnxruntime==1.31.1 flatbuffers==25.9.23)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/mlflow-runtimes-2.1.6-1.31.1

if [ ! -d "$folder" ]; then
  if [ "${1:-}" = --installed ]; then
    echo "setup: the runtimes for MLflow's models are not in $folder; run tools/setup/services.sh once" >&2
    exit 3
  fi
  bin=$("$here/mlflow.sh" "$@")
  echo "setup: fetching ${requirements[*]}" >&2
  fresh=$folder.$$
  trap 'rm -rf "$fresh"' EXIT
  # Without what they depend on: MLflow's own environment has it.
  "$bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-deps --target "$fresh" "${requirements[@]}" >&2
  mv -T "$fresh" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
echo "$folder"
