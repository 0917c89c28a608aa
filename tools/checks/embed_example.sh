#!/usr/bin/env bash
# The installed library as a stranger finds it: examples/embed is built against it by CMake package and by pkg-config, runs on
# rows of the digits sensor that begin to age, and says what `tinylcm replay` says of them.
#   embed_example.sh [BUILD_DIR]     default build/release
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${1:-build/release}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

cmake --install "$build" --prefix "$prefix" --component tinylcm >"$work/install.log"
lines=$(wc -l <examples/embed/main.cc)
[ "$lines" -le 60 ] || { echo "examples/embed/main.cc has $lines lines" >&2; exit 1; }

# Nothing of the server, the tests, the agent or third parties comes along.
find "$prefix" -type f -printf '%P\n' | sort >"$work/files"
if grep -vE '^(include/tinylcm/(tinylcm|base|protocol)/|lib[^/]*(/[^/]+)?/(libtinylcm\.so|pkgconfig/tinylcm\.pc|cmake/TinyLCM/)|share/doc/tinylcm/LICENSE$)' "$work/files"; then
  echo "installed, but no part of the library" >&2
  exit 1
fi
if grep -E '^include/tinylcm/tinylcm/(sync|src)/' "$work/files"; then echo "not public" >&2; exit 1; fi
if grep -rhoE '#include <[a-z_]+/[^>]+>|#include "(agent|tinysphere|tests)/[^"]+"' "$prefix/include"; then
  echo "a public header includes what a user does not have" >&2
  exit 1
fi
libdir=$(dirname "$(find "$prefix" -name 'libtinylcm.so')")

# By CMake: its own build folder, nothing of this tree but the prefix.
cp -r examples/embed "$work/embed"
cmake -S "$work/embed" -B "$work/by-cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_FLAGS='-Wall -Wextra -Werror' >"$work/cmake.log"
cmake --build "$work/by-cmake" >>"$work/cmake.log" || { cat "$work/cmake.log" >&2; exit 1; }
# By pkg-config.
export PKG_CONFIG_PATH=$libdir/pkgconfig
version=$(pkg-config --modversion tinylcm)
[ "tinylcm $version" = "$("$build/bin/tinylcm" --version)" ] || { echo "the package says $version" >&2; exit 1; }
# shellcheck disable=SC2046
g++ -std=c++20 -Wall -Wextra -Werror "$work/embed/main.cc" $(pkg-config --cflags --libs tinylcm) -Wl,-rpath,"$libdir" -o "$work/by-pkg-config"
# A version that is not there is refused.
sed 's/TinyLCM 0.1/TinyLCM 99.0/' "$work/embed/CMakeLists.txt" >"$work/newer.txt"
mkdir "$work/newer" && cp "$work/embed/main.cc" "$work/newer/" && mv "$work/newer.txt" "$work/newer/CMakeLists.txt"
if cmake -S "$work/newer" -B "$work/newer/build" -DCMAKE_PREFIX_PATH="$prefix" >"$work/newer.log" 2>&1; then
  echo "find_package took version $version for 99.0" >&2
  exit 1
fi

# Calm rows, then rows of an array whose block has aged; one row is broken.
"$build/bin/tinyscene" export rows --pool T --per-class 80 --seed 1 --out "$work/fit.csv" 2>/dev/null
"$build/bin/tinylcm" fit --rows "$work/fit.csv" --label-column label --standardise --anchors-per-class 20 --out "$work/bundle" \
  --name digits-sensor --seed 1 >/dev/null
for aged in 0 1; do
  "$build/bin/tinyscene" rows --pool A --seed 3 --frames 900 --aged $aged --out "$work/aged-$aged.csv" 2>/dev/null
done
head -n 501 "$work/aged-0.csv" >"$work/stream.csv"
tail -n +502 "$work/aged-1.csv" >>"$work/stream.csv"
sed -i '101s/,[0-9]*/,broken/2' "$work/stream.csv"
"$build/bin/tinylcm" replay --bundle "$work/bundle" --rows "$work/stream.csv" --predictions "$work/replay.csv" >"$work/replay.json" 2>/dev/null

for way in by-cmake/embed by-pkg-config; do
  "$work/$way" "$work/bundle" "$work/state-${way%%/*}" "$work/stream.csv" >"$work/said.csv" 2>"$work/skipped.txt"
  python3 - "$work" "$way" <<'P'
import csv, json, pathlib, sys
work, way = pathlib.Path(sys.argv[1]), sys.argv[2]
said = (work / "said.csv").read_text().splitlines()
drifts = [int(line.split()[3].rstrip(":")) for line in said if line.startswith("drift at row ")]
predictions = [line.split(",") for line in said if not line.startswith("drift")]
replayed = list(csv.DictReader((work / "replay.csv").open()))
summary = json.loads((work / "replay.json").read_text().splitlines()[-1])
assert len(predictions) == len(replayed) == 899, (len(predictions), len(replayed))
for (row, label, confidence), other in zip(predictions, replayed):
    assert (row, label) == (other["row"], other["prediction"]), (row, label, other)
    assert abs(float(confidence) - float(other["confidence"])) < 1e-5, (row, confidence, other)
alarms = [alarm["row"] for alarm in summary["alarms"]]
assert drifts == alarms and len(drifts) >= 1 and drifts[0] >= 500, (drifts, alarms)
skipped = (work / "skipped.txt").read_text().splitlines()
assert skipped == ["skipped: row 99: value 1 is not a finite number"], skipped
assert summary["skipped"] == 1, summary
print(f"{way}: {len(predictions)} predictions and the drift at row {drifts[0]} as replay has them")
P
done
# The state folder is kept: a second life goes on behind the first, and asks for nothing twice.
"$work/by-pkg-config" "$work/bundle" "$work/state-by-pkg-config" "$work/stream.csv" >"$work/again.csv" 2>/dev/null
[ "$(grep -vc drift "$work/again.csv")" = 899 ] || { echo "the second life does not answer" >&2; exit 1; }
