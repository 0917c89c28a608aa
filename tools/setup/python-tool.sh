# Sourced by go.sh, mlflow.sh and schemathesis.sh: programs that come as Python packages, each in an environment of
# its own below the cache folder.
#
#   install_python_tool FOLDER REQUIREMENT...   does nothing where just these were installed whole before
#   has_python_tool FOLDER REQUIREMENT...

# An environment names the folder it was made in, so it is made in place; this mark says that it is not whole.
has_python_tool() {
  local venv=$1
  shift
  [ -x "$venv/bin/python" ] && [ ! -e "$venv/incomplete" ] &&
    { [ ! -e "$venv/requirements" ] || [ "$(cat "$venv/requirements")" = "$*" ]; }
}

install_python_tool() {
  local venv=$1 log
  has_python_tool "$@" && return
  shift
  rm -rf "$venv"
  mkdir -p "$venv"
  touch "$venv/incomplete"
  log=$(mktemp)
  if ! { python3 -m venv "$venv" &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "$@"; } >"$log" 2>&1; then
    rm -rf "$venv"
    tail -n 20 "$log" >&2
    echo "setup: $* could not be installed (whole log: $log)" >&2
    return 3
  fi
  rm -f "$log"
  echo "$*" >"$venv/requirements"
  rm "$venv/incomplete"
}
