#!/usr/bin/env bash
# Prints the Python that can run what is only compared with (scikit-learn, faiss, river): a virtual
# environment in the cache folder, made once.
# Exit 1, with the reason on stderr: there is none, and the comparison is left out.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
digest=$(sha256sum "$here/requirements.txt" | cut -c1-12)
venv=${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/bench-$digest
if [ ! -f "$venv/complete" ]; then
  echo "bench: setting up scikit-learn, faiss and river in $venv" >&2
  rm -rf "$venv"
  python3 -m venv "$venv" >&2 && "$venv/bin/pip" install -q -r "$here/requirements.txt" >&2 ||
    { echo "bench: scikit-learn, faiss and river cannot be installed; nothing is compared with them" >&2; exit 1; }
  touch "$venv/complete"
fi
echo "$venv/bin/python"
