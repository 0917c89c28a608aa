#!/bin/sh
# Trains the camera's feature model from nothing: Python environment, frames, training, check.
#
#   training/run.sh [--tinyscene FILE] [--out DIR] [--seed N] [--per-class N]
#
# FILE is the built tools/tinyscene (default build/release/bin/tinyscene), DIR gets model.tflite and
# training_log.json (default build/training), N frames of each class are learned from (default 2000;
# fewer are quicker and not good enough). Took 11 minutes on two cores that others used too.
# Exit: 0 done and as good as the committed model must be; 1 trained, but not good enough;
# 2 wrong use; 3 environment.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tinyscene=$root/build/release/bin/tinyscene
out=$root/build/training
seed=1
per_class=2000
while [ $# -gt 0 ]; do
  case "$1" in
    --tinyscene) tinyscene=${2:?}; shift 2 ;;
    --out) out=${2:?}; shift 2 ;;
    --seed) seed=${2:?}; shift 2 ;;
    --per-class) per_class=${2:?}; shift 2 ;;
    *) echo "training/run.sh: $1: unknown (see the head of the file)" >&2; exit 2 ;;
  esac
done
if [ ! -x "$tinyscene" ]; then
  echo "training/run.sh: $tinyscene: not built (cmake --build build/release --target tinyscene)" >&2
  exit 2
fi

# Kept between runs; a change of the requirements makes another one.
digest=$(sha256sum "$root/training/requirements.txt" | cut -c1-12)
venv=${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops/training-$digest
if [ ! -f "$venv/complete" ]; then
  echo "training: installing TensorFlow"
  python3 -m venv "$venv" && "$venv/bin/pip" install -q -r "$root/training/requirements.txt" ||
    { echo "training/run.sh: could not install $root/training/requirements.txt" >&2; exit 3; }
  touch "$venv/complete"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
"$tinyscene" export camera --pool T --per-class "$per_class" --seed "$seed" --out "$work/train"
"$tinyscene" export camera --pool A --per-class 150 --seed 3 --out "$work/a"
"$tinyscene" export camera --pool B --per-class 150 --seed 3 --out "$work/b"
cd "$root"
"$venv/bin/python" -m training.train --frames "$work/train" --check "$work/a" "$work/b" \
  --work "$work/saved" --out "$out" --seed "$seed"
"$venv/bin/python" -m training.verify --model "$out/model.tflite" --log "$out/training_log.json" \
  --check "$work/a" "$work/b" --committed "$root/examples/models/digits-camera/model.tflite"
