#!/usr/bin/env bash
# queries.sh BIN: p95 of every query of the API, on SQLite and, where PostgreSQL can be had, on that.
# TINYSPHERE_QUERIES_DATABASE=sqlite|postgres asks one of them only.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
database=${TINYSPHERE_QUERIES_DATABASE:-both}
if [ "$database" != sqlite ] && ! "$here/../../tools/setup/postgres.sh" >/dev/null; then
  [ "$database" = both ] || exit 3
  echo "queries: PostgreSQL cannot be had here, only SQLite is asked" >&2
  database=sqlite
fi
exec python3 "$here/queries.py" --bin "$1" --database "$database"
