#!/usr/bin/env bash
# Installs what the service tests need and no more than that: PostgreSQL by apt, the rest below the cache folder
# (${XDG_CACHE_HOME:-~/.cache}/tinymlops), a folder a program and version. Does nothing that is done already;
# the first time takes about eight minutes, half of which is MinIO.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

started=$SECONDS
"$here/install.sh" >&2
for part in postgres mlflow mlflow-runtimes schemathesis versity minio; do
  at=$SECONDS
  folder=$("$here/$part.sh")
  [ $((SECONDS - at)) -lt 2 ] || printf 'setup: %s is in %s (%d s)\n' "$part" "$folder" $((SECONDS - at))
done
printf 'setup: the services are installed (%d s)\n' $((SECONDS - started))
