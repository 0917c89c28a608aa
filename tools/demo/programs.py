"""The programs of the demo as a person would run them: a server, its REST API, and devices with their scenes."""

import http.client
import json
import os
import pathlib
import shlex
import ssl
import subprocess
import time
import urllib.parse

from scoring import Row, Truth, joined, read_predictions


class DemoError(Exception):
    pass


class ApiError(Exception):
    pass


def run(command: list, timeout: float = 300, stdin: str | None = None, cwd=None, env=None) -> str:
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, cwd=cwd, env=env)
    except subprocess.TimeoutExpired:
        raise DemoError(f"{' '.join(command[:4])} took longer than {timeout:.0f} s") from None
    if done.returncode != 0:
        raise DemoError(f"{' '.join(command[:4])} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


class Process:
    """A program that runs until it is told to stop; its output goes to a log file."""

    def __init__(self, name: str, log: pathlib.Path):
        self.name, self.log, self.process = name, log, None
        self.wanted = False

    def launch(self, command: list, env=None) -> None:
        log = self.log.open("ab")
        self.process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env)
        self.wanted = True

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.wanted = False

    def stop(self, seconds: float = 30) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise DemoError(f"{self.name} did not stop within {seconds:.0f} s of SIGTERM") from None
            if self.wanted and self.process.returncode != 0:
                raise DemoError(f"{self.name} ended with {self.process.returncode}; see {self.log}")
        self.wanted = False

    def check_alive(self) -> None:
        if self.wanted and self.process.poll() is not None:
            tail = self.log.read_text(errors="replace").strip().splitlines()[-3:]
            raise DemoError(f"{self.name} ended by itself with {self.process.returncode}: {' | '.join(tail)}")


