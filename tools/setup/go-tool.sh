# Sourced by minio.sh and versity.sh: a program that is built from the Go module proxy, which checks it against
# the public checksum database. Prints the folder it lies in; --installed: never builds, fails if it is absent.
#
# Expects: title program version (names the cache folder with program) module (with what Go calls its version).

folder=${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/$program-$version/bin
here=$(cd "$(dirname "$0")" && pwd)

if [ ! -x "$folder/$program" ]; then
  if [ "${1:-}" = --installed ]; then
    echo "setup: $title $version is not in $folder; run tools/setup/services.sh once" >&2
    exit 3
  fi
  go_bin=$("$here/go.sh")
  echo "setup: building $title $version (some minutes)" >&2
  mkdir -p "$folder"
  work=$(mktemp -d "$folder/../build.XXXXXX")
  # Go writes its modules read-only.
  trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
  jobs=$(nproc)
  [ "$jobs" -gt 4 ] && jobs=4
  # Modules and objects, 2 GB, are gone afterwards; the tool chain is the one found, none is fetched.
  if ! (cd "$work" && env CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS= GOBIN="$work/bin" GOPATH="$work/path" \
    GOCACHE="$work/objects" "$go_bin/go" install -p "$jobs" -trimpath -ldflags '-s -w' "$module") >"$work/log" 2>&1; then
    log=$(mktemp)
    cp "$work/log" "$log"
    tail -n 20 "$log" >&2
    echo "setup: $title could not be built (whole log: $log)" >&2
    exit 3
  fi
  mv "$work/bin/$program" "$folder/$program"
fi
echo "$folder"
