"""A device as a process: the real `tinylcm`, a scene for its source, a folder of its own.

The tests tell a story in a device's verbs: `start`, `wait_for_frames`, `kill`, `log_lines`. What is waited for
is polled with a deadline. Programs come from TINYLCM_BIN (the build's bin folder); everything else lies below
one temporary folder a test program, and only processes started here are ended, each by its id.
"""

import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TINYLCM_BIN", ROOT / "build/release/bin"))
TINYLCM, TINYSCENE = str(BIN / "tinylcm"), str(BIN / "tinyscene")
MODEL = ROOT / "examples/models/digits-camera/model.tflite"
STRENGTHS = json.loads((MODEL.parent / "drift_strengths.json").read_text())["chosen"]
DEADLINE_S = 60  # Of every wait: long, for the machine may be busy; reached only when something is wrong.

DONE, NOT_SO, WRONG_USE = 0, 1, 2  # tinylcm's exit codes


def tinylcm(*arguments, stdin: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([TINYLCM, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=DEADLINE_S)


def done(*arguments, stdin: str | None = None) -> str:
    """Runs a verb that must succeed; gives its stdout."""
    result = tinylcm(*arguments, stdin=stdin)
    assert result.returncode == DONE, f"{arguments[:2]} ended with {result.returncode}: {result.stderr}"
    return result.stdout


def scene(*arguments) -> None:
    subprocess.run([TINYSCENE, *map(str, arguments)], check=True, capture_output=True, timeout=DEADLINE_S)


def wait_until(claim, what: str, seconds: float = DEADLINE_S):
    """Polls `claim` until it is true; gives what it said."""
    end = time.monotonic() + seconds
    while True:
        said = claim()
        if said:
            return said
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.02)


class Workshop:
    """Bundles, keys and recordings that all tests of one program share; made once, when first asked for."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tinylcm-test-"))

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _once(self, name: str, make) -> pathlib.Path:
        path = self.folder / name
        if not path.exists():
            make(path)
        return path

    def frames(self) -> pathlib.Path:
        return self._once("frames", lambda out: scene("export", "camera", "--pool", "T", "--per-class", 40, "--seed", 1, "--out", out))

    def rows(self) -> pathlib.Path:
        return self._once("rows.csv", lambda out: scene("export", "rows", "--pool", "T", "--per-class", 60, "--seed", 1, "--out", out))

    def stream_of_rows(self) -> pathlib.Path:
        return self._once("stream.csv", lambda out: scene("rows", "--pool", "A", "--seed", 7, "--frames", 600, "--out", out))

    def stream_of_frames(self) -> pathlib.Path:
        return self._once("stream.mjpeg", lambda out: scene("camera", "--pool", "A", "--seed", 7, "--frames", 60, "--out", out))

    def fit_camera(self, out: pathlib.Path, seed: int = 1) -> None:
        done("fit", "--images", self.frames(), "--model", MODEL, "--out", out, "--standardise", "--project", 64,
             "--anchors-per-class", 15, "--name", "digits-camera", "--seed", seed)

    def fit_sensor(self, out: pathlib.Path, seed: int = 1) -> None:
        done("fit", "--rows", self.rows(), "--label-column", "label", "--out", out, "--standardise",
             "--anchors-per-class", 20, "--name", "digits-sensor", "--seed", seed)

    def camera(self) -> pathlib.Path:
        return self._once("camera", self.fit_camera)

    def sensor(self) -> pathlib.Path:
        return self._once("sensor", self.fit_sensor)

    def key(self, who: str) -> pathlib.Path:
        """A key pair WHO.key, WHO.pub; gives its path without the ending."""
        prefix = self.folder / who
        self._once(f"{who}.pub", lambda _: done("bundle", "keygen", "--out", prefix))
        return prefix

    def archive(self, name: str, signer: str | None) -> pathlib.Path:
        """The sensor's bundle as an archive, signed by `signer` or by nobody."""
        key = ["--key", f"{self.key(signer)}.key"] if signer else []
        return self._once(name, lambda out: done("bundle", "make", self.sensor(), "--out", out, *key))


class Device:
    """One `tinylcm run` with its folder and its configuration."""

    def __init__(self, test: unittest.TestCase, bundle: pathlib.Path, source: dict, folder: pathlib.Path | None = None, **more):
        self.folder = folder or pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        self.data, self.log = self.folder / "data", self.folder / "agent.log"
        self.control, self.truth = self.folder / "scene.json", self.folder / "truth.csv"
        self.process: subprocess.Popen | None = None
        self.started_at = 0.0
        self.config = self.folder / "agent.json"
        settings = {"name": "shed", "data": str(self.data), "bundle": str(bundle), "source": source,
                    "sync": {"interval": "1s", "poll": "1s", "backoff_min": "50ms", "backoff_max": "200ms"}, **more}
        self.config.write_text(json.dumps(settings, indent=1))
        test.addCleanup(self.kill)

    # ---- its source -------------------------------------------------------------------------------------------------

    @staticmethod
    def watching_a_scene(test: unittest.TestCase, kind: str, rate: int, **more) -> "Device":
        """A device whose camera or rows are drawn in real time by tinyscene; the numbers of its frames are known."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        command = [TINYSCENE, kind, "--seed", 11, "--control", folder / "scene.json", "--truth", folder / "truth.csv",
                   "--realtime", "--fps", rate, "--out", "-"]
        source = {"kind": kind, "command": shlex.join(map(str, command))}
        source |= {"frame_counter": "barcode"} if kind == "camera" else {"frame_column": "seq"}
        bundle = WORKSHOP.camera() if kind == "camera" else WORKSHOP.sensor()
        device = Device(test, bundle, source, folder, **more)
        device.show()
        return device

    def show(self, **drifts) -> None:
        """What the scene draws from the next frame on."""
        new = self.control.with_suffix(".new")
        new.write_text(json.dumps({"pool": "A", **drifts}))
        new.replace(self.control)

    def frames_drawn(self) -> int:
        return max(0, len(self.truth.read_text().splitlines()) - 1) if self.truth.exists() else 0

    # ---- its life ---------------------------------------------------------------------------------------------------

    def start(self, stdin: pathlib.Path | None = None) -> "Device":
        self.started_at = time.time()
        with self.log.open("ab") as log, (stdin or pathlib.Path(os.devnull)).open("rb") as given:
            self.process = subprocess.Popen([TINYLCM, "run", "--config", str(self.config)], stdout=log, stderr=log, stdin=given)
        return self

    def run_to_the_end(self, stdin: pathlib.Path | None = None) -> int:
        self.start(stdin)
        return self.ended()

    def ended(self) -> int:
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the agent does not end: {self.said()[-600:]}") from None

    def stop(self) -> int:
        self.process.terminate()
        return self.ended()

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def wait_for(self, claim, what: str):
        def or_dead():
            if self.process.poll() is not None:
                raise AssertionError(f"the agent ended with {self.process.returncode}: {self.said()[-600:]}")
            return claim()
        return wait_until(or_dead, what)

    def wait_for_frames(self, count: int) -> None:
        """`count` answered since this start (the last start's figures are not mistaken for this one's)."""
        self.wait_for(lambda: self.status().get("frames", 0) >= count, f"{count} frames")

    # ---- what it shows ----------------------------------------------------------------------------------------------

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def lines_saying(self, text: str) -> list[str]:
        return [line for line in self.said().splitlines() if text in line]

    def status(self) -> dict:
        """What this process last wrote of itself."""
        path = self.data / "status.json"
        if not path.exists() or path.stat().st_mtime < self.started_at:
            return {}
        return json.loads(path.read_text())

    def queue(self) -> dict:
        return json.loads(done("queue", "ls", "--config", self.config, "--json"))

    def verify_queue(self) -> None:
        done("queue", "verify", "--config", self.config)

    def log_lines(self) -> list[dict]:
        """The log of predictions in the order it was written; a line torn by a kill is left out."""
        lines = []
        for path in sorted((self.data / "datalog").glob("*.jsonl")):
            for line in path.read_text().splitlines():
                try:
                    lines.append(json.loads(line))
                except ValueError:
                    pass
        return lines

    def indices(self) -> list[int]:
        return [line["index"] for line in self.log_lines()]

    def enrol_by_hand(self, server: str, server_key: str = "server", publisher: str = "publisher") -> None:
        """Writes what `tinylcm enroll` would have written had this server and this publisher been asked."""
        # The device's own key is made by the first verb that needs it; nobody listens on port 1.
        done_or_not = tinylcm("enroll", "--config", self.config, "--server", "http://127.0.0.1:1",
                              "--server-key", f"{WORKSHOP.key(server_key)}.pub",
                              "--publisher-key", f"{WORKSHOP.key(publisher)}.pub")
        assert done_or_not.returncode != DONE
        device_id = json.loads(done("status", "--config", self.config, "--json"))["device_id"]
        (self.data / "identity.json").write_text(json.dumps({
            "format": "tinylcm-enrolment/1", "device_id": device_id, "name": "shed", "server": server, "tls_pin": "",
            "server_key": public_key(server_key), "publisher_key": public_key(publisher), "pending": False,
            "formats": ["tar.gz", "zip", "tar", "tar.zst"]}))


def public_key(who: str) -> str:
    return pathlib.Path(f"{WORKSHOP.key(who)}.pub").read_text().split()[1]


WORKSHOP = Workshop()


def main() -> None:
    """Runs the calling file's tests; tells run_unit_tests.py how many there were, as GoogleTest would."""
    try:
        result = unittest.main(module="__main__", verbosity=2, exit=False).result
    finally:
        WORKSHOP.clear()
    reports = os.environ.get("GTEST_OUTPUT", "")
    name = os.environ.get("TEST_NAME", "")
    if reports.startswith("json:") and reports.endswith("/") and name:
        figures = {"tests": result.testsRun, "failures": len(result.failures), "errors": len(result.errors),
                   "disabled": len(result.skipped)}
        (pathlib.Path(reports[5:]) / f"{name}.json").write_text(json.dumps(figures))
    sys.exit(0 if result.wasSuccessful() else 1)
