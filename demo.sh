#!/usr/bin/env bash
# Sets up what is needed, builds, and runs the whole loop on this machine: a server, three devices, a
# drift, a person's labels, recovery, a new version. --check runs it unattended and exits 0 only if all
# of it held; --help lists the options.
set -euo pipefail
cd "$(dirname "$0")"

case " $* " in *" --help "* | *" -h "*) exec python3 tools/demo/demo.py --help ;; esac

tools/setup/install.sh
case " $* " in *" --services "*) tools/setup/services.sh ;; esac
tools/setup/build.sh tinylcm tinysphere tinyscene
node_bin=$(tools/setup/node.sh)
export PATH="$node_bin:$PATH"
exec python3 tools/demo/demo.py --bin build/release/bin --out build/release/demo "$@"
