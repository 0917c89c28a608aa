"""MLflow goes away, comes back, lies and stutters, and so does the server: nothing is lost and nothing is doubled.

A real MLflow is killed (SIGKILL) in the middle of what it is told and started again; the line to it loses
answers, cuts batches in half and says 500 to what was done. Afterwards MLflow is read back by its REST API and
compared with the server's own journal: each run once, with every parameter and every figure once, each bundle one
logged model and one version, the alias where it belongs.
"""

import json
import os
import random
import secrets
import sqlite3
import threading
import unittest

from sphere import Sphere, given, needs
from device import DEADLINE_S, WORKSHOP, done, main, wait_until
from mlflow_side import Line, Mlflow, Reader, seeded_faults

SEED = int(os.environ.get("SEED", 1))
KILLS = int(os.environ.get("KILLS", 3))
DELIVERED_S = 300  # The messenger's pauses grow to minutes; with what is done here they stay below 40 s.
VERSIONS = 4
STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED", "running": "RUNNING"}


class Told(unittest.TestCase):
    """A server that tells MLflow through a line, and how both are compared."""

    def begin(self, url: str):
        self.url = url
        self.line = Line(self, url)
        # Others may have used this MLflow before.
        self.name = f"family-{self._testMethodName.split('_')[1]}-{secrets.token_hex(4)}"
        self.random = random.Random(SEED)
        print(f"seed {SEED}", flush=True)

    # ---- what happens ----------------------------------------------------------------------------------------------

    def serve(self) -> Sphere:
        self.sphere = Sphere(self, "--mlflow", self.line.url)
        self.sphere.enrolment_token()  # Tells it whose bundles it takes.
        return self.sphere

    def bundle(self, version: str) -> bytes:
        """A bundle of the test's own family, signed."""
        def make(out):
            fitted = WORKSHOP.folder / f"{self.name}-{version}"
            done("fit", "--rows", WORKSHOP.rows(), "--label-column", "label", "--out", fitted, "--standardise",
                 "--anchors-per-class", 5, "--name", self.name, "--model-family", self.name, "--version", version)
            done("bundle", "make", fitted, "--out", out, "--key", f"{WORKSHOP.key('publisher')}.key")
        return WORKSHOP._once(f"{self.name}-{version}.tar.zst", make).read_bytes()

    def tell(self, number: int) -> None:
        """One version more is imported and staged: a run, a logged model, a version and its alias, in two entries."""
        version = f"1.{number}.0"
        self.sphere.ask("POST", "/api/v1/bundles", self.bundle(version), "application/zstd")
        self.sphere.ask("POST", f"/api/v1/models/{self.name}/versions/{version}/stage", {"stage": "production"})

    def database(self) -> sqlite3.Connection:
        connection = sqlite3.connect(f"file:{self.sphere.data}/tinysphere.db?mode=ro", uri=True, timeout=DEADLINE_S)
        connection.row_factory = sqlite3.Row
        return connection

    def rows(self, query: str) -> list[sqlite3.Row]:
        connection = self.database()
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def outbox(self) -> dict[str, int]:
        return {row["state"]: row["n"] for row in self.rows("SELECT state, COUNT(*) AS n FROM outbox GROUP BY state")}

    def wait_until_delivered(self) -> None:
        def all_sent():
            states = self.outbox()
            self.assertNotIn("set_aside", states, [row["error"] for row in self.rows(
                "SELECT error FROM outbox WHERE state = 'set_aside'")])
            # What was delivered in doubt keeps its progress until it was looked at once more.
            doubts = self.rows("SELECT COUNT(*) AS n FROM outbox WHERE progress <> ''")[0]["n"]
            return set(states) == {"sent"} and doubts == 0
        wait_until(all_sent, f"the outbox to be empty (now {self.outbox()}; line {self.line.counts()})", DELIVERED_S)

    # ---- what must be so at the end ----------------------------------------------------------------------------------

    def compare(self) -> None:
        """MLflow holds what the journal holds: as much, as often, and no more."""
        reader = Reader(self.url)
        experiments = reader.experiments(f"tinysphere/{self.name}")
        self.assertEqual(set(experiments), {row["name"] for row in self.rows("SELECT name FROM experiments")})
        runs = reader.runs(list(experiments.values()))
        keys = [run["tags"]["tinysphere.key"] for run in runs]
        journal = {row["run_id"]: row for row in self.rows("SELECT * FROM runs")}
        self.assertEqual(sorted(keys), sorted(journal), "each run once")
        self.assertGreaterEqual(len(journal), VERSIONS)
        figures = 0
        for run in runs:
            row = journal[run["tags"]["tinysphere.key"]]
            self.assertEqual(row["mlflow_id"], run["id"])
            self.assertEqual(run["status"], STATUS[row["status"]], row["run_key"])
            self.assertEqual(run["params"], self.texts("run_params", row["run_id"]), row["run_key"])
            said = self.texts("run_tags", row["run_id"])
            self.assertEqual({name: run["tags"].get(name) for name in said}, said, row["run_key"])
            points = self.points(row["run_id"])
            self.assertEqual(run["metrics"], points, row["run_key"])
            figures += sum(map(len, points.values()))
        self.assertGreater(figures, VERSIONS)

        bundles = {row["bundle"]: row["version"] for row in self.rows("SELECT bundle, version FROM model_versions")}
        versions = reader.versions(self.name)
        self.assertEqual(sorted(v["tags"]["tinysphere.bundle"] for v in versions), sorted(bundles), "each bundle one version")
        champions = [v["tags"]["tinysphere.bundle"] for v in versions if "champion" in v["aliases"]]
        # An alias has one place: the version that was staged last.
        self.assertEqual([bundles[bundle] for bundle in champions], [f"1.{VERSIONS - 1}.0"])
        models = reader.logged_models(list(experiments.values()))
        self.assertEqual(sorted(m["tags"]["tinysphere.bundle"] for m in models), sorted(bundles), "each bundle one model")
        self.assertEqual({m["status"] for m in models}, {"LOGGED_MODEL_READY"})

    def texts(self, table: str, run_id: str) -> dict[str, str]:
        return {row["name"]: row["value"] for row in self.rows(f"SELECT name, value FROM {table} WHERE run_id = '{run_id}'")}

    def points(self, run_id: str) -> dict[str, list]:
        points: dict[str, list] = {}
        for row in self.rows(f"SELECT name, step, value FROM run_metrics WHERE run_id = '{run_id}' ORDER BY name, step"):
            points.setdefault(row["name"], []).append((row["step"], row["value"]))
        return points


