#!/usr/bin/env bash
# Prints the folder that holds MLflow's programs, and installs it with what it needs for PostgreSQL and S3 if it
# is not there. --installed: never installs, fails if it is absent.
set -euo pipefail
. "$(dirname "$0")/python-tool.sh"

version=3.17.2
venv=${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/mlflow-$version
requirements=("mlflow[auth]==$version" psycopg2-binary boto3)

if ! has_python_tool "$venv" "${requirements[@]}"; then
  if [ "${1:-}" = --installed ]; then
    echo "setup: MLflow $version is not in $venv; run tools/setup/services.sh once" >&2
    exit 3
  fi
  echo "setup: installing MLflow $version (a minute or two, 900 MB)" >&2
  install_python_tool "$venv" "${requirements[@]}"
fi
echo "$venv/bin"
