# Sourced by up.sh and down.sh: which processes are ours. A line of the file: name, process id, and the time
# at which that process began, by which a stranger who got the number later is told from it.

began() { local stat; stat=$(cat "/proc/$1/stat" 2>/dev/null) && set -- ${stat##*) } && [ "$1" != Z ] && echo "${20}"; }

remember() { echo "$2 $3 $(began "$3")" >>"$1"; }  # remember FILE NAME PID

lives() { [ -n "$2" ] && [ "$(began "$1")" = "$2" ]; }  # lives PID BEGAN

is_alive() {  # is_alive FILE NAME
  local name pid at
  while read -r name pid at; do [ "$name" != "$2" ] || ! lives "$pid" "$at" || return 0; done <"$1"
  return 1
}

any_alive() {  # any_alive FILE
  local name pid at
  [ -f "$1" ] || return 1
  while read -r name pid at; do ! lives "$pid" "$at" || return 0; done <"$1"
  return 1
}
