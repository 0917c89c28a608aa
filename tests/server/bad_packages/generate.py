"""The bad packages: for each way in which a package can be wrong, files that are, each with the answer it must get.

    python3 generate.py FOLDER      writes FOLDER/<class>/<name>.bin beside <name>.json, always the same bytes

They are what a hostile or broken device could send: the manifest's signature holds (its key is made of a seed here), so
that every file gets as far as it can. <name>.json: {"class", "name", "seq", "way", "status", "kind", "code", "says",
"then"}: the answer's HTTP status, its statement's kind and code, words that its message must hold, and what becomes of
what was accepted ("processed" or "failed"). Standard library only.
"""

import gzip
import hashlib
import io
import json
import pathlib
import random
import struct
import sys
import zipfile
import zlib

from signing_device import SigningDevice

SEED = b"what a broken device could send\0"  # Of the device's key, 32 bytes.
RANDOM_SEED = 20261121
EPOCH = "bad0bad0bad0bad0"

CORRUPT, DENIED, INVALID = (400, "corrupt"), (422, "permission_denied"), (422, "invalid_argument")
EXHAUSTED, UNSUPPORTED = (413, "exhausted"), (415, "unsupported")

# What can stand in a field that people look at.
HTML = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "javascript:alert(1)",
        "<a href='//evil.example'>x</a>", "{{constructor.constructor('alert(1)')()}}"]
SQL = ["'; DROP TABLE devices; --", "' OR '1'='1", "1); DELETE FROM packages; --", '" UNION SELECT secret FROM users --',
       "\\'; UPDATE devices SET state='revoked' --", "%' OR 1=1 /*"]
CSV = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1:A9)", "\t=HYPERLINK(\"http://evil.example\")", "=IMPORTXML(1)"]


# ---- tar, byte for byte ---------------------------------------------------------------------------------------------------


def octal(value: int, digits: int) -> bytes:
    return f"{value:0{digits}o}".encode() + b"\0"


def header(name: bytes, size: bytes | int, kind: bytes = b"0", link: bytes = b"", mode: int = 0o644, magic: bytes = b"ustar\00000",
           tail: bytes = b"") -> bytes:
    size_field = octal(size, 11) if isinstance(size, int) else size
    block = (name[:100].ljust(100, b"\0") + octal(mode, 7) + octal(0, 7) * 2 + size_field.ljust(12, b"\0") + octal(0, 11) +
             b" " * 8 + kind + link[:100].ljust(100, b"\0") + magic.ljust(8, b"\0"))
    block = (block + tail).ljust(512, b"\0")
    checksum = f"{sum(block):06o}".encode() + b"\0 "
    return block[:148] + checksum + block[156:]


def padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 512)


def entry(name: bytes, content: bytes = b"", **more) -> bytes:
    return header(name, more.pop("size", len(content)), **more) + padded(content)


def pax(**records: bytes) -> bytes:
    """An extended header whose records hold for the next entry; "__" in a name stands for a dot."""
    body = b""
    for name, value in records.items():
        record = b" " + name.replace("__", ".").encode() + b"=" + value + b"\n"
        length = len(record) + len(str(len(record) + len(str(len(record)))))
        body += str(length).encode() + record
    return entry(b"PaxHeader", body, kind=b"x")


END = b"\0" * 1024


def packed(tar: bytes, level: int = 6) -> bytes:
    return gzip.compress(tar, level, mtime=0)


# ---- packages -------------------------------------------------------------------------------------------------------------