class MlflowKilled(Told):
    def test_killed_in_the_middle_of_what_it_is_told(self):
        self.mlflow = Mlflow()  # Nobody else's.
        self.addCleanup(self.mlflow.end)
        self.begin(self.mlflow.url)
        self.serve()
        for number in range(VERSIONS):
            self.tell(number)
        for kill in range(KILLS):
            # Some requests from now, and so many milliseconds after that one was handed to it.
            at, after_s = len(self.line.done) + self.random.randint(2, 15), self.random.uniform(0, 0.04)
            self.line.plan = lambda number, method, path: "killed" if number == at else "pass"
            self.line.kill = lambda: threading.Timer(after_s, self.mlflow.kill).start()
            wait_until(lambda: len(self.line.done) > at, f"request {at}", DELIVERED_S)
            method, path, _ = self.line.done[at]
            print(f"killed {1000 * after_s:.0f} ms after request {at}: {method} {path.split('?')[0]}", flush=True)
            wait_until(lambda: not self.mlflow.answers(), "the end of MLflow")
            self.mlflow.start()
        self.wait_until_delivered()
        self.compare()


class MlflowUnreliable(Told):
    def setUp(self):
        needs("MLFLOW")
        self.begin(given("MLFLOW"))

    def test_lying_and_stuttering(self):
        self.serve()
        kinds = ["refused", "lost", "late", "500", "taken, 500", "half", "slow"]
        self.line.plan = seeded_faults(SEED, 0.12, kinds)
        for number in range(VERSIONS):
            self.tell(number)
        self.wait_until_delivered()
        counts = self.line.counts()
        print(counts, flush=True)
        self.assertGreaterEqual(sum(count for fate, count in counts.items() if fate != "pass"), 5, "so few faults show nothing")
        self.compare()

    def test_server_killed_while_it_tells(self):
        self.serve()
        # Each time it has had the answers of some more requests.
        kill_at = [7, 19, 34]
        self.line.plan = lambda number, method, path: "slow" if number in kill_at else "pass"
        for number in range(VERSIONS):
            self.tell(number)
        for number in kill_at:
            wait_until(lambda: len(self.line.done) > number, f"request {number}", DELIVERED_S)
            self.sphere.kill()  # The request is in MLflow's hands, or on its way.
            self.sphere.start()
        self.wait_until_delivered()
        self.compare()

    def test_away_from_the_start(self):
        self.line.plan = lambda number, method, path: "refused"
        self.serve()
        for number in range(VERSIONS):
            self.tell(number)  # Nobody waits for MLflow.
        wait_until(lambda: len(self.line.done) >= 2, "two tries")
        self.assertEqual(set(self.outbox()), {"waiting"})
        self.line.plan = lambda number, method, path: "pass"
        self.wait_until_delivered()
        self.compare()


if __name__ == "__main__":
    main()
