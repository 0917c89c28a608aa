#!/usr/bin/env bash
# How many instructions does a query of 200 x 256 by bytes take on a 64-bit Arm without dot-product
# instructions? Prints a line as every benchmark does; the baseline is the loops one would write first.
#
#   knn_instructions.sh [WORK]   WORK: where to build, build/release/bench/aarch64
#
# The count is exact and no machine's mood: qemu-user runs 2 N and N queries as a Cortex-A53 one
# instruction a block and logs each; the difference is N queries'.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
work=${1:-build/release/bench/aarch64}
bar=45000
queries=4

for tool in aarch64-linux-gnu-g++ qemu-aarch64-static; do
  command -v $tool >/dev/null ||
    { echo "knn_instructions: $tool is missing (packages g++-aarch64-linux-gnu, qemu-user-static)" >&2; exit 3; }
done

# Highway's headers are the same for every processor, and with NEON as the only choice nothing of its
# library is linked.
mkdir -p "$work/include"
ln -sfn /usr/include/hwy "$work/include/hwy"
aarch64-linux-gnu-g++ -O2 -mcpu=cortex-a53 -std=c++20 -ffp-contract=off -static -I. -Itinylcm/include \
  -I"$work/include" bench/micro/knn_count.cc tinylcm/src/platform/highway/{rows,int8}.cc \
  tinylcm/src/classify/{anchors,calibration,distance,int8_rows,knn_classifier}.cc base/{check,text}.cc \
  -o "$work/knn_count"

# Every executed block is a line of the log, and every block one instruction.
executed() {
  qemu-aarch64-static -cpu cortex-a53 -singlestep -d exec,nochain -D /dev/stdout "$work/knn_count" "$1" "$2" |
    grep -c '^Trace'
}
of_a_query() {
  local one two
  one=$(executed $queries "$1")
  two=$(executed $((2 * queries)) "$1")
  echo $(((two - one) / queries))
}

i8=$(of_a_query i8)
f32=$(of_a_query f32)
plain=$(of_a_query plain)
awk -v value="$i8" -v baseline="$plain" -v f32="$f32" -v bar=$bar 'BEGIN {
  printf "{\"name\":\"knn_200x256_aarch64.i8_instructions\",\"value\":%d,\"unit\":\"instructions\",\"better\":\"lower\"," \
    "\"baseline\":%d,\"ratio\":%.4g,\"conditions\":\"whole Classify, cosine, k 5, 4 classes; qemu-user as Cortex-A53, " \
    "g++ -O2; baseline: scalar loops; the scan in float takes %d; bar %d\"}\n", value, baseline, value / baseline, f32, bar }'
