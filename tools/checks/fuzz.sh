#!/usr/bin/env bash
# Throws bytes that nobody vouches for at whatever parses them: the harnesses of tests/fuzz, under libFuzzer,
# AddressSanitizer and UndefinedBehaviorSanitizer. Each first runs what lies in tests/fuzz/corpus/NAME, then
# new bytes for a while.
#   fuzz.sh [SECONDS] [NAME ...]     SECONDS each (10; 0: the corpus alone), two at a time; all harnesses
# A crash's bytes are kept in build/fuzz/findings; what is worth keeping goes into the corpus with its repair.
set -uo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
seconds=${1:-10}
shift || true

tools/setup/install.sh fuzz || exit 3
# Another checkout of the same files finds what was compiled for this one.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
started=$SECONDS
mkdir -p build
if ! { cmake --preset fuzz && cmake --build --preset fuzz -j "$(nproc)" --target fuzz; } >build/fuzz.log 2>&1; then
  grep -E -A6 'error|FAILED' build/fuzz.log | head -n 40 >&2
  echo "fuzz: the build failed (whole log: build/fuzz.log)" >&2
  exit 3
fi
echo "built in $((SECONDS - started)) s"

programs=$root/build/fuzz/fuzz
findings=$root/build/fuzz/findings
names=("$@")
[ $# -gt 0 ] || for program in "$programs"/*_fuzz; do names+=("$(basename "$program" _fuzz)"); done
rm -rf "$findings" && mkdir -p "$findings"

# one NAME: its result in $findings/NAME.result, "passed" or "failed", and one line about it.
one() {
  local name=$1 corpus=tests/fuzz/corpus/$1 log=$findings/$1.log new ok=passed
  new=$(mktemp -d)
  # -rss_limit_mb: what a small board has. -timeout: no input may take that long, in seconds.
  local limits=(-rss_limit_mb=512 -malloc_limit_mb=256 -timeout=10 -print_final_stats=1 -artifact_prefix="$findings/$name-")
  if ! [ -x "$programs/${name}_fuzz" ]; then
    echo "there is no harness $name" >"$log"
    ok=failed
  elif ! "$programs/${name}_fuzz" "${limits[@]}" -runs=0 "$corpus" >"$log" 2>&1; then
    ok=failed
  elif [ "$seconds" -gt 0 ] &&
    ! "$programs/${name}_fuzz" "${limits[@]}" -max_total_time="$seconds" -max_len=4096 "$new" "$corpus" >"$log" 2>&1; then
    ok=failed
  fi
  rm -rf "$new"
  echo $ok >"$findings/$name.result"
  local runs
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  printf '%-12s %s %10s executions\n' "$name" $ok "${runs:-0}"
  [ $ok = passed ] && return
  grep -E -A25 'ERROR|runtime error|CHECK|no harness' "$log" | head -n 40 | sed 's/^/    /'
  find "$findings" -name "$name-*" -printf "    $programs/${name}_fuzz %p     # runs it again\n"
}

running=0
for name in "${names[@]}"; do
  one "$name" &
  running=$((running + 1))
  [ $running -ge 2 ] && wait -n && running=$((running - 1))
done
wait

passed=$(cat "$findings"/*.result | grep -c passed)
failed=$((${#names[@]} - passed))
[ -n "${COUNT_FILE:-}" ] && echo "$passed $failed" >"$COUNT_FILE"
echo "fuzz: $passed passed, $failed failed"
[ $failed = 0 ]
