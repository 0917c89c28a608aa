#!/usr/bin/env bash
# Sets up, builds and runs the benchmarks.
#   ./bench.sh             all of them
#   ./bench.sh NAME        those whose name starts with NAME; drift_quality, adapt_quality (some 25
#                          minutes) and detector_ns are families of figures, named by how they begin
#   ./bench.sh --list      the names, nothing is run
# One JSON object a line on stdout: name, value, unit, better ("lower", "higher"; "one": a ratio that
# should be 1), baseline, ratio (value / baseline), conditions, and where there are such the 95 %
# interval (low, high), target and met. Progress and tables go to stderr.
# Exit: 0 done; 1 a benchmark found its own answer wrong; 2 wrong use; 3 set-up or build failed.
set -uo pipefail
cd "$(dirname "$0")"

# A name, the target that prints it (or a script of bench/micro), and what that is run with ({camera}:
# the folder of frames; {device}: one with a bundle and a raw picture; {bin}: the programs; {sphere}: the
# same, the server among them; {sklearn}, {river}: how scikit-learn and river are asked, nothing where
# they cannot be had; {names}: what is asked for). A target may print more figures whose names begin with a name and a dot.
benchmarks='
knn_200x256.f32                  knn_benchmark          {sklearn}
knn_200x256.i8                   knn_benchmark          {sklearn}
knn_1000x256.f32                 knn_benchmark          {sklearn}
knn_1000x256.i8                  knn_benchmark          {sklearn}
knn_200x256_aarch64.i8_instructions  knn_instructions.sh
project_1280x256                 projection_benchmark
project_1280x256_i8              projection_benchmark
detector_ns                      drift_quality          {river} {names}
frame_overhead.p50_us            frame_overhead_benchmark
frame_overhead.p99_us            frame_overhead_benchmark
frame_hypothesis                 frame_hypothesis_benchmark
frame_total                      frame_total_benchmark  {device}
camera_frame_total               camera_frame_benchmark  {camera}/bundle {camera}/quiet
start_to_first_prediction        agent_start_benchmark  {bin} {device}
agent_memory                     agent_memory_benchmark  {bin} {device}
log_1000_frames.bytes            agent_written_benchmark  {bin} {device}
log_1000_frames.files            agent_written_benchmark  {bin} {device}
drift_quality.c1                 drift_quality          {river} {names}
drift_quality.c2                 drift_quality          {river} {names}
drift_quality.c3                 drift_quality          {river} {names}
drift_quality.c4                 drift_quality          {river} {names}
drift_quality.d1                 drift_quality          {river} {names}
drift_quality.d2                 drift_quality          {river} {names}
drift_quality.d3                 drift_quality          {river} {names}
drift_quality.d4                 drift_quality          {river} {names}
drift_quality.d5                 drift_quality          {river} {names}
drift_quality.e1                 drift_quality          {river} {names}
drift_quality.accuracy           drift_quality          {river} {names}
adapt_quality.a1                 adapt_quality          {names}
adapt_quality.a2                 adapt_quality          {names}
adapt_quality.a3                 adapt_quality          {names}
adapt_quality.a4                 adapt_quality          {names}
adapt_quality.a5                 adapt_quality          {names}
adapt_quality.a6                 adapt_quality          {names}
adapt_quality.a7                 adapt_quality          {names}
adapt_quality.x                  adapt_quality          {names}
adapt_quality.rollback_ms        rollback_benchmark
adapt_quality.frame_p99          frame_p99_benchmark
processing.packages_per_s        processing_benchmark
queries                          queries/queries.sh  {sphere}
ingest_1mb                       ingest_benchmark       {names}
ingest_100kb                     ingest_benchmark       {names}
ingest_cpu_us                    ingest_benchmark       {names}
ingest_rss_mb                    ingest_benchmark       {names}
'
model=examples/models/digits-camera/model.tflite
bin=build/release/bin
camera=build/release/bench/camera
device=build/release/bench/device
# The prototype's model and arrays, which are no part of the project; without them ours.
data=${TINYMLOPS_DATA:-}

names() { awk 'NF {print $1}' <<<"$benchmarks"; }

wanted=
case "${1:-}" in
  -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; echo "Names:"; names | sed 's/^/  /'; exit 0 ;;
  --list) names; exit 0 ;;
  -*) echo "bench.sh: unknown option $1 (try --help)" >&2; exit 2 ;;
  *) wanted=${1:-} ;;