class Corpus:
    def __init__(self):
        self.device = SigningDevice(SEED, EPOCH)
        self.random = random.Random(RANDOM_SEED)
        self.cases: list[tuple[dict, bytes]] = []

    def add(self, group: str, name: str, content: bytes, answer: tuple[int, str] | None, says: str = "", then: str = "",
            seq: int | None = None, **more) -> int:
        """`answer` None: it is taken, and `then` says what becomes of it."""
        seq = seq if seq is not None else self.next()
        status, code = answer or (201, "")
        expected = {"class": group, "name": name, "seq": seq, "way": "put", "status": status, "code": code,
                    "kind": "refused" if answer else "stored", "says": says, "then": then} | more
        self.cases.append((expected, content))
        return seq

    def next(self) -> int:
        """The seq that the next case's package must have."""
        return 1 + max((case["seq"] for case, _ in self.cases), default=0)

    def head(self, contents: dict[str, bytes], seq: int | None = None, **more) -> bytes:
        """manifest.json and manifest.sig as tar entries."""
        manifest = self.device.manifest(seq if seq is not None else self.next(), contents, **more)
        return entry(b"manifest.json", manifest) + entry(b"manifest.sig", self.device.manifest_signature(manifest))

    def tar(self, contents: dict[str, bytes], seq: int | None = None, **more) -> bytes:
        return self.head(contents, seq, **more) + b"".join(entry(path.encode(), content) for path, content in contents.items()) + END

    def package(self, contents: dict[str, bytes], **more) -> bytes:
        return packed(self.tar(contents, **more))

    def zip(self, contents: dict[str, bytes], change=None, seq: int | None = None) -> bytes:
        manifest = self.device.manifest(seq if seq is not None else self.next(), contents)
        entries = {"manifest.json": manifest, "manifest.sig": self.device.manifest_signature(manifest)} | contents
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in entries.items():
                info = zipfile.ZipInfo(path, (2026, 11, 20, 12, 0, 0))
                info.external_attr = 0o100644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                if change:
                    change(info)
                archive.writestr(info, content)
        return out.getvalue()


FIGURES = {"format": "tinylcm-metrics/1", "at": "2026-11-20T12:00:00.000Z", "window_ms": 60000, "frames": 100,
           "frames_window": 10, "skipped": 0, "dropped": 0, "log_dropped": 0, "queue_packages": 0, "queue_bytes": 0,
           "packages_made": 1, "packages_evicted": 0, "packages_dead": 0, "drift_state": "stable", "mode": "autonomous",
           "stages": [], "class_mix": [], "model": {"name": "m", "version": "1", "model_family": "f", "bundle": ""}}


def figures(**more) -> bytes:
    return json.dumps(FIGURES | more).encode()


