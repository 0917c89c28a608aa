"""Loaded by schemathesis: what no description of an API can hold.

Bodies that are archives (real ones, cut ones, damaged ones), and the signature under a device's requests (RFC 9421,
docs/formats/request_signature.md): three of four are signed by the key of a device that the server knows, so that
they come further than the door.
"""

import base64
import hashlib
import json
import os
import pathlib
import random
import threading
import urllib.parse
import urllib.request

import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

REAL = pathlib.Path(os.environ["TINYSPHERE_TEST_ARCHIVE"]).read_bytes()
DEVICE_ONLY = [{"device": []}]


@st.composite
def archives(draw) -> bytes:
    kind = draw(st.sampled_from(["real", "cut", "damaged", "noise", "empty"]))
    if kind == "cut":
        return REAL[: draw(st.integers(0, len(REAL)))]
    if kind == "damaged":
        place = draw(st.integers(0, len(REAL) - 1))
        return REAL[:place] + bytes([REAL[place] ^ draw(st.integers(1, 255))]) + REAL[place + 1:]
    if kind == "noise":
        return draw(st.binary(max_size=2_000))
    return REAL if kind == "real" else b""


for media_type in ("application/zstd", "application/octet-stream", "application/partial-upload"):
    schemathesis.openapi.media_type(media_type, archives())


def unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Signer:
    """Signs what requests is about to send, as the device of TINYSPHERE_TEST_DEVICE_KEY."""

    def __init__(self):
        seed = pathlib.Path(os.environ["TINYSPHERE_TEST_DEVICE_KEY"]).read_text().split()[1]
        self.key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(seed + "=="))
        self.device = os.environ["TINYSPHERE_TEST_DEVICE_ID"]
        self.audience, self.nonce = "", ""
        self.lock = threading.Lock()

    def __call__(self, request):
        if "Signature" in request.headers:
            return request  # A wrong one, drawn on purpose.
        url = urllib.parse.urlsplit(request.url)
        with self.lock:
            if not self.audience:
                with urllib.request.urlopen(f"{url.scheme}://{url.netloc}/api/v1/identity") as answer:
                    key = json.load(answer)["server_key"]
                self.audience = unpadded(hashlib.sha256(base64.urlsafe_b64decode(key + "==")).digest())
        lines = {"@method": request.method, "@path": url.path, "@query": "?" + url.query}
        body = request.body.encode() if isinstance(request.body, str) else request.body
        if isinstance(body, bytes) and body:
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            request.headers["Content-Digest"] = lines["content-digest"] = f"sha-256=:{digest}:"
        for name in ("Upload-Offset", "Upload-Complete"):
            if name in request.headers:
                value = request.headers[name]
                lines[name.lower()] = (value.decode("latin-1") if isinstance(value, bytes) else value).strip()
        request.headers["TLCM-Audience"] = lines["tlcm-audience"] = self.audience
        request.headers["TLCM-Nonce"] = lines["tlcm-nonce"] = self.nonce
        covered = " ".join(f'"{name}"' for name in lines)
        params = f'({covered});keyid="{self.device}";alg="ed25519";tag="tlcm/1"'
        base = "".join(f'"{name}": {value}\n' for name, value in lines.items()) + f'"@signature-params": {params}'
        signature = base64.b64encode(self.key.sign(base.encode("utf-8", "surrogatepass"))).decode()
        request.headers["Signature-Input"] = f"tlcm={params}"
        request.headers["Signature"] = f"tlcm=:{signature}:"
        return request


SIGNER = Signer()
CHOICE = random.Random(1)
KNOWN = pathlib.Path(os.environ["TINYSPHERE_TEST_KNOWN"])


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.definition.raw.get("security") == DEVICE_ONLY:
        if CHOICE.random() < 0.75:
            kwargs["auth"] = SIGNER
    elif case.path_parameters.get("device_id") == SIGNER.device:
        # Nobody shall revoke the one that signs; schemathesis learns ids from answers.
        case.path_parameters["device_id"] = "d-" + 32 * "0"


@schemathesis.hook
def after_call(context, case, response):
    if case.operation.definition.raw.get("security") == DEVICE_ONLY and response.status_code != 401:
        with KNOWN.open("a") as file:  # The test wants to see that some came further than the door.
            file.write(f"{response.status_code} {case.method} {case.operation.path}\n")
    nonce = response.headers.get("tlcm-nonce")
    if nonce:
        SIGNER.nonce = nonce[0] if isinstance(nonce, list) else nonce
