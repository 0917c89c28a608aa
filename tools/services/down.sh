#!/usr/bin/env bash
# Ends what up.sh DIR started, by process id, the last first, and waits for it. DIR and what lies in it stay.
#   down.sh DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
case "${1:-}" in
  "" | -*) sed -n '2,3s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
dir=$1
[ -f "$dir/pids" ] || exit 0
. "$here/processes.sh"

# end NAME PID BEGAN SIGNAL: to its whole group; up.sh gave each service one of its own.
end() {
  lives "$2" "$3" || return 0
  kill -s "$4" -- "-$2" 2>/dev/null || kill -s "$4" "$2" 2>/dev/null || true
}
while read -r name pid began_at; do
  # INT is PostgreSQL's fast shutdown; TERM would wait for its clients.
  signal=TERM
  [ "$name" != postgres ] || signal=INT
  end "$name" "$pid" "$began_at" "$signal"
  tries=0
  while lives "$pid" "$began_at"; do
    tries=$((tries + 1))
    if [ $tries = 150 ]; then
      echo "services: $name did not end in 15 s and is killed" >&2
      end "$name" "$pid" "$began_at" KILL
    fi
    sleep 0.1
  done
done < <(tac "$dir/pids")
rm -f "$dir/pids" "$dir/env"

# What root's PostgreSQL kept outside, where its account could reach it.
if [ -s "$dir/postgres.folder" ]; then
  outside=$(cat "$dir/postgres.folder")
  case $outside in */tinymlops-postgres.*) rm -rf -- "$outside" ;; esac
  rm -f "$dir/postgres.folder"
fi
