#!/usr/bin/env bash
# The committed model is the one its training log names, and fit makes the committed bundles of it, bit for bit:
# examples/models/bundles.sha256 holds their identities. With --write the file is written anew.
#   bundle_reproduces.sh [--write] [TINYLCM ...]     the command that stands for tinylcm
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/build/release/bin
model=examples/models/digits-camera/model.tflite
write=0
[ "${1:-}" = --write ] && write=1 && shift
tinylcm=("$@")
[ $# -gt 0 ] || tinylcm=("$bin/tinylcm")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

said=$(python3 -c 'import json; print(json.load(open("examples/models/digits-camera/training_log.json"))["model"]["sha256"])')
is=$(sha256sum "$model" | cut -d' ' -f1)
[ "$said" = "$is" ] || { echo "the model is $is, its training log says $said" >&2; exit 1; }

"$bin/tinyscene" export camera --pool T --per-class 80 --seed 1 --out "$work/frames" 2>/dev/null
"$bin/tinyscene" export rows --pool T --per-class 260 --seed 1 --out "$work/rows.csv" 2>/dev/null
"${tinylcm[@]}" fit --images "$work/frames" --model "$model" --out "$work/camera" --standardise --project 64 \
  --anchors-per-class 30 --name digits-camera --version 1.0.0 --seed 1 >/dev/null
"${tinylcm[@]}" fit --rows "$work/rows.csv" --label-column label --out "$work/sensor" --standardise \
  --anchors-per-class 120 --name digits-sensor --version 1.0.0 --seed 1 >/dev/null
for kind in camera sensor; do
  printf '%s  %s\n' "$(sha256sum "$work/$kind/manifest.json" | cut -d' ' -f1)" "digits-$kind 1.0.0"
done >"$work/made"

if [ $write = 1 ]; then
  cp "$work/made" examples/models/bundles.sha256
elif ! diff examples/models/bundles.sha256 "$work/made"; then
  echo "fit made other bundles than the committed ones" >&2
  exit 1
fi
cat "$work/made"
