#!/usr/bin/env bash
# Sets up, builds and runs the tests.
#   ./test.sh              unit tests, contracts, the arrows, the dashboard's tests
#   ./test.sh --services   also what needs PostgreSQL, S3 (MinIO and Versity) and MLflow, which it installs,
#                          starts and stops; the programs as processes: server, device, a browser, the whole
#                          loop; the device part as a Raspberry Pi runs it (emulated); fuzzing, 10 s a parser
#   ./test.sh --long       also the hours-long: three seeds of the loop, sanitizers, a minute of fuzzing a
#                          parser, 1,000 kills of an adapting agent, training again
# Closes with a line "N passed, N failed, N skipped"; what is skipped says why in its log. Logs: build/test-logs/.
set -uo pipefail
cd "$(dirname "$0")"

services=0 long=0
for argument in "$@"; do
  case "$argument" in
    --services) services=1 ;;
    --long) services=1 long=1 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "test.sh: unknown option $argument (try --help)" >&2; exit 2 ;;
  esac
done

tools/setup/install.sh || exit 3
tools/setup/fetch-onnxruntime.sh || echo "test.sh: without ONNX Runtime its tests are skipped" >&2
node_bin=$(tools/setup/node.sh) || exit 3
export PATH="$node_bin:$PATH"
tools/setup/build.sh || exit 3

logs=$PWD/build/test-logs
rm -rf "$logs" && mkdir -p "$logs"
passed=0 failed=0 skipped=0

# step NAME COMMAND...: runs it, counts its tests (one, unless it wrote a count to $COUNT_FILE).
step() {
  local name=$1 started=$SECONDS ok=0
  shift
  export COUNT_FILE=$logs/$name.count
  "$@" >"$logs/$name.log" 2>&1 && ok=1
  local p=0 f=0 s=0
  if [ -s "$COUNT_FILE" ]; then
    read -r p f s <"$COUNT_FILE"
    [ $ok = 0 ] && [ "$f" = 0 ] && f=1
  elif [ $ok = 1 ]; then p=1; else f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
  printf '%-28s %4d passed %3d failed %3d skipped %5d s\n' "$name" "$p" "$f" "${s:-0}" $((SECONDS - started))
  [ $ok = 1 ] && [ "$f" = 0 ] || { tail -n 40 "$logs/$name.log" | sed 's/^/    /'; echo "    (whole log: build/test-logs/$name.log)"; }
}

# On loopback, from here on: every suite that finds their variables runs on them too.
if [ $services = 1 ]; then
  tools/setup/services.sh || exit 3
  trap 'tools/services/down.sh build/services' EXIT
  trap 'exit 130' INT TERM
  tools/services/down.sh build/services && rm -rf build/services
  tools/services/up.sh build/services >"$logs/services.log" 2>&1 ||
    { cat "$logs/services.log" >&2; exit 3; }
  . build/services/env
fi

step arrows python3 tools/checks/check_arrows.py
step arrows-of-the-check python3 tools/checks/check_arrows_test.py
step unit python3 tools/checks/run_unit_tests.py build/release
step embed-example tools/checks/embed_example.sh
step web tools/checks/web_tests.sh
if [ $services = 1 ]; then
  step server-process python3 tools/checks/run_unit_tests.py build/release --label process
  step on-services python3 tools/checks/run_unit_tests.py build/release --label services
  step bundle-reproduces tools/checks/bundle_reproduces.sh
  step runtime-headers tools/checks/runtime_headers.py
  step aarch64 tools/checks/aarch64_tests.sh
  step fuzz tools/checks/fuzz.sh 10
  step loop-in-the-browser ./demo.sh --check --browser --seed 1
  step loop-on-services ./demo.sh --check --services --seed 1
fi
if [ $long = 1 ]; then
  for seed in 2 3; do step "loop-seed-$seed" ./demo.sh --check --seed $seed; done
  step fuzz-longer tools/checks/fuzz.sh 60
  step killed-1000-times env KILLS=1000 TINYLCM_BIN="$PWD/build/release/bin" python3 tests/agent/killed_test.py
  step asan tools/checks/sanitized_tests.sh asan
  step tsan tools/checks/sanitized_tests.sh tsan
  step training training/run.sh --tinyscene build/release/bin/tinyscene --out build/training
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
