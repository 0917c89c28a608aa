#!/usr/bin/env bash
# Prints the folder that holds Debian's arm64 libraries and headers, which cmake/aarch64.cmake compiles and
# links against and in which qemu finds the libraries. Brings the packages of sysroot-arm64-packages.txt and
# all they depend on with apt, from the machine's own sources but with folders of its own: the host's
# packages and architectures stay as they are. --installed: never fetches, fails if there is none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# Another list, another version of this script or another Debian: another folder.
key=$(cat "$0" "$here/sysroot-arm64-packages.txt" <(. /etc/os-release && echo "$ID $VERSION_ID") | sha256sum | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tinymlops
sysroot=$cache/sysroot-arm64-$key

if [ -d "$sysroot" ]; then
  echo "$sysroot"
  exit 0
fi
if [ "${1:-}" = --installed ]; then
  echo "sysroot-arm64: there is none in $sysroot; run tools/setup/sysroot-arm64.sh once" >&2
  exit 3
fi
for command in apt-get dpkg-deb; do
  command -v $command >/dev/null || { echo "sysroot-arm64: $command is needed (a Debian machine)" >&2; exit 3; }
done

mkdir -p "$cache"
work=$(mktemp -d "$cache/sysroot-arm64.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/state/lists/partial "$work"/cache/archives/partial "$work"/root
: >"$work/state/status"  # Nothing counts as installed, so what is named comes with all it depends on.
cat >"$work/apt.conf" <<CONF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$work/state";
Dir::State::status "$work/state/status";
Dir::Cache "$work/cache";
CONF
export APT_CONFIG=$work/apt.conf

failed() {
  tail -n 15 "$work/log" >&2
  echo "sysroot-arm64: $1" >&2
  exit 3
}
echo "setup: fetching the arm64 libraries" >&2
mapfile -t packages <"$here/sysroot-arm64-packages.txt"
# A source without arm64 is no reason to stop: apt says below whether the packages can be had.
apt-get update -qq >"$work/log" 2>&1 || true
apt-get install -qq -y --download-only "${packages[@]}" >>"$work/log" 2>&1 ||
  failed "apt could not bring the arm64 packages from this machine's sources"
count=0
for package in "$work"/cache/archives/*.deb; do
  dpkg-deb -x "$package" "$work/root" 2>>"$work/log" || failed "$(basename "$package") could not be unpacked"
  count=$((count + 1))
done
[ $count -gt 0 ] || failed "apt brought no package"
rm -rf "$work"/root/usr/share/{doc,man,locale,lintian,bug} "$work"/root/{etc,var}

# Links to absolute paths would leave the folder.
while read -r link; do
  to=$(readlink "$link")
  [ "${to#/}" = "$to" ] && continue
  ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$work/root$to")" "$link"
done < <(find "$work/root" -type l)

# The model runtime asks /proc/cpuinfo what the processor can do; under qemu that would be the host's answer.
mkdir -p "$work/root/proc"
for core in 0 1 2 3; do
  printf 'processor\t: %d\nBogoMIPS\t: 38.40\nFeatures\t: fp asimd evtstrm crc32 cpuid\n' $core
  printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd03\nCPU revision\t: 4\n\n'
done >"$work/root/proc/cpuinfo"

chmod 755 "$work/root"
# Whole or not at all; whoever was faster has made the same.
mv -T "$work/root" "$sysroot" 2>/dev/null || [ -d "$sysroot" ] || failed "$sysroot could not be written"
echo "$sysroot"
