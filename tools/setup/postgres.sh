#!/usr/bin/env bash
# Prints the folder that holds PostgreSQL 15's programs, and installs its Debian package if it is not there,
# without starting a database of the machine's own. --installed: never installs, fails if it is absent.
set -euo pipefail

bin=/usr/lib/postgresql/15/bin
if [ ! -x "$bin/postgres" ]; then
  if [ "${1:-}" = --installed ]; then
    echo "setup: PostgreSQL 15 is not in $bin; run tools/setup/services.sh once" >&2
    exit 3
  fi
  # The package would make a database and start it; it asks this file first.
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' |
    "${sudo[@]}" tee /etc/postgresql-common/createcluster.d/tinymlops.conf >/dev/null
  "$(dirname "$0")/install.sh" services >&2
fi
echo "$bin"