esac
[ $# -le 1 ] || { echo "bench.sh: one NAME at most (try --help)" >&2; exit 2; }
# One figure of a family is its family, of which only that is printed.
chosen=$(awk -v start="$wanted" 'NF && index($1, start) == 1 {print; next}
  NF && index(start, $1 ".") == 1 {$1 = start; print}' <<<"$benchmarks")
[ -n "$chosen" ] || { echo "bench.sh: no benchmark's name starts with $wanted (try --list)" >&2; exit 2; }

mapfile -t targets < <(awk '$2 !~ /[.]sh$/ {print $2}' <<<"$chosen" | sort -u)
needs_camera=0
grep -q '{camera}' <<<"$chosen" && needs_camera=1 && targets+=(tinyscene tinylcm)

needs_device=0
grep -q '{device}' <<<"$chosen" && needs_device=1 && targets+=(bench_bundle)
grep -q '{sphere}' <<<"$chosen" && targets+=(tinysphere)
grep -q '{bin}' <<<"$chosen" && targets+=(tinylcm bare_litert bare_litert_linked)

tools/setup/install.sh >&2 || exit 3
sklearn=
if grep -q '^knn_' <<<"$chosen"; then
  tools/setup/install.sh bench aarch64 >&2 || echo "bench: what is only compared with is missing" >&2
  if python=$(bench/python.sh); then sklearn="$python bench/micro/knn_sklearn.py"; fi
fi
river=()
if grep -q '{river}' <<<"$chosen"; then
  if python=$(bench/python.sh); then river=(--river "$python bench/drift/river_side.py"); fi
fi
[ ${#targets[@]} -eq 0 ] || tools/setup/build.sh "${targets[@]}" >&2 || exit 3

# Only printed beside ours, where the services' tools brought it.
for python in "${XDG_CACHE_HOME:-$HOME/.cache}"/tinymlops/mlflow-*/bin/python; do
  [ ! -x "$python" ] || export BENCH_FASTAPI_PYTHON=$python
done

# One processor to itself as far as it can be had, and a say over others where that is allowed.
quietly=(taskset -c "$(($(nproc) - 1))")
nice -n -5 true 2>/dev/null && quietly+=(nice -n -5)

# Frames of a quiet camera, of digits (pool B) that nothing was fitted on (pool T).
scene() { "$bin/tinyscene" export camera "$@" >&2; }
if [ $needs_camera = 1 ]; then
  echo "bench: drawing camera frames" >&2
  rm -rf "$camera" && mkdir -p "$camera" &&
    scene --pool T --per-class 80 --seed 11 --out "$camera/fit" &&
    scene --pool B --per-class 40 --seed 1 --out "$camera/quiet" &&
    "$bin/tinylcm" fit --images "$camera/fit" --model "$model" --out "$camera/bundle" --standardise \
      --project 64 --anchors-per-class 30 --name digits-camera --seed 1 >&2 || exit 3
fi

if [ $needs_device = 1 ]; then
  rm -rf "$device" && mkdir -p "$device" || exit 3
  if [ -f "$data/embeddings/model_object.tflite" ]; then
    "$bin/bench_bundle" "$data/embeddings/model_object.tflite" "$device" "$data/embeddings" >&2 || exit 3
  else
    echo "bench: TINYMLOPS_DATA is not there, the digits model stands in for the prototype's" >&2
    "$bin/bench_bundle" "$model" "$device" >&2 || exit 3
  fi
fi

failed=0
while read -r target arguments; do
  echo "bench: $target" >&2
  arguments=${arguments//'{camera}'/$camera}
  arguments=${arguments//'{sklearn}'/$sklearn} arguments=${arguments//'{device}'/$device}
  arguments=${arguments//'{bin}'/$bin} arguments=${arguments//'{sphere}'/$bin}
  program=$bin/$target
  [[ $target != *.sh ]] || program=bench/micro/$target
  [[ $target != */*.sh ]] || program=bench/$target
  own=("${quietly[@]}") program_names=0
  [[ $target != queries/* ]] || own=()  # A server and a database, on the whole machine.
  if [[ $arguments == *'{names}'* ]]; then
    own_river=()
    [[ $arguments != *'{river}'* ]] || own_river=("${river[@]}")
    # It has threads of its own, words that hold spaces, and says itself what cannot be measured here.
    program_names=1
    own=()
    mapfile -t asked < <(awk -v target="$target" '$2 == target {print $1}' <<<"$chosen")
    arguments=${arguments//'{river}'/} arguments=${arguments//'{names}'/}
    own+=("$program" "${own_river[@]}" "${asked[@]}")
  else
    own+=("$program")
  fi
  # shellcheck disable=SC2086  # The arguments are words.
  figures=$("${own[@]}" $arguments) ||
    { echo "bench: $target failed" >&2; failed=1; continue; }
  while read -r name; do
    grep -E "^\{\"name\":\"${name//./\\.}(\.[^\"]*)?\"," <<<"$figures" ||
      { echo "bench: $target says nothing of $name" >&2; [[ $program_names == 1 ]] || failed=1; }
  done < <(awk -v target="$target" '$2 == target {print $1}' <<<"$chosen")
done < <(awk '{$1 = ""} !seen[$0]++' <<<"$chosen")
exit $failed