class Services:
    """PostgreSQL, MinIO and MLflow in a folder, as tools/services starts them."""

    TOOLS = pathlib.Path(__file__).resolve().parents[1] / "services"

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.given: dict[str, str] = {}

    def start(self) -> None:
        run([self.TOOLS / "up.sh", self.folder, "postgres", "minio", "mlflow"])
        for line in (self.folder / "env").read_text().splitlines():
            name, value = line.removeprefix("export TINYSPHERE_TEST_").split("=", 1)
            self.given[name] = value.strip("'")

    def stop(self) -> None:
        if (self.folder / "pids").exists():
            run([self.TOOLS / "down.sh", self.folder])

    def place(self) -> list[str]:
        """Where tinysphere keeps its rows and files; the secrets go by the environment."""
        database = urllib.parse.urlsplit(self.given["POSTGRES"])
        return ["--database", f"postgresql://{database.username}@{database.hostname}:{database.port}{database.path}",
                "--objects", f"s3://demo?endpoint={self.given['S3_ENDPOINT']}&region={self.given['S3_REGION']}&style=path"]

    def environment(self) -> dict[str, str]:
        return dict(os.environ, PGPASSWORD=urllib.parse.urlsplit(self.given["POSTGRES"]).password,
                    AWS_ACCESS_KEY_ID=self.given["S3_ACCESS_KEY"], AWS_SECRET_ACCESS_KEY=self.given["S3_SECRET_KEY"])

    def run_counts(self) -> dict[str, int]:
        """Runs in MLflow by their kind."""
        experiments = self._ask("POST", "experiments/search", {"max_results": 1000}).get("experiments", [])
        ids = [e["experiment_id"] for e in experiments if e["name"].startswith("tinysphere/")]
        if not ids:
            return {}
        counts: dict[str, int] = {}
        for found in self._ask("POST", "runs/search", {"experiment_ids": ids, "max_results": 1000}).get("runs", []):
            kind = next((tag["value"] for tag in found["data"].get("tags", []) if tag["key"] == "tinysphere.kind"), "unknown")
            counts[kind] = counts.get(kind, 0) + 1
        return dict(sorted(counts.items()))

    def model_versions(self, name: str) -> int:
        query = urllib.parse.urlencode({"filter": f"name='{name}'", "max_results": 1000})
        return len(self._ask("GET", f"model-versions/search?{query}").get("model_versions", []))

    def _ask(self, method: str, path: str, body: dict | None = None) -> dict:
        url = urllib.parse.urlsplit(self.given["MLFLOW"])
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        try:
            connection.request(method, "/api/2.0/mlflow/" + path, json.dumps(body) if body else None,
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        except OSError as error:
            raise ApiError(f"MLflow: {path}: {error}") from None
        finally:
            connection.close()
        if answer.status != 200:
            raise ApiError(f"MLflow: {path}: {answer.status} {text[:400]}")
        return json.loads(text)


class Server(Process):
    def __init__(self, bin: pathlib.Path, data: pathlib.Path, port: int, services: Services | None = None):
        super().__init__("tinysphere", data.parent / "tinysphere.log")
        self.bin, self.data, self.port, self.url = bin, data, port, ""
        self.place, self.more, self.environment = ["--data", data], [], None
        if services:
            self.place += services.place()
            self.more = ["--mlflow", services.given["MLFLOW"]]
            self.environment = services.environment()

    def start(self) -> None:
        before = self.log.stat().st_size if self.log.exists() else 0
        self.launch([self.bin / "tinysphere", "serve", *self.place, "--listen", f"127.0.0.1:{self.port}",
                     "--tls-self-signed", *self.more], env=self.environment)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            self.check_alive()
            for line in self.log.read_bytes()[before:].decode(errors="replace").splitlines():
                if line.startswith("ready https://"):
                    self.url = line.split()[1]
                    self.port = int(self.url.rsplit(":", 1)[1])
                    return
            time.sleep(0.05)
        raise DemoError("tinysphere did not get ready within 20 s")

    def command(self, *arguments, stdin: str | None = None) -> str:
        return run([self.bin / "tinysphere", *arguments, *self.place], stdin=stdin, env=self.environment)


class Api:
    """The REST API that the dashboard uses, with the operator's session."""

    def __init__(self, server: Server):
        self.server, self.cookie = server, ""

    def sign_in(self, name: str, password: str) -> None:
        answer = self._request("POST", "/api/v1/session", json.dumps({"name": name, "password": password}).encode())
        self.cookie = answer.getheader("Set-Cookie", "").split(";")[0]

    def get(self, path: str) -> dict:
        # Some lists are paged; the demo's are small, so one page of the largest size holds them.
        if "?" not in path and path.count("/") == 1:
            path += "?limit=200"
        return self._json("GET", path)

    def all(self, path: str) -> list[dict]:
        """Every item of a paged list."""
        items, cursor = [], None
        while True:
            page = self._json("GET", f"{path}&limit=200" + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""))
            items += page["items"]
            cursor = page["next"]
            if not cursor:
                return items

    def post(self, path: str, body: dict) -> dict:
        return self._json("POST", path, json.dumps(body).encode())

    def upload_bundle(self, archive: pathlib.Path, _out: pathlib.Path) -> dict:
        return self._json("POST", "/bundles", archive.read_bytes(), "application/zstd")

    def _json(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> dict:
        answer = self._request(method, "/api/v1" + path, body, kind)
        return json.loads(answer.text) if answer.text else {}

    def _request(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"):
        url = urllib.parse.urlsplit(self.server.url)
        # Self-signed, on loopback; devices pin the key, this script only drives them.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=30, context=context)
        try:
            connection.request(method, path, body, {"Content-Type": kind, "Cookie": self.cookie, "X-Requested-With": "tinysphere"})
            answer = connection.getresponse()
            answer.text = answer.read().decode()
        except OSError as error:
            raise ApiError(f"{method} {path}: {error}") from None
        finally:
            connection.close()
        if answer.status >= 400:
            raise ApiError(f"{method} {path}: {answer.status} {answer.text[:400]}")
        return answer


class Agent(Process):
    """One device: `tinylcm run` with its own folder, key and scene."""

    def __init__(self, name: str, kind: str, bundle: pathlib.Path, rate: int, scene: int, demo: pathlib.Path,
                 bin: pathlib.Path, seed: int, server: Server, false_alarm_every: int):
        super().__init__(name, demo / f"{name}.log")
        self.rate = rate
        self.kind, self.bin, self.folder, self.server = kind, bin, demo / name, server
        self.scene_seed = 1000 * seed + scene
        self.folder.mkdir()
        self.control, self.truth_file = self.folder / "scene.json", self.folder / "truth.csv"
        self._truth = Truth(self.truth_file)
        self.settings: dict = {}
        scene_kind = "camera" if kind == "camera" else "rows"
        command = [bin / "tinyscene", scene_kind, "--seed", self.scene_seed, "--control", self.control,
                   "--truth", self.truth_file, "--realtime", "--fps", rate, "--out", "-"]
        source = {"kind": scene_kind, "command": shlex.join(str(c) for c in command)}
        source |= {"frame_counter": "barcode"} if kind == "camera" else {"frame_column": "seq"}
        self.config = self.folder / "agent.json"
        self.config.write_text(json.dumps({
            "name": name, "data": str(self.folder / "data"), "bundle": str(bundle), "source": source, "mode": "autonomous",
            "drift": {"false_alarm_every": false_alarm_every},
            "sync": {"interval": "5s", "on_drift": True, "poll": "5s", "backoff_min": "500ms", "backoff_max": "3s",
                     "format": {"camera": "tar.gz", "sensor": "tar.zst"}[kind]},
            "datalog": {"every": 1, "bytes_max": "64MiB"}, "consent": {"images": True},
            "seed": self.scene_seed}, indent=2))
        self.data = self.folder / "data"

    def set_scene(self, keep: bool = False, **settings) -> None:
        self.settings = {**(self.settings if keep else {}), **settings}
        new = self.control.with_suffix(".new")
        new.write_text(json.dumps(self.settings))
        new.replace(self.control)

    def enrol(self, token: str) -> None:
        environment = dict(os.environ, TINYLCM_TOKEN=token)
        run([self.bin / "tinylcm", "enroll", "--server", self.server.url, "--name", self.name, "--config", self.config],
            env=environment)
        self.device_id = self.status()["device_id"]

    def start(self) -> None:
        self.launch([self.bin / "tinylcm", "run", "--config", self.config, "--server", self.server.url])

    def status(self) -> dict:
        return json.loads(run([self.bin / "tinylcm", "status", "--config", self.config, "--json"]))

    def queue(self) -> dict:
        return json.loads(run([self.bin / "tinylcm", "queue", "ls", "--config", self.config, "--json"]))

    def predictions(self) -> list[dict]:
        return read_predictions(self.data / "datalog")

    def predictions_count(self) -> int:
        return len(self.predictions())

    def frames_seen(self) -> set[int]:
        return {p["frame"] for p in self.predictions()}

    def last_frame(self) -> int:
        predictions = self.predictions()
        return predictions[-1]["frame"] if predictions else -1

    def truth(self) -> Truth:
        return self._truth.refresh()

    def scored(self, pool: str, after: int = -1) -> list[Row]:
        return [r for r in joined(self.predictions(), self.truth()) if r.pool == pool and r.frame > after]

    def labels_by_index(self) -> dict[int, str]:
        """The true label of each sample the device numbered. A kill may cost the log its last second; those samples
        were the next frames delivered after the last one logged."""
        predictions = self.predictions()
        truth = self.truth()
        delivered = sorted(frame for frame in truth.label if not truth.dropped[frame])
        place = {frame: i for i, frame in enumerate(delivered)}
        # The newest may not be written down on the scene's side yet; no sample is that new.
        known = {p["index"]: p["frame"] for p in predictions if p["frame"] in place}
        for index, frame in list(known.items()):
            later = index + 1
            while later not in known and later - index <= 2 * self.rate and place[frame] + later - index < len(delivered):
                known[later] = delivered[place[frame] + later - index]
                later += 1
        return {index: truth.label[frame] for index, frame in known.items()}

    def replay_without_adaptation(self, frames: set[int]) -> float:
        """Accuracy of the first bundle, untouched, on exactly these frames, drawn again."""
        chosen = self.folder / "truth-again.csv"
        lines = self.truth_file.read_text().splitlines()
        wanted = [line for line in lines[1:] if int(line.split(",")[0]) in frames]
        chosen.write_text("\n".join([lines[0], *wanted]) + "\n")
        again = self.folder / ("again.mjpeg" if self.kind == "camera" else "again.csv")
        scene = "camera" if self.kind == "camera" else "rows"
        run([self.bin / "tinyscene", scene, "--seed", self.scene_seed, "--from-truth", chosen, "--out", again])
        said = self.folder / "again-predictions.csv"
        bundle = json.loads(self.config.read_text())["bundle"]
        source = ["--mjpeg", again] if self.kind == "camera" else ["--rows", again]
        run([self.bin / "tinylcm", "replay", "--bundle", bundle, *source, "--mode", "monitoring_only", "--predictions", said])
        labels = [line.split(",")[lines[0].split(",").index("label")] for line in wanted]
        predicted = [line.split(",")[1] for line in said.read_text().splitlines()[1:]]
        if len(labels) != len(predicted):
            raise DemoError(f"{self.name}: {len(labels)} frames drawn again, {len(predicted)} predictions")
        return round(sum(a == b for a, b in zip(labels, predicted)) / len(labels), 4)
