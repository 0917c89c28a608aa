"""A device as far as the wire goes: its key, its signed requests (RFC 9421) and what stands in a package of its own."""

import base64
import hashlib
import http.client
import json
import ssl
import urllib.parse

from ed25519 import Key


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes):
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> dict:
        return json.loads(self.body)

    def statement(self) -> dict:
        """The signed statement in the body; {} if it is none."""
        try:
            document = self.json()
        except ValueError:
            return {}
        return document if isinstance(document, dict) and "signature" in document and "kind" in document else {}


class SigningDevice:
    def __init__(self, seed: bytes, epoch: str = "0123456789abcdef"):
        self.key = Key(seed)
        self.id = "d-" + hashlib.sha256(self.key.public).hexdigest()[:32]
        self.epoch = epoch
        self.nonce = ""
        self.server = ""
        self.audience = ""

    def package_id(self, seq: int) -> str:
        return f"{self.id}-{self.epoch}-{seq:08}"

    def manifest(self, seq: int, contents: dict[str, bytes], **more) -> bytes:
        """As an honest device writes it, with `more` in place of or beside its fields."""
        fields = {
            "format": "tinylcm-package/1", "package_id": self.package_id(seq), "device_id": self.id, "epoch": self.epoch,
            "seq": seq, "type": "metrics", "created_at": "2026-11-20T12:00:00.000Z", "clock_trusted": False,
            "boot": "77ab77ab77ab77ab", "uptime_ms": 1000, "agent_version": "0.1.0", "bundle": "", "config_sha256": "",
            "files": [{"path": path, "media_type": "application/json", "bytes": len(content),
                       "sha256": hashlib.sha256(content).hexdigest()} for path, content in contents.items()]} | more
        return json.dumps(fields, separators=(",", ":")).encode()

    def manifest_signature(self, manifest: bytes) -> bytes:
        return self.key.sign(b"tinylcm-package/1\n" + manifest)

    # ---- requests ---------------------------------------------------------------------------------------------------

    def meet(self, server: str, enrolment_token: str, name: str) -> None:
        """Enrols with `tlcm1.<secret>.<server>.<publisher>..`."""
        self.server = server
        _, secret, self.audience, *_ = enrolment_token.split(".")
        body = json.dumps({"public_key": base64url(self.key.public), "token": secret, "name": name,
                           "agent_version": "0.1.0"}).encode()
        answer = self.send("POST", "/api/v1/devices/enroll", body)
        assert answer.statement().get("kind") == "enrolled", answer.body

    def headers(self, method: str, path: str, body: bytes, **more: str) -> dict[str, str]:
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        if body:
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            headers.setdefault("content-digest", f"sha-256=:{digest}:")
        headers |= {"tlcm-audience": self.audience, "tlcm-nonce": self.nonce}
        path, _, query = path.partition("?")
        covered = {"@method": method, "@path": path, "@query": "?" + query}
        covered |= {name: headers[name] for name in ("content-digest", "upload-offset", "upload-complete", "tlcm-audience",
                                                     "tlcm-nonce") if name in headers}
        names = " ".join(f'"{name}"' for name in covered)
        parameters = f'({names});keyid="{self.id}";alg="ed25519";tag="tlcm/1"'
        base = "".join(f'"{name}": {value}\n' for name, value in covered.items()) + f'"@signature-params": {parameters}'
        signature = base64.b64encode(self.key.sign(base.encode())).decode()
        return headers | {"signature-input": "tlcm=" + parameters, "signature": f"tlcm=:{signature}:"}

    def connect(self) -> http.client.HTTPConnection:
        place = urllib.parse.urlsplit(self.server)
        if place.scheme == "http":
            return http.client.HTTPConnection(place.hostname, place.port, timeout=60)
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(place.hostname, place.port, timeout=60, context=trust)

    def send(self, method: str, path: str, body: bytes = b"", **more: str) -> Answer:
        """Once more with the new nonce where there is a 401 that is no statement."""
        for _ in range(2):
            connection = self.connect()
            try:
                connection.request(method, path, body or None, self.headers(method, path, body, **more))
                got = connection.getresponse()
                answer = Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
            finally:
                connection.close()
            self.nonce = answer.headers.get("tlcm-nonce", self.nonce)
            if answer.status != 401 or answer.statement():
                break
        return answer

    def put(self, package_id: str, archive: bytes) -> Answer:
        return self.send("PUT", f"/api/v1/packages/{package_id}", archive, content_type="application/octet-stream")

    def post_form(self, package_id: str, archive: bytes) -> Answer:
        boundary = "----" + hashlib.sha256(archive).hexdigest()[:16]
        metadata = json.dumps({"package_id": package_id}).encode()
        body = (f'--{boundary}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'.encode() + metadata +
                f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="package"; filename="p"\r\n\r\n'.encode() +
                archive + f"\r\n--{boundary}--\r\n".encode())
        return self.send("POST", "/upload/package", body, content_type=f"multipart/form-data; boundary={boundary}")

    def resume(self, package_id: str, archive: bytes, block: int) -> Answer:
        """In blocks, as after a broken try; the last one's answer."""
        path = f"/api/v1/packages/{package_id}"
        digest = base64.b64encode(hashlib.sha256(archive).digest()).decode()
        said = json.dumps({"bytes": len(archive), "sha256": hashlib.sha256(archive).hexdigest()}).encode()
        answer = self.send("POST", path, said, content_type="application/json")
        assert digest and answer.status in (200, 201, 204), answer.body
        for at in range(0, len(archive), block):
            part = archive[at:at + block]
            is_last = at + block >= len(archive)
            answer = self.send("PATCH", path + "/upload", part, upload_offset=str(at),
                               upload_complete="?1" if is_last else "?0")
        return answer
