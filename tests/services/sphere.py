"""A tinysphere as a process, on the embedded stores or on the real services, asked over its API.

Which services there are is told by the variables of tools/services/up.sh (TINYSPHERE_TEST_POSTGRES, ..); a test
that needs one that is not there is skipped and says so. Each server gets a database and buckets of its own.
"""

import http.client
import json
import os
import pathlib
import secrets
import ssl
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "agent"))
from device import BIN, DEADLINE_S, WORKSHOP, wait_until  # noqa: E402

TINYSPHERE = str(BIN / "tinysphere")
PSQL = "/usr/lib/postgresql/15/bin/psql"


def needs(*names: str) -> None:
    """Skips the calling test where a service of these (POSTGRES, S3, MLFLOW, ..) is not there."""
    for name in names:
        variable = {"S3": "TINYSPHERE_TEST_S3_ENDPOINT"}.get(name, f"TINYSPHERE_TEST_{name}")
        if variable not in os.environ:
            raise unittest.SkipTest(f"{variable} is not set: tools/services/up.sh DIR starts the services")


def given(name: str) -> str:
    return os.environ[f"TINYSPHERE_TEST_{name}"]


class Services:
    """A database and a bucket prefix of its own on PostgreSQL and MinIO; the database goes when the test ends."""

    def __init__(self, test: unittest.TestCase):
        needs("POSTGRES", "S3")
        name = f"test_{secrets.token_hex(5)}"
        url = urllib.parse.urlsplit(given("POSTGRES"))
        self._psql(f"CREATE DATABASE {name}")
        test.addCleanup(self._psql, f"DROP DATABASE {name} WITH (FORCE)")
        # The password goes by the environment: whoever lists the processes does not read it.
        self.database = f"postgresql://{url.username}@{url.hostname}:{url.port}/{name}"
        endpoint = urllib.parse.quote(given("S3_ENDPOINT"), safe="")
        self.objects = f"s3://{name.replace('_', '-')}?endpoint={endpoint}&region={given('S3_REGION')}&style=path"
        self.environment = {"PGPASSWORD": url.password, "AWS_ACCESS_KEY_ID": given("S3_ACCESS_KEY"),
                            "AWS_SECRET_ACCESS_KEY": given("S3_SECRET_KEY")}

    @staticmethod
    def _psql(statement: str) -> None:
        subprocess.run([PSQL, "-X", "-q", "-d", given("POSTGRES"), "-c", statement], check=True, capture_output=True,
                       timeout=DEADLINE_S)


class Sphere:
    """`tinysphere serve` with a folder of its own. An administrator's token asks for us."""

    def __init__(self, test: unittest.TestCase, *more, services: Services | None = None, tls: bool = True):
        self.data = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / "sphere"
        self.log = self.data.parent / "sphere.log"
        self.place = ["--data", str(self.data)]
        self.environment = dict(os.environ)
        if services:
            self.place += ["--database", services.database, "--objects", services.objects]
            self.environment |= services.environment
        self.more = [*map(str, more), *(["--tls-self-signed"] if tls else [])]
        self.process: subprocess.Popen | None = None
        self.port = 0
        self.url = ""
        self._token = ""
        test.addCleanup(self.kill)
        self.start()

    def start(self) -> None:
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [TINYSPHERE, "serve", *self.place, "--listen", f"127.0.0.1:{self.port}", "--poll", "1s", *self.more],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=self.environment)
        def ready():
            said = self.said(before)
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}: {said[-800:]}"
            return [line.split()[1] for line in said.splitlines() if line.startswith("ready ")]
        self.url = wait_until(ready, "the server")[0]
        self.port = urllib.parse.urlsplit(self.url).port

    def said(self, since: int = 0) -> str:
        return self.log.read_bytes()[since:].decode(errors="replace") if self.log.exists() else ""

    def kill(self) -> None:
        """SIGKILL, as a power cut ends it."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(DEADLINE_S)

    def command(self, *arguments, stdin: str | None = None) -> str:
        ended = subprocess.run([TINYSPHERE, *map(str, arguments), *self.place], capture_output=True, text=True, input=stdin,
                               timeout=DEADLINE_S, env=self.environment)
        assert ended.returncode == 0, f"{arguments[:2]} ended with {ended.returncode}: {ended.stderr}"
        return ended.stdout.strip()

    def token(self) -> str:
        if not self._token:
            self._token = self.command("token", "create", "--kind", "api", "--name", "test", "--role", "admin").split()[-1]
        return self._token

    def enrolment_token(self) -> str:
        return self.command("token", "create", "--kind", "enroll", "--publisher-key",
                            f"{WORKSHOP.key('publisher')}.pub", "--ttl", "1h").split()[-1]

    def enrol(self, device) -> None:
        ended = subprocess.run([str(BIN / "tinylcm"), "enroll", "--config", str(device.config), "--server", self.url],
                               env=os.environ | {"TINYLCM_TOKEN": self.enrolment_token()}, capture_output=True, text=True,
                               timeout=DEADLINE_S)
        assert ended.returncode == 0, ended.stderr

    def send(self, method: str, path: str, body: bytes | dict | None = None, kind: str = "application/json"):
        """Status, header fields and text of the answer, whatever it is."""
        url = urllib.parse.urlsplit(self.url)
        # Self-signed and on loopback; devices pin the key, this only drives them.
        connection = (http.client.HTTPSConnection(url.hostname, url.port, timeout=DEADLINE_S,
                                                  context=ssl._create_unverified_context())
                      if url.scheme == "https" else
                      http.client.HTTPConnection(url.hostname, url.port, timeout=DEADLINE_S))
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self.token()}", "Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: bytes | dict | None = None, kind: str = "application/json") -> dict:
        status, _, text = self.send(method, path, body, kind)
        assert status < 300, f"{method} {path}: {status} {text[:600]}"
        return json.loads(text) if text else {}

    def all(self, path: str) -> list[dict]:
        """Every item of a paged list."""
        items, cursor, mark = [], None, "&" if "?" in path else "?"
        while True:
            page = self.ask("GET", f"{path}{mark}limit=200" + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""))
            items += page["items"]
            cursor = page["next"]
            if not cursor:
                return items
