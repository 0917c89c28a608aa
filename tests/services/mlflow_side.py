"""MLflow as seen from outside TinySphere: a real one that can be killed, a line to it that can be cut, and a reader.

`Mlflow` is a server of its own (with its PostgreSQL and MinIO), so that nobody else notices. `Line` forwards
requests to it and, where its plan says so, does to them what networks and servers do. `Reader` asks MLflow's
REST API what it holds, by none of TinySphere's code.
"""

import http.client
import http.server
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

from device import DEADLINE_S, ROOT, WORKSHOP, wait_until

START_S = 300  # MLflow starts in 7 to 30 s; in minutes where the processors are taken.


class Mlflow:
    """The real server, started by tools/services/up.sh; ended by SIGKILL as often as a test likes."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder, prefix="mlflow-"))
        up = subprocess.run([str(ROOT / "tools/services/up.sh"), str(self.folder), "mlflow"], capture_output=True, text=True)
        if up.returncode == 3:
            raise unittest.SkipTest(up.stderr.strip())
        assert up.returncode == 0, up.stdout + up.stderr
        lines = (line.removeprefix("export ").split("=", 1) for line in (self.folder / "env").read_text().splitlines())
        self.url = {name: value.strip("'") for name, value in lines}["TINYSPHERE_TEST_MLFLOW"]
        pids = [line.split() for line in (self.folder / "pids").read_text().splitlines()]
        self.group = next(int(pid) for name, pid, _ in pids if name == "mlflow")
        self.again: subprocess.Popen | None = None

    def kill(self) -> None:
        """SIGKILL to it and its worker, which share a process group of their own."""
        os.killpg(self.group, signal.SIGKILL)

    def start(self) -> None:
        if self.again:
            self.again.wait(DEADLINE_S)  # The last one has been killed.
        with (self.folder / "log/mlflow").open("ab") as log:
            self.again = subprocess.Popen([str(self.folder / "run/mlflow")], stdout=log, stderr=log,
                                          stdin=subprocess.DEVNULL, start_new_session=True)
        self.group = self.again.pid
        wait_until(self.answers, "MLflow", START_S)

    def answers(self) -> bool:
        url = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def end(self) -> None:
        if self.again and self.again.poll() is None:
            os.killpg(self.group, signal.SIGKILL)
            self.again.wait(DEADLINE_S)
        subprocess.run([str(ROOT / "tools/services/down.sh"), str(self.folder)], check=True, capture_output=True)


class Line(http.server.ThreadingHTTPServer):
    """Stands between TinySphere and MLflow. `plan(number, method, path)` names what becomes of a request:

    pass        it is forwarded, and the answer too
    refused     the connection is cut; MLflow never hears of it
    lost        it is forwarded, the answer is not: the connection is cut
    late        the connection is cut, and half a second later it is forwarded
    500         it is answered so; MLflow never hears of it
    taken, 500  it is forwarded, and answered so
    half        of a batch one half is forwarded, and the connection cut; anything else is lost
    slow        it is forwarded after a second
    killed      `kill` is called, and it is forwarded
    """

    daemon_threads = True

    def __init__(self, test: unittest.TestCase, target: str):
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.target = urllib.parse.urlsplit(target)
        self.plan = lambda number, method, path: "pass"
        self.kill = lambda: None
        self.done: list[tuple[str, str, str]] = []  # method, path, what became of it
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        test.addCleanup(thread.join)
        test.addCleanup(self.server_close)
        test.addCleanup(self.shutdown)

    def fate(self, method: str, path: str) -> str:
        with self.lock:
            fate = self.plan(len(self.done), method, path)
            self.done.append((method, path, fate))
            return fate

    def counts(self) -> dict[str, int]:
        with self.lock:
            fates = [fate for _, _, fate in self.done]
        return {fate: fates.count(fate) for fate in sorted(set(fates))}

    def handle_error(self, request, client_address) -> None:
        pass  # A cut connection is what this is for.


class _Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Line

    def answer(self) -> None:
        body = self.read_body()
        fate = self.server.fate(self.command, self.path)
        if fate == "refused":
            return self.cut()
        if fate == "500":
            return self.say(500, [("Content-Type", "text/html")], b"<h1>Internal Server Error</h1>")
        if fate == "late":
            self.cut()
            time.sleep(0.5)
            self.forward(body)
            return
        if fate == "slow":
            time.sleep(1)
        if fate == "killed":
            self.server.kill()
        if fate == "half" and self.path.split("?")[0].endswith("runs/log-batch"):
            body = half_of(body)
        try:
            answer = self.forward(body)
        except OSError:  # MLflow is not there: to its client that is a cut connection.
            return self.cut()
        if fate in ("lost", "half"):
            return self.cut()
        if fate == "taken, 500":
            return self.say(500, [("Content-Type", "text/html")], b"<h1>Internal Server Error</h1>")
        self.say(*answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def forward(self, body: bytes):
        target = self.server.target
        connection = http.client.HTTPConnection(target.hostname, target.port, timeout=DEADLINE_S)
        hop = {"connection", "host", "transfer-encoding", "content-length", "expect"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in hop}
        try:
            connection.request(self.command, self.path, body if body or self.command in ("POST", "PUT") else None, headers)
            answer = connection.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in hop]
            return answer.status, kept, answer.read()
        except http.client.HTTPException as error:
            raise OSError(error) from None
        finally:
            connection.close()

    def say(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_) -> None:
        pass


def half_of(body: bytes) -> bytes:
    """The first half of what a batch holds: what is stored of it when the server dies in the middle."""
    batch = json.loads(body)
    for name in ("metrics", "params", "tags"):
        if name in batch:
            batch[name] = batch[name][: (len(batch[name]) + 1) // 2]
    return json.dumps(batch).encode()


def seeded_faults(seed: int, share: float, kinds: list[str]):
    """A plan: each request meets a fault with this probability, drawn by the seed."""
    drawn = random.Random(seed)
    return lambda number, method, path: drawn.choice(kinds) if drawn.random() < share else "pass"


class Reader:
    """What MLflow holds, by its REST API."""

    def __init__(self, url: str):
        self.url = urllib.parse.urlsplit(url)

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=DEADLINE_S)
        try:
            connection.request(method, "/api/2.0/mlflow/" + path, json.dumps(body) if body is not None else None,
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"MLflow: {method} {path}: {answer.status} {text[:400]}")
        return json.loads(text)

    def pages(self, method: str, path: str, key: str, body: dict) -> list[dict]:
        items, token = [], None
        while True:
            asked = body | ({"page_token": token} if token else {})
            if method == "GET":
                page = self.call("GET", f"{path}?{urllib.parse.urlencode(asked)}")
            else:
                page = self.call("POST", path, asked)
            items += page.get(key, [])
            token = page.get("next_page_token")
            if not token:
                return items

    def experiments(self, prefix: str) -> dict[str, str]:
        """Name to id."""
        found = self.pages("POST", "experiments/search", "experiments", {"max_results": 1000})
        return {e["name"]: e["experiment_id"] for e in found if e["name"].startswith(prefix)}

    def runs(self, experiment_ids: list[str]) -> list[dict]:
        """Those that were not deleted, as {id, status, params, tags, metrics: {key: [(step, value), ..]}}; every point
        that was ever logged, as often as it is stored."""
        if not experiment_ids:
            return []
        runs = []
        for found in self.pages("POST", "runs/search", "runs", {"experiment_ids": experiment_ids, "max_results": 1000}):
            run_id, data = found["info"]["run_id"], found.get("data", {})
            keys = sorted({metric["key"] for metric in data.get("metrics", [])})
            runs.append({
                "id": run_id, "status": found["info"]["status"],
                "params": {p["key"]: p["value"] for p in data.get("params", [])},
                "tags": {t["key"]: t["value"] for t in data.get("tags", [])},
                "metrics": {key: sorted((int(m.get("step", 0)), m["value"]) for m in self.pages(
                    "GET", "metrics/get-history", "metrics", {"run_id": run_id, "metric_key": key, "max_results": 1000}))
                    for key in keys},
            })
        return runs

    def versions(self, name: str) -> list[dict]:
        """Of a registered model, as {version, tags, aliases, source, status}."""
        quoted = name.replace("'", "\\'")
        found = self.pages("GET", "model-versions/search", "model_versions", {"filter": f"name='{quoted}'", "max_results": 1000})
        aliases = self.call("GET", f"registered-models/get?{urllib.parse.urlencode({'name': name})}")["registered_model"].get("aliases", [])
        return [{"version": str(v["version"]), "status": v["status"], "source": v["source"],
                 "tags": {t["key"]: t["value"] for t in v.get("tags", [])},
                 "aliases": sorted(a["alias"] for a in aliases if str(a["version"]) == str(v["version"]))} for v in found]

    def logged_models(self, experiment_ids: list[str]) -> list[dict]:
        found = self.pages("POST", "logged-models/search", "models", {"experiment_ids": experiment_ids, "max_results": 50})
        return [{"id": m["info"]["model_id"], "status": m["info"]["status"],
                 "tags": {t["key"]: t["value"] for t in m["info"].get("tags", [])}} for m in found]
