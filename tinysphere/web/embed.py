#!/usr/bin/env python3
"""Turns a folder of web files into a C++ source: embed.py DIST OUT.cc

Each file is compressed once, here; the bytes depend on the content only, so a build is reproducible.
OUT.cc is left alone when nothing has changed.
"""

import gzip
import hashlib
import pathlib
import sys

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}

HEAD = """// Made by tinysphere/web/embed.py; do not edit.

#include "tinysphere/web/web_files.h"

namespace tinysphere::web {
namespace {

"""


def literal(data: bytes) -> str:
    """A string literal: much faster to compile than a list of numbers. Octal escapes of three digits
    cannot run into the next character."""
    lines = []
    for start in range(0, len(data), 24):
        lines.append('    "' + "".join(f"\\{byte:03o}" for byte in data[start : start + 24]) + '"')
    return "\n".join(lines)


def main() -> int:
    dist, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    paths = sorted(
        (p for p in dist.rglob("*") if p.is_file() and not p.name.startswith(".")),
        key=lambda p: p.relative_to(dist).as_posix(),
    )
    if dist / "index.html" not in paths:
        print(f"embed: {dist} has no index.html; run web/build.sh", file=sys.stderr)
        return 1

    arrays, rows = [], []
    for number, path in enumerate(paths):
        content_type = CONTENT_TYPES.get(path.suffix)
        if content_type is None:
            print(f"embed: {path}: no content type is known for {path.suffix}", file=sys.stderr)
            return 1
        data = path.read_bytes()
        packed = gzip.compress(data, 9, mtime=0)
        name = path.relative_to(dist).as_posix()
        etag = hashlib.sha256(data).hexdigest()[:32]
        # The literal's closing zero is one byte more than the file.
        arrays.append(f"const unsigned char kFile{number}[{len(packed) + 1}] =\n{literal(packed)};\n\n")
        rows.append(
            f'    {{"/{name}", "{content_type}", "{etag}", base::ByteView(kFile{number}, {len(packed)})}},\n'
        )

    text = (
        HEAD
        + "".join(arrays)
        + "const http::WebFile kFiles[] = {\n"
        + "".join(rows)
        + "};\n\n}  // namespace\n\n"
        + "std::span<const http::WebFile> WebFiles() { return kFiles; }\n\n"
        + "}  // namespace tinysphere::web\n"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    if not out.exists() or out.read_text() != text:
        out.write_text(text)
    else:
        out.touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
