"""Loaded by schemathesis: bodies that are archives, which no schema can describe. Real ones, cut ones, damaged ones."""

import os
import pathlib

import schemathesis
from hypothesis import strategies as st

REAL = pathlib.Path(os.environ["TINYSPHERE_TEST_ARCHIVE"]).read_bytes()


@st.composite
def archives(draw) -> bytes:
    kind = draw(st.sampled_from(["real", "cut", "damaged", "noise", "empty"]))
    if kind == "cut":
        return REAL[: draw(st.integers(0, len(REAL)))]
    if kind == "damaged":
        place = draw(st.integers(0, len(REAL) - 1))
        return REAL[:place] + bytes([REAL[place] ^ draw(st.integers(1, 255))]) + REAL[place + 1:]
    return {"real": REAL, "empty": b""}.get(kind) if kind in ("real", "empty") else draw(st.binary(max_size=2_000))


for kind in ("application/zstd", "application/octet-stream", "application/partial-upload"):
    schemathesis.openapi.media_type(kind, archives())