def build() -> Corpus:
    c = Corpus()
    good = {"metrics.json": figures()}
    body = entry(b"metrics.json", good["metrics.json"])

    def extra(kind: str, name: str, entries: bytes, answer, says: str = "", then: str = "") -> None:
        """An honest package with more entries after its own."""
        c.add(kind, name, packed(c.head(good) + body + entries + END), answer, says, then)

    # ---- where an entry would land ----------------------------------------------------------------------------------------
    for i, path in enumerate([b"/etc/passwd", b"/tmp/tinysphere-canary", b"//metrics.json", b"/", b"/../../canary"]):
        extra("absolute", f"entry-{i}", entry(path, b"x"), DENIED, "a path that is not allowed")
    for i, path in enumerate(["../canary", "a/../../canary", "..", "a/..", "./metrics2.json", "../../../../../../etc/cron.d/x"]):
        extra("dot-dot", f"entry-{i}", entry(path.encode(), b"x"), DENIED, "a path that is not allowed")
    for i, path in enumerate(["../x", "/x", "a//b", "a/./b", ".."]):
        c.add("path-in-manifest", f"named-{i}", c.package({path: b"x"}), INVALID, "files[0].path")
    for i, target in enumerate([b"/etc/passwd", b"../../canary", b"metrics.json", b".", b""]):
        extra("symlink", f"to-{i}", entry(b"link", kind=b"2", link=target), DENIED)
    for i, (first, second) in enumerate([(b"a", b"/etc"), (b"a", b".."), (b"dir", b"../../.."), (b"x", b"/"), (b"b", b"/tmp")]):
        extra("two-hop-symlink", f"chain-{i}", entry(first, kind=b"2", link=second) +
              entry(b"hop", kind=b"2", link=first + b"/etc") + entry(b"hop/canary", b"x"), DENIED)
    for i, target in enumerate([b"/etc/passwd", b"../../canary", b"metrics.json", b"manifest.json", b"nowhere"]):
        extra("hardlink", f"to-{i}", entry(b"link", kind=b"1", link=target), DENIED, "not a regular file")
    for i, target in enumerate([b"/etc", b"/tmp", b"..", b"../..", b"/root/.ssh"]):
        extra("symlink-then-file", f"into-{i}", entry(b"out", kind=b"2", link=target) + entry(b"out/canary", b"x"), DENIED)
    for kind in (b"3", b"4", b"5", b"6", b"D"):
        extra("device-or-pipe", f"type-{kind.decode()}", entry(b"thing", kind=kind), DENIED)
    for mode in (0o4755, 0o2755, 0o6777, 0o1777, 0o7777):
        c.add("setuid", f"mode-{mode:o}", packed(c.head(good) + entry(b"metrics.json", good["metrics.json"], mode=mode) + END),
              None, then="processed")

    # ---- names ------------------------------------------------------------------------------------------------------------
    for i, (path, says) in enumerate([("metrics.json", "there twice"), ("manifest.json", "there twice"), ("manifest.sig", "there twice")]):
        extra("twice", f"entry-{i}", entry(path.encode(), good.get(path, b"x")), DENIED, says)
    for i in range(2):
        files = [{"path": "metrics.json", "media_type": "application/json", "bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}] * (i + 2)
        c.add("twice", f"manifest-{i}", c.package(good, files=files), INVALID, "files[1].path")
    for i, pair in enumerate([("a.json", "A.json"), ("Metrics.json", "metrics.json"), ("x/Y", "x/y"), ("K", "k"), ("z.JSON", "z.json")]):
        content = {pair[0]: figures() if pair[0] == "metrics.json" else b"{}", pair[1]: figures() if pair[1] == "metrics.json" else b"{}"}
        c.add("case-collision", f"pair-{i}", c.package(content), None, then="processed")
    for i, name in enumerate([b"metrics.json\0.exe", b"\0", b"a\0b", b"x\0/../../canary", b"\0\0metrics.json"]):
        # A name in an extended header has a length of its own, so that the NUL is part of it.
        extra("nul-in-name", f"pax-{i}", pax(path=name) + entry(b"short", b"x"), DENIED)
    for i, name in enumerate([b"\xff\xfe", b"caf\xe9.json", b"a\xc0\xafb", b"\xed\xa0\x80", b"x\xf5\x80\x80\x80", "grün.json".encode()]):
        extra("bad-utf8-name", f"name-{i}", entry(name, b"x"), DENIED)
    for length in (201, 1000, 5000, 60_000, 1_000_000):
        extra("long-name", f"pax-{length}", pax(path=b"n" * length) + entry(b"short", b"x"), CORRUPT if length == 1_000_000 else DENIED)
    for length in (201, 5000, 200_000):
        extra("long-name", f"gnu-{length}", entry(b"././@LongLink", b"n" * length + b"\0", kind=b"L", magic=b"ustar  \0") +
              entry(b"short", b"x", magic=b"ustar  \0"), DENIED)

    # ---- sizes that lie ---------------------------------------------------------------------------------------------------
    for i, size in enumerate([b"99999999999", b"0", b"-1", b"18446744073709551615", b"1"]):
        c.add("pax-size", f"size-{i}", packed(c.head(good) + pax(size=size) + body + END), CORRUPT)
    for i, records in enumerate([{"GNU__sparse__major": b"1", "GNU__sparse__minor": b"0", "GNU__sparse__name": b"metrics.json", "GNU__sparse__realsize": b"1099511627776"},
                                 {"GNU__sparse__size": b"1099511627776", "GNU__sparse__numblocks": b"1", "GNU__sparse__offset": b"0", "GNU__sparse__numbytes": b"1"},
                                 {"GNU__sparse__map": b"0,1,1099511627775,1", "GNU__sparse__size": b"1099511627776"},
                                 {"SCHILY__realsize": b"1099511627776"}]):
        c.add("sparse-bomb", f"pax-{i}", packed(c.head(good) + pax(**records) + entry(b"sparse", b"x" * 512) + END), CORRUPT if i == 0 else DENIED)
    # The old GNU form: four (offset, bytes) pairs in the header's tail, then whether more follow, then the real size.
    holes = octal(0, 11) + octal(1, 11) + (octal(2**33 - 1, 11) + octal(1, 11)) + b"\0" * 48 + b"\0" + b"77777777777\0"
    c.add("sparse-bomb", "old-gnu", packed(c.head(good) + header(b"sparse", 2, kind=b"S", magic=b"ustar  \0", tail=b"\0" * 121 + holes) +
                                           padded(b"xx") + END), DENIED, "a sparse file")
    for i, size in enumerate([b"\xff" * 12, b"\xff" * 11 + b"\xfe", b"\xc0" + b"\0" * 11, b"-0000000001\0", b"\xff\xff\xff\xff" + b"\0" * 8]):
        c.add("negative-size", f"size-{i}", packed(c.head(good) + header(b"metrics.json", size) + padded(good["metrics.json"]) + END), CORRUPT, "negative size")
    for i, size in enumerate([b"777777777777", b"\x80" + b"\xff" * 11, b"99999999999\0", b"\x80\0\0\0\x7f" + b"\xff" * 7, b"zzzzzzzzzzz\0"]):
        c.add("overflowing-size", f"size-{i}", packed(c.head(good) + header(b"metrics.json", size) + padded(good["metrics.json"]) + END), CORRUPT)

    # ---- compression ------------------------------------------------------------------------------------------------------
    for cut in (1, 5, 20, 100, 200):
        whole = c.package(good)
        c.add("truncated-gzip", f"less-{cut}", whole[:-cut], CORRUPT)
    for i in range(5):
        whole = bytearray(c.package(good))
        if i < 2:
            whole[-8 + i] ^= 0x55  # The CRC of what was packed.
        elif i == 2:
            whole[-4] ^= 0x55  # Its length.
        else:
            whole[i - 2] ^= 0x55  # The method, the magic number.
        # The trailer lies behind the archive's end: what was read is what the manifest's digests say, so it is taken.
        if i < 3:
            c.add("bad-crc", f"flip-{i}", bytes(whole), None, then="processed")
        else:
            c.add("bad-crc", f"flip-{i}", bytes(whole), CORRUPT)
    for parts in (2, 3, 5, 50, 1000):
        tar = c.tar(good)
        step = -(-len(tar) // parts)
        c.add("several-members", f"members-{parts}", b"".join(packed(tar[i:i + step]) for i in range(0, len(tar), step)),
              None, then="processed")
    for i, garbage in enumerate([b"x", b"\0" * 4096, b"PK\x03\x04", b"#!/bin/sh\nrm -rf /\n", b"\x1f\x8b\x08"]):
        c.add("trailing-garbage", f"tail-{i}", c.package(good) + garbage, None, then="processed")
    for i, size in enumerate([2 << 20, 16 << 20, 64 << 20, 200 << 20, 300 << 20]):
        zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
        # The manifest says its size and digest truly: only the ratio is wrong.
        digest, block = hashlib.sha256(), bytes(1 << 20)
        for _ in range(size >> 20):
            digest.update(block)
        said = [{"path": "zeros.bin", "media_type": "application/octet-stream", "bytes": size, "sha256": digest.hexdigest()}]
        bomb = zeros.compress(c.head({}, files=said) + header(b"zeros.bin", size))
        for _ in range(size >> 20):
            bomb += zeros.compress(block)
        bomb += zeros.compress(END) + zeros.flush()
        c.add("ratio-bomb", f"zeros-{size >> 20}MiB", bomb, EXHAUSTED, "times" if size <= 256 << 20 else "more than 268435456 bytes")
    for depth in (2, 5, 10, 20, 40):
        bomb = bytes(1 << 20)
        for _ in range(depth):
            bomb = gzip.compress(bomb, 9, mtime=0)
        # Nothing looks inside what a package holds: it is a file like any other.
        c.add("nested-bomb", f"depth-{depth}", c.package({"inner.gz": bomb}), None, then="processed")
    for depth in (2, 3, 8, 25, 60):
        whole = c.tar(good)
        for _ in range(depth):
            whole = gzip.compress(whole, 6, mtime=0)
        # So many layers are taken off, under the same limits of size and ratio; more are refused.
        c.add("gzip-in-gzip", f"layers-{depth}", whole, CORRUPT if depth > 24 else None, "too many filters" if depth > 24 else "",
              "" if depth > 24 else "processed")

    # ---- entries ----------------------------------------------------------------------------------------------------------
    for count in (255, 300, 10_000, 100_000, 1_000_000):
        squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
        out = squeeze.compress(c.head(good) + body)
        for first in range(0, count, 5000):
            out += squeeze.compress(b"".join(header(f"e{i}".encode(), 0) for i in range(first, min(first + 5000, count))))
        c.add("many-entries", f"entries-{count}", out + squeeze.compress(END) + squeeze.flush(), DENIED, "not named by the manifest")
    for count in (255, 1000, 10_000):
        said = [{"path": f"e{i}", "media_type": "", "bytes": 0, "sha256": hashlib.sha256().hexdigest()} for i in range(count)]
        c.add("many-entries", f"named-{count}", packed(c.head({}, files=said) + END),
              EXHAUSTED if count == 10_000 else INVALID, "manifest.json")
    empty_zip = io.BytesIO()
    zipfile.ZipFile(empty_zip, "w").close()
    for name, content in {"tar": END, "gzip": packed(b""), "tar-gz": packed(END), "zip": empty_zip.getvalue(), "newline": b"\n", "zeros": bytes(10240)}.items():
        c.add("empty", name, content, CORRUPT)

    # ---- the manifest and what it names -----------------------------------------------------------------------------------
    manifest = lambda **more: c.device.manifest(c.next(), good, **more)
    signed = lambda text: entry(b"manifest.sig", c.device.manifest_signature(text))
    with_manifest = lambda text: entry(b"manifest.json", text) + signed(text) + body + END
    for i, entries in enumerate([body, entry(b"manifest.sig", b"x" * 64) + body, entry(b"Manifest.json", b"{}"), entry(b"a/manifest.json", b"{}"), entry(b"manifest.json.gz", b"{}") + body]):
        c.add("manifest-missing", f"without-{i}", packed(entries + END), CORRUPT, "manifest.json expected")
    for i in range(5):
        text = manifest()
        second = manifest(type=f"other{i}")
        order = [entry(b"manifest.json", text) + entry(b"manifest.json", second), entry(b"manifest.json", text) + signed(text) + entry(b"manifest.json", second),
                 entry(b"manifest.json", text) + signed(text) + body + entry(b"manifest.json", text), entry(b"manifest.json", text) + signed(text) + signed(text) + body,
                 entry(b"manifest.json", text) + signed(text) + body + signed(second)][i]
        c.add("manifest-twice", f"order-{i}", packed(order + END), DENIED, "there twice")
    for i in range(5):
        text = manifest()
        order = [body + entry(b"manifest.json", text) + signed(text), signed(text) + entry(b"manifest.json", text) + body, entry(b"manifest.json", text) + body + signed(text),
                 entry(b"x", b"") + entry(b"manifest.json", text) + signed(text) + body, entry(b"dir", kind=b"5") + entry(b"manifest.json", text) + signed(text) + body][i]
        c.add("manifest-not-first", f"order-{i}", packed(order + END), DENIED if i == 4 else CORRUPT)
    for i, path in enumerate([b"extra.bin", b"metrics.json.bak", b"images/0.jpg", b"a/b/c/d", b"zzz"]):
        extra("extra-file", f"file-{i}", entry(path, b"x"), DENIED, "not named by the manifest")
    for i in range(5):
        wrong = [bytes(32).hex(), hashlib.sha256(b"").hexdigest(), hashlib.sha256(good["metrics.json"] + b" ").hexdigest(), "0" * 63 + "1", "f" * 64][i]
        files = [{"path": "metrics.json", "media_type": "", "bytes": len(good["metrics.json"]), "sha256": wrong}]
        c.add("wrong-sha256", f"digest-{i}", c.package(good, files=files), CORRUPT, "sha256 differs")
    for i, more in enumerate([-1, 1, 1000, 2**40, -len(good["metrics.json"])]):
        files = [{"path": "metrics.json", "media_type": "", "bytes": len(good["metrics.json"]) + more, "sha256": hashlib.sha256(good["metrics.json"]).hexdigest()}]
        is_huge = more == 2**40
        c.add("wrong-size", f"size-{i}", c.package(good, files=files), EXHAUSTED if is_huge else CORRUPT, "files" if is_huge else "metrics.json")
    for i, path in enumerate(["gone.json", "images/0.jpg", "x", "a/b", "metrics2.json"]):
        c.add("file-missing", f"file-{i}", packed(c.head(good | {path: b"x"}) + body + END), CORRUPT, "missing")
    for i in range(5):
        other = SigningDevice(f"another device {i:016}".encode(), EPOCH)
        if i < 3:
            text = other.manifest(c.next(), good)
            c.add("other-device", f"whole-{i}", packed(entry(b"manifest.json", text) + entry(b"manifest.sig", other.manifest_signature(text)) + body + END),
                  INVALID, "package_id")
        else:
            text = c.device.manifest(c.next(), good)
            c.add("other-device", f"signed-{i}", packed(entry(b"manifest.json", text) + entry(b"manifest.sig", other.manifest_signature(text)) + body + END),
                  DENIED, "not signed by")
    for i, signature in enumerate([b"", b"x" * 63, b"x" * 65, bytes(64), b"\xff" * 64]):
        text = manifest()
        c.add("bad-signature", f"bytes-{i}", packed(entry(b"manifest.json", text) + entry(b"manifest.sig", signature) + body + END),
              [CORRUPT, CORRUPT, EXHAUSTED, DENIED, DENIED][i], "manifest.sig")
    for i in range(5):
        text = manifest()
        changed = text.replace(b'"uptime_ms":1000', b'"uptime_ms":100%d' % i)
        c.add("bad-signature", f"changed-{i}", packed(entry(b"manifest.json", changed) + signed(text + b" ") + body + END), DENIED, "not signed by")

    # ---- which package it says it is --------------------------------------------------------------------------------------
    for i in range(5):
        seq = c.add("replay", f"first-{i}", c.package(good), None, then="processed")
        again = c.cases[-1][1]
        c.add("replay", f"again-{i}", again, None, seq=seq, status=200, kind="duplicate", then="processed")
    for i in range(5):
        seq = c.add("fork", f"first-{i}", c.package(good), None, then="processed")
        c.add("fork", f"other-{i}", c.package({"metrics.json": figures(frames=i)}, seq=seq), None, seq=seq, status=409,
              kind="conflict", code="conflict")
    for i, gap in enumerate([10_000, 20_000, 10**9, 10**12, 2**62]):
        c.add("seq-gap", f"gap-{i}", c.package(good, seq=gap), None, seq=gap, then="processed")
    gaps = [case for case in c.cases if case[0]["class"] == "seq-gap"]
    c.cases = [case for case in c.cases if case[0]["class"] != "seq-gap"]  # The next seq is a small one again.
    for i, (seq, answer) in enumerate([(-1, INVALID), ("1", INVALID), (1.5, INVALID), (None, INVALID), (2**63, CORRUPT)]):
        c.add("bad-seq", f"seq-{i}", packed(with_manifest(manifest().replace(b'"seq":%d' % c.next(), b'"seq":' + json.dumps(seq).encode()))), answer)

    # ---- times and numbers ------------------------------------------------------------------------------------------------
    for i, (at, taken) in enumerate([("2999-01-01T00:00:00.000Z", True), ("1970-01-01T00:00:00.000Z", True), ("1969-12-31T23:59:59.999Z", True),
                                     ("9999-12-31T23:59:59.999Z", True), ("-0001-01-01T00:00:00.000Z", False), ("yesterday", False), ("2026-02-30T25:61:61.000Z", False)]):
        c.add("odd-time", f"time-{i}", c.package(good, created_at=at, clock_trusted=True),
              None if taken else INVALID, "" if taken else "created_at", "processed" if taken else "")
    for i, number in enumerate([b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1e-400000000"]):
        content = figures().replace(b'"frames": 100', b'"frames": ' + number)
        # The archive is whole: it is stored, and its document set aside.
        c.add("not-finite", f"metrics-{i}", c.package({"metrics.json": content}), None, then="failed")
    for i, number in enumerate([b"NaN", b"1e999", b"Infinity"]):
        text = manifest().replace(b'"uptime_ms":1000', b'"uptime_ms":' + number)
        c.add("not-finite", f"manifest-{i}", packed(with_manifest(text)), CORRUPT, "JSON")
    for i, (opening, closing) in enumerate([(b"[", b"]"), (b'{"a":', b"}"), (b"[[", b"]]"), (b'[{"x":', b"}]"), (b"[", b"")]):
        deep = opening * 10_000 + b"1" + closing * 10_000
        c.add("deep-json", f"metrics-{i}", c.package({"metrics.json": deep}), None, then="failed")
        text = manifest()[:-1] + b',"x":' + opening * 10_000 + b"1" + closing * 10_000 + b"}"
        c.add("deep-json", f"manifest-{i}", packed(with_manifest(text)), EXHAUSTED, "too deep")
    for i, (a, b) in enumerate([("frames", "1"), ("format", '"tinylcm-metrics/1"'), ("mode", '"x"'), ("at", "0"), ("model", "{}")]):
        c.add("duplicate-keys", f"metrics-{i}", c.package({"metrics.json": figures()[:-1] + f',"{a}":{b}}}'.encode()}), None, then="failed")
    for i, pair in enumerate([b'"type":"metrics"', b'"seq":1', b'"files":[]']):
        text = manifest()[:-1] + b"," + pair + b"}"
        c.add("duplicate-keys", f"manifest-{i}", packed(with_manifest(text)), CORRUPT, "a key appears twice")
    for size in (5000, 1 << 20, 5 << 20, 17 << 20, 40 << 20):
        # Half random hex: 40 MiB pack into some 20, far under the ratio.
        text = c.random.randbytes(size // 2).hex().encode()
        c.add("long-string", f"metrics-{size}", packed(c.tar({"metrics.json": figures(mode="").replace(b'"mode": ""', b'"mode": "' + text + b'"')}), 1),
              None, then="failed")
    for size in (5000, 1 << 19, 2 << 20):
        text = manifest(agent_version="v" * size)
        c.add("long-string", f"manifest-{size}", packed(with_manifest(text)), EXHAUSTED if size > 1 << 20 else INVALID, "manifest.json")

    # ---- what people will look at -----------------------------------------------------------------------------------------
    for kind, texts in (("csv-formula", CSV), ("html", HTML), ("sql", SQL)):
        for i, text in enumerate(texts):
            document = figures(model={"name": text, "version": text, "model_family": text, "bundle": ""}, mode=text, class_mix=[{"label": text, "count": 1}])
            c.add(kind, f"metrics-{i}", c.package({"metrics.json": document}, agent_version=text, boot=text[:64]), None, then="either")
            event = json.dumps({"format": "tinylcm-drift-event/1", "event_id": f"{c.device.id}:{kind}-{i}", "sample_index": 1, "kind": "unknown",
                                "severity": {}, "evidence": {}, "change_point": {"sample_index": 1}, "signals": [{"name": text, "share": 1.0}],
                                "classes": [{"label": text, "share": 1.0}], "channels": [], "samples": [], "text": text, "suppressed_since_last": 0}).encode()
            c.add(kind, f"drift-{i}", c.package({"drift_event.json": event}, type="drift_event"), None, then="either")
            c.add(kind, f"type-{i}", c.package(good, type=text), INVALID, "type")
    size = lambda w, h: struct.pack(">II", w, h)
    for i, (w, h) in enumerate([(2**31 - 1, 2**31 - 1), (65535, 65535), (0, 0), (1, 2**31 - 1), (1 << 20, 1 << 20)]):
        png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + size(w, h) + b"\x08\x06\0\0\0" + bytes(4) + struct.pack(">I", 0) + b"IEND" + bytes(4)
        jpeg = b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", h & 0xffff, w & 0xffff) + b"\x03\x01\x22\0\x02\x11\x01\x03\x11\x01\xff\xd9"
        c.add("giant-picture", f"png-{i}", c.package({f"images/{i + 1}_every.jpg": png, "predictions.jsonl": b""}, type="prediction_images"), None, then="either")
        c.add("giant-picture", f"jpeg-{i}", c.package({f"images/{i + 7}_every.jpg": jpeg, "predictions.jsonl": b""}, type="prediction_images"), None, then="either")

    # ---- what is no package at all ----------------------------------------------------------------------------------------
    pickle = b"\x80\x04cposix\nsystem\n\x8c\x07echo hi\x85R."
    for i in range(3):
        c.add("pickle", f"file-{i}", c.package({f"processor{i}.pkl": pickle}, type="model"), None, then="either")
    for i, content in enumerate([pickle, b"cos\nsystem\n(S'echo hi'\ntR."]):
        c.add("pickle", f"body-{i}", content, CORRUPT)
    elf = b"\x7fELF\x02\x01\x01" + bytes(57)
    for i in range(3):
        c.add("elf", f"file-{i}", c.package({f"agent{i}": elf}), None, then="processed")
    for i in range(2):
        c.add("elf", f"body-{i}", elf + bytes(i * 4096), CORRUPT)
    for name, content in {"html": b"<!doctype html><script>alert(1)</script>", "pdf": b"%PDF-1.7\n%\xe2\xe3", "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
                          "xz": b"\xfd7zXZ\0" + bytes(50), "bzip2": b"BZh91AY&SY" + bytes(50), "7z": b"7z\xbc\xaf\x27\x1c" + bytes(50),
                          "rar": b"Rar!\x1a\x07\x01\0" + bytes(50), "iso": bytes(32768) + b"\x01CD001\x01" + bytes(2048), "cpio": b"070701" + b"0" * 104,
                          "ar": b"!<arch>\n", "random": c.random.randbytes(5000), "json": b"{}", "text": b"hello\n"}.items():
        c.add("another-format", name, content, CORRUPT)
    for i, (field, value, answer) in enumerate([("format", "tinylcm-package/2", UNSUPPORTED), ("format", "", UNSUPPORTED), ("format", None, INVALID), ("files", {}, INVALID), ("files", "x", INVALID),
                                                ("created_at", 7, INVALID), ("clock_trusted", "yes", INVALID), ("uptime_ms", -1, INVALID), ("bundle", "../x", INVALID),
                                                ("config_sha256", "x", INVALID), ("type", "", INVALID), ("boot", ["x"], INVALID), ("epoch", "x", INVALID), ("device_id", "d-", INVALID)]):
        c.add("wrong-field", f"field-{i}", c.package(good, **{field: value}), answer, field)

    # ---- zip's own ways ---------------------------------------------------------------------------------------------------
    def as_link(info):
        if info.filename == "metrics.json":
            info.external_attr = 0o120777 << 16
    # Only the directory at the end says so, which is never looked at: what comes is a file, and is treated as one.
    c.add("zip", "symlink", c.zip(good, as_link), None, then="processed")
    whole = c.zip(good)
    locked = bytearray(whole)
    at = 0
    while (at := locked.find(b"PK\x03\x04", at)) >= 0:
        locked[at + 6] |= 1  # "encrypted"
        at += 4
    c.add("zip", "encrypted", bytes(locked), DENIED, "encrypted")
    whole = c.zip(good)
    c.add("zip", "central-directory-differs", whole[:whole.find(b"PK\x01\x02")] + whole[whole.find(b"PK\x01\x02"):].replace(b"metrics.json", b"../../canary"),
          None, then="processed")
    whole = c.zip(good)
    c.add("zip", "without-central-directory", whole[:whole.find(b"PK\x01\x02")], CORRUPT)
    whole = c.zip(good)
    c.add("zip", "cut", whole[:len(whole) // 2], CORRUPT)
    whole = c.zip(good)
    c.add("zip", "something-before", b"MZ" + bytes(100) + whole, CORRUPT)
    whole = bytearray(c.zip(good))
    whole[whole.find(b"PK\x03\x04") + 14] ^= 0xff
    c.add("zip", "bad-crc", bytes(whole), CORRUPT, "CRC")
    for i, path in enumerate(["../canary", "/canary", "a\\..\\canary", "C:canary", "metrics.json/"]):
        c.add("zip-path", f"path-{i}", c.zip({path: b"x"}), INVALID, "files[0].path")

    c.cases += gaps
    return c


def write(folder: pathlib.Path) -> int:
    corpus = build()
    for expected, content in corpus.cases:
        place = folder / expected["class"]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{expected['name']}.bin").write_bytes(content)
        (place / f"{expected['name']}.json").write_text(json.dumps(expected))
    return len(corpus.cases)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(write(pathlib.Path(sys.argv[1])), "files")
