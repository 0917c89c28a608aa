#!/usr/bin/env python3
"""What a device loads: libtinylcm and the program `tinylcm` link these libraries and no other, and the library shows only its
own names.

A library more on every device is a decision; this is where it is written down. Boost is headers only here, hashes and
signatures are OpenSSL's (no libsodium), figures are written as text (no prometheus-cpp), model runtimes are opened at run time.
Usage: device_links.py LIBRARY PROGRAM   exit 0: so it is; 1: not so, one line each.
"""

import re
import subprocess
import sys

SYSTEM = {"libc", "libm", "libgcc_s", "libstdc++", "libdl", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64"}
SANITIZERS = {"libasan", "libubsan", "libtsan"}
LIBRARY = {"libarchive", "libcrypto", "libhwy", "libpng16", "libturbojpeg", "libyuv"}
PROGRAM = LIBRARY | {"libcurl"}


def needed(file: str) -> set[str]:
    said = subprocess.run(["readelf", "--dynamic", "--wide", file], check=True, capture_output=True, text=True).stdout
    return {name.split(".so")[0] for name in re.findall(r"\(NEEDED\).*\[(.+)\]", said)}


def shown(library: str) -> list[str]:
    """Its defined dynamic symbols as a person writes them."""
    said = subprocess.run(["nm", "--dynamic", "--defined-only", "--demangle", library], check=True, capture_output=True, text=True)
    return [line.split(maxsplit=2)[2] for line in said.stdout.splitlines()]


def main() -> int:
    library, program = sys.argv[1:3]
    wrong = []
    for file, may in ((library, LIBRARY), (program, PROGRAM)):
        links = needed(file)
        if not links:
            wrong.append(f"{file}: links nothing at all; is it the right file?")
        for name in sorted(links - may - SYSTEM - SANITIZERS):
            wrong.append(f"{file}: links {name}, which a device does without")
    names = shown(library)
    if not any(name.startswith("tinylcm::Device::Open(") for name in names):
        wrong.append(f"{library}: does not show tinylcm::Device::Open")
    own = re.compile(r"((vtable|typeinfo|typeinfo name|VTT|guard variable) for )?(tinylcm|protocol|base)::")
    for name in names:
        if not own.match(name):
            wrong.append(f"{library}: shows {name}")
    for line in wrong:
        print(line)
    print(f"device_links: {len(wrong)} wrong" if wrong else f"device_links: as it should be ({len(names)} names shown)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
