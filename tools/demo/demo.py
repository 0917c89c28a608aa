#!/usr/bin/env python3
"""Runs the whole loop on one machine: a server, three devices, a drift, a person's labels, a new version.

Two agents watch camera frames (tinyscene, a camera stand-in made of real handwritten digits), one the rows
of an 8x8 sensor array. Light falls and the lens gets dirty on one camera; one readout block of the array ages.
Everything is real: the programs, TLS, signatures, the model, the labels' effect. Nothing is slept and printed.

With --services the server keeps its rows in PostgreSQL, its files in MinIO and tells MLflow of every run; all
three are started for this and ended after it. Otherwise SQLite and a folder do.

Without --check it stays up and a person labels in the browser; with --check a script answers through the same
REST API, everything is verified, summary.json is written, and the exit code says whether the loop closed.
"""

import argparse
import json
import os
import pathlib
import secrets
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from programs import Agent, Api, ApiError, DemoError, Server, Services, run  # noqa: E402
from scoring import Truth, accuracy, drops, joined  # noqa: E402

FALSE_ALARM_EVERY = 1_000_000  # samples, as asked for in each agent's configuration
CALM_SAMPLES = 1_300  # 300 to commission the live reference, then at least 1,000 more before the change
SCORED_SAMPLES = 600  # scored for each figure after the change
SWAP_STRETCH_S = 12  # the swap is watched for as long as the control stretch before it
CAMERA_FPS, ROWS_PER_S = 30, 50
SENSOR_ANCHORS = 120


def main() -> int:
    options = parse_arguments()
    out = pathlib.Path(options.out).resolve()
    Services(out / "services").stop()  # Of a run that was killed.
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    demo = Demo(options, out)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    try:
        ok = demo.run()
        if not options.check:
            demo.stay()
        return 0 if ok else 1
    except KeyboardInterrupt:
        print("\ndemo: stopped")
        return 130
    except (DemoError, ApiError) as error:
        print(f"demo: {error}\ndemo: the logs are in {out}", file=sys.stderr)
        return 1
    finally:
        demo.stop()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="run unattended, write summary.json, exit 0 only if all held")
    parser.add_argument("--browser", action="store_true", help="with --check: label and roll out in a real browser")
    parser.add_argument("--seed", type=int, default=1, help="seed of the scenes (default 1)")
    parser.add_argument("--services", action="store_true", help="on PostgreSQL, MinIO and MLflow instead of SQLite and a folder")
    parser.add_argument("--port", type=int, default=0, help="port of the dashboard (default: a free one)")
    parser.add_argument("--bin", default="build/release/bin", help=argparse.SUPPRESS)
    parser.add_argument("--out", default="build/release/demo", help=argparse.SUPPRESS)
    return parser.parse_args()


class Demo:
    def __init__(self, options: argparse.Namespace, out: pathlib.Path):
        self.options, self.out = options, out
        self.bin = pathlib.Path(options.bin).resolve()
        self.root = pathlib.Path(__file__).resolve().parents[2]
        self.strengths = json.loads((self.root / "examples/models/digits-camera/drift_strengths.json").read_text())["chosen"]
        self.started = time.monotonic()
        self.server: Server | None = None
        self.services: Services | None = None
        self.agents: list[Agent] = []
        self.summary: dict = {"ok": False, "seconds": 0, "seed": options.seed,
                              "stores": "PostgreSQL, MinIO, MLflow" if options.services else "SQLite, a folder"}
        self.failures: list[str] = []

    # ---- the phases -------------------------------------------------------------------------------------------------

    def run(self) -> bool:
        if self.options.services:
            self.services = Services(self.out / "services")
            self.services.start()
            self.say("PostgreSQL, MinIO and MLflow run on this machine")
        self.say("making keys and the first bundles (camera, sensor)")
        self.make_bundles("1.0.0", camera_anchors=30, sensor_anchors=SENSOR_ANCHORS)
        self.start_server()
        self.enrol_agents()
        self.watch_calm()
        self.inject_drift()
        self.wait_for_events()
        self.label()
        self.wait_for_recovery()
        self.score_recovered()
        self.roll_out()
        self.drain()
        if self.services:
            self.read_mlflow()
        self.score_without_adaptation()
        return self.finish()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started:6.1f} s] {text}", flush=True)

    def make_bundles(self, version: str, camera_anchors: int, sensor_anchors: int) -> None:
        publisher = self.out / "publisher"
        if not publisher.with_suffix(".key").exists():
            run([self.bin / "tinylcm", "bundle", "keygen", "--out", publisher])
        seed = 1 if version == "1.0.0" else 2
        work = self.out / "fit" / version
        work.mkdir(parents=True)
        # Twice as many as become anchors: the rest are held out (ranks, canary, golden).
        run([self.bin / "tinyscene", "export", "camera", "--pool", "T", "--per-class", 2 * camera_anchors + 20,
             "--seed", seed, "--out", work / "frames"])
        run([self.bin / "tinyscene", "export", "rows", "--pool", "T", "--per-class", 2 * sensor_anchors + 20,
             "--seed", seed, "--out", work / "rows.csv"])
        model = self.root / "examples/models/digits-camera/model.tflite"
        run([self.bin / "tinylcm", "fit", "--images", work / "frames", "--model", model, "--out", work / "camera",
             "--standardise", "--project", 64, "--anchors-per-class", camera_anchors, "--resize", "center_crop",
             "--name", "digits-camera", "--model-family", "digits-camera",
             "--version", version, "--seed", seed])
        run([self.bin / "tinylcm", "fit", "--rows", work / "rows.csv", "--label-column", "label", "--out", work / "sensor",
             "--standardise", "--anchors-per-class", sensor_anchors, "--name", "digits-sensor",
             "--model-family", "digits-sensor", "--version", version, "--seed", seed])
        for kind in ("camera", "sensor"):
            run([self.bin / "tinylcm", "bundle", "make", work / kind, "--key", publisher.with_suffix(".key"),
                 "--out", self.bundle(kind, version)])

    def bundle(self, kind: str, version: str) -> pathlib.Path:
        return self.out / f"{kind}-{version}.tar.zst"

    def start_server(self) -> None:
        self.password = secrets.token_urlsafe(9)
        self.server = Server(self.bin, self.out / "server", self.options.port, self.services)
        self.server.start()
        self.server.command("user", "create", "--name", "operator", "--role", "admin", stdin=self.password + "\n")
        self.api = Api(self.server)
        self.api.sign_in("operator", self.password)
        if not self.options.check:
            print(f"\n    dashboard  {self.server.url}\n    user       operator\n    password   {self.password}\n", flush=True)
        else:
            self.say(f"server and dashboard at {self.server.url}")
        # First the tokens: they tell the server whose signature a bundle must have.
        self.tokens = [self.server.command("token", "create", "--kind", "enroll", "--publisher-key",
                                           self.out / "publisher.pub", "--ttl", "1h").strip().splitlines()[-1]
                       for _ in range(3)]
        for kind in ("camera", "sensor"):
            self.api.upload_bundle(self.bundle(kind, "1.0.0"), self.out)

    def enrol_agents(self) -> None:
        common = dict(demo=self.out, bin=self.bin, seed=self.options.seed, server=self.server,
                      false_alarm_every=FALSE_ALARM_EVERY)
        self.camera = Agent("cam-north", "camera", self.bundle("camera", "1.0.0"), rate=CAMERA_FPS, scene=1, **common)
        self.calm = Agent("cam-south", "camera", self.bundle("camera", "1.0.0"), rate=CAMERA_FPS, scene=2, **common)
        self.sensor = Agent("array-1", "sensor", self.bundle("sensor", "1.0.0"), rate=ROWS_PER_S, scene=3, **common)
        self.agents = [self.camera, self.calm, self.sensor]
        for agent, token in zip(self.agents, self.tokens):
            agent.set_scene(pool="A")
            agent.enrol(token)
            agent.start()
        self.say("three devices enrolled with keys of their own; they classify")

    def watch_calm(self) -> None:
        self.wait("calm frames and rows", 180, lambda: all(a.predictions_count() >= CALM_SAMPLES for a in self.agents),
                  lambda: ", ".join(f"{a.name} {a.predictions_count()}" for a in self.agents))
        events = self.api.get("/drift-events?state=all")["items"]
        self.alarms_before = {a.name: sum(e["device_name"] == a.name for e in events) for a in self.agents}

    def inject_drift(self) -> None:
        self.camera.set_scene(pool="A", light=self.strengths["light"], dirt=self.strengths["dirt"])
        self.sensor.set_scene(pool="A", aged=1.0)
        self.wait("the change to reach the streams", 20, lambda: self.camera.truth().onset() and self.sensor.truth().onset())
        self.onset = {a.name: a.truth().onset() for a in (self.camera, self.sensor)}
        self.say("light falls and the lens gets dirty on cam-north; a readout block of array-1 ages")
        self.server.kill()
        self.server_down_at = time.monotonic()
        self.say("the server is gone (SIGKILL) while the evidence is collected")

    def wait_for_events(self) -> None:
        self.wait("the devices to notice", 60, lambda: self.camera.status()["events"] and self.sensor.status()["events"])
        for agent in (self.camera, self.sensor):
            event = agent.status()["events"][-1]
            self.say(f"{agent.name} noticed: {event['text']}")
        self.wait("evidence packaged", 60, lambda: self.camera.status()["state"] != "suspect" and
                  self.sensor.status()["state"] != "suspect")
        self.camera.kill()
        self.say("cam-north is killed (SIGKILL) with its evidence in hand, and started again")
        self.camera.start()
        self.wait_until(self.server_down_at + 8)
        self.server.start()
        self.server_down_s = time.monotonic() - self.server_down_at
        self.say(f"the server is back after {self.server_down_s:.0f} s")
        self.wait("evidence at the server", 90, lambda: len(self.open_events()) >= 2, lambda: f"{len(self.open_events())} of 2")

    def open_events(self) -> list[dict]:
        return self.api.get("/drift-events?state=open")["items"]

    def label(self) -> None:
        events = self.open_events()
        truths = {}
        for event in events:
            agent = next(a for a in self.agents if a.name == event["device_name"])
            truths[event["event_id"]] = agent.labels_by_index()
        if self.options.browser:
            answers = self.out / "answers.json"
            answers.write_text(json.dumps({e["device_name"]: truths[e["event_id"]] for e in events}))
            self.say("a browser signs in and labels with the keyboard")
            self.run_browser(E2E_LABELS=str(answers), E2E_EVENTS=str(len(events)), E2E_NO_ROLLOUT="1")
        elif self.options.check:
            for event in events:
                detail = self.api.get(f"/drift-events/{event['event_id']}")
                labels = [{"sample_id": s["sample_id"], "label": truths[event["event_id"]][s["index"]]}
                          for s in detail["samples"]]
                if len(labels) > 24:
                    raise DemoError(f"{event['device_name']} asked for {len(labels)} labels, more than 24")
                self.api.post(f"/drift-events/{event['event_id']}/verdicts", {"labels": labels, "event_verdict": "real"})
                self.say(f"the operator labelled {len(labels)} samples of {event['device_name']}")
        else:
            print(f"\n    Now you: sign in at {self.server.url}, open the Drift Hub and label the samples of cam-north and\n"
                  "    array-1 (press 0 to 9). The demo goes on when both are submitted.\n", flush=True)
            self.wait("your labels", 24 * 3600, lambda: not self.open_events())

    def run_browser(self, **settings: str) -> None:
        environment = dict(os.environ, TINYSPHERE_URL=self.server.url, TINYSPHERE_USER="operator",
                           TINYSPHERE_PASSWORD=self.password, E2E_SCREENSHOTS=str(self.out / "browser"), **settings)
        run(["npm", "run", "--silent", "e2e"], cwd=self.root / "web", env=environment, timeout=300)

    def wait_for_recovery(self) -> None:
        self.wait("the labels to take effect", 120, lambda: all(
            a.status()["labels_applied"] > 0 and a.status()["state"] in ("stable", "probation", "rolled_back", "escalated")
            for a in (self.camera, self.sensor)), lambda: ", ".join(f"{a.name} {a.status()['state']}" for a in self.agents))
        for agent in (self.camera, self.sensor):
            served = agent.status()["adaptation"]
            self.say(f"{agent.name} serves hypothesis {served['hypothesis']}, challenger {served['challenger']}")

    def score_recovered(self) -> None:
        for agent in self.agents:
            agent.set_scene(keep=True, pool="B")
        self.wait(f"{SCORED_SAMPLES} unseen digits on every device", 120,
                  lambda: all(len(a.scored("B")) >= SCORED_SAMPLES for a in self.agents),
                  lambda: ", ".join(f"{a.name} {len(a.scored('B'))}" for a in self.agents))
        self.after = {a.name: a.scored("B") for a in self.agents}
        for agent in (self.camera, self.sensor):
            self.measure(agent)

    def measure(self, agent: Agent) -> None:
        onset = self.onset[agent.name]
        rows = joined(agent.predictions(), agent.truth())
        first_served = next((r for r in rows if r.frame >= onset and r.adaptation > 0), None)
        if first_served is None:
            raise DemoError(f"{agent.name}: no adaptation was ever served")
        before = [r for r in rows if r.frame < onset]
        drifted = [r for r in rows if onset <= r.frame < first_served.frame]
        status = agent.status()
        noticed = [e["frame"] for e in status["events"] if e["frame"] is not None and e["frame"] >= onset]
        self.summary[agent.kind] = {
            "accuracy_before": accuracy(before), "accuracy_drift": accuracy(drifted),
            "accuracy_after": accuracy(self.after[agent.name]),
            "noticed_after": noticed[0] - onset + 1 if noticed else None,
            "false_alarms_before": self.alarms_before[agent.name] + sum(
                1 for e in status["events"] if e["frame"] is not None and e["frame"] < onset),
            "labels_used": status["labels_applied"],
            "served": f"{status['adaptation']['hypothesis']} + {status['adaptation']['challenger']}",
        }
        if agent.kind == "sensor":
            event = next(e for e in status["events"] if e["frame"] >= onset)
            self.summary["sensor"]["aged_channels"] = list(range(16, 32))
            self.summary["sensor"]["named_channels"] = sorted(event["channels"])
        self.say(f"{agent.name}: {self.summary[agent.kind]['accuracy_before']:.3f} before, "
                 f"{self.summary[agent.kind]['accuracy_drift']:.3f} under drift, "
                 f"{self.summary[agent.kind]['accuracy_after']:.3f} after the labels")

    def roll_out(self) -> None:
        self.make_bundles("1.1.0", camera_anchors=40, sensor_anchors=SENSOR_ANCHORS + 10)
        for kind in ("camera", "sensor"):
            self.api.upload_bundle(self.bundle(kind, "1.1.0"), self.out)
        self.say("version 1.1.0 of both bundles is signed and published; first a control stretch without a swap")
        control = {a.name: a.last_frame() for a in self.agents}
        self.wait_until(time.monotonic() + SWAP_STRETCH_S)
        middle = {a.name: a.last_frame() for a in self.agents}
        if self.options.browser:
            self.run_browser(E2E_EVENTS="0")
        else:
            for name in ("digits-camera", "digits-sensor"):
                self.api.post("/rollouts", {"name": name, "version": "1.1.0", "devices": None})
        self.say("1.1.0 is rolled out")
        begun = time.monotonic()
        self.wait("all three to run it", 120, lambda: all(r["state"] == "done" for r in self.api.get("/rollouts")["items"]),
                  lambda: "; ".join(f"{r['name']} {r['counts']}" for r in self.api.get("/rollouts")["items"]))
        self.wait_until(begun + SWAP_STRETCH_S)
        # Equal lengths, whatever the time it took: the stretch after is cut or the control is scaled up.
        end = {a.name: a.last_frame() for a in self.agents}
        dropped = control_dropped = 0
        gaps = []
        for agent in self.agents:
            truth, seen = agent.truth(), agent.frames_seen()
            length = end[agent.name] - middle[agent.name]
            control_length = max(1, middle[agent.name] - control[agent.name])
            dropped += drops(truth, seen, middle[agent.name], end[agent.name])
            control_dropped += drops(truth, seen, control[agent.name], middle[agent.name]) * length / control_length
            gaps.append(agent.status()["swap_gap_ms"])
        self.summary["swap"] = {"devices": len(self.agents), "frames_dropped": dropped,
                                "frames_dropped_control": round(control_dropped), "gap_ms_p99": max(gaps)}
        for agent in self.agents:
            status = agent.status()
            if status["bundle"]["version"] != "1.1.0":
                self.failures.append(f"{agent.name} runs {status['bundle']['version']}, not 1.1.0")
            self.say(f"{agent.name} runs {status['bundle']['version']}, "
                     f"hypothesis {status['adaptation']['hypothesis']}, challenger {status['adaptation']['challenger']}")
        self.after_swap = {}
        marks = {a.name: a.last_frame() for a in self.agents}
        self.wait("the new version's accuracy", 60, lambda: all(
            len(a.scored("B", after=marks[a.name])) >= 300 for a in self.agents))
        for agent in (self.camera, self.sensor):
            self.summary[agent.kind]["accuracy_after_swap"] = accuracy(agent.scored("B", after=marks[agent.name]))

    def drain(self) -> None:
        for agent in self.agents:
            agent.stop()  # a clean stop sends what is due, and packages the last figures
        for agent in self.agents:
            agent.start()  # once more, so that what the stop made is sent too
        self.wait("every package to be acknowledged", 90, lambda: all(a.queue()["waiting"] == 0 for a in self.agents),
                  lambda: ", ".join(f"{a.name} {a.queue()['waiting']}" for a in self.agents))
        for agent in self.agents:
            agent.stop()
        # Each device numbers what it makes 1, 2, 3, ... without gaps; the server must hold each exactly once.
        made = stored = lost = doubled = 0
        for agent in self.agents:
            queue = agent.queue()
            seqs = [p["seq"] for p in self.api.all(f"/packages?device={agent.device_id}")]
            made += queue["seq_last"]
            stored += len(set(seqs))
            doubled += len(seqs) - len(set(seqs))
            lost += len(set(range(1, queue["seq_last"] + 1)) - set(seqs)) - queue["waiting"]
            if queue["dead"]:
                self.failures.append(f"{agent.name}: {queue['dead']} packages were refused")
        events = self.api.all("/drift-events?state=all")
        if len(events) != len({e["sample_index"] for e in events}) or len(events) != 2:
            self.failures.append(f"{len(events)} drift events are in the hub, not one of each drifting device")
        self.summary["packages"] = {"made": made, "stored": stored, "lost": lost, "duplicates": doubled}
        self.summary["faults"] = {"agent_killed": True, "server_down_s": round(self.server_down_s, 1)}
        calm_events = [e for e in self.api.get("/drift-events?state=all")["items"] if e["device_name"] == self.calm.name]
        self.summary["calm"] = {"frames": len(self.calm.predictions()), "alarms": len(calm_events) + len(self.calm.status()["events"])}

    def read_mlflow(self) -> None:
        """What MLflow holds at the end, by its own REST API: each bundle once, and a run for all that happened."""
        names = ("digits-camera", "digits-sensor")
        def held() -> tuple[dict, list]:
            return self.services.run_counts(), [self.services.model_versions(name) for name in names]
        def is_complete() -> bool:
            runs, versions = held()
            return all(count >= 2 for count in versions) and runs.get("adaptation", 0) >= 2 and runs.get("rollout", 0) >= 2
        # It is told behind everybody's back, so it may still be at it.
        try:
            self.wait("MLflow to hear of it all", 120, is_complete, lambda: str(held()))
        except DemoError as error:
            self.failures.append(str(error))
        runs, versions = held()
        self.summary["mlflow"] = {"runs": runs, "model_versions": dict(zip(names, versions))}
        self.hold(versions == [2, 2], "MLflow holds both versions of both bundles, each once")
        self.hold(runs.get("import", 0) == 4, "MLflow holds a run of each of the four imports")

    def score_without_adaptation(self) -> None:
        """The very same frames and rows as accuracy_after's, drawn again and run through the first bundle, untouched."""
        self.say("the same stream once more, with no adaptation")
        self.summary["no_adapt"] = {}
        for agent in (self.camera, self.sensor):
            frames = {r.frame for r in self.after[agent.name]}
            correct = agent.replay_without_adaptation(frames)
            self.summary["no_adapt"][agent.kind] = correct

    # ---- the end ----------------------------------------------------------------------------------------------------

    def finish(self) -> bool:
        s = self.summary
        s["seconds"] = round(time.monotonic() - self.started, 1)
        hold = self.hold
        camera, sensor = s["camera"], s["sensor"]
        hold(camera["accuracy_before"] >= 0.97, "camera accuracy before >= .97")
        hold(sensor["accuracy_before"] >= 0.92, "sensor accuracy before >= .92")
        for kind, share in (("camera", 0.96), ("sensor", 0.93)):
            part = s[kind]
            hold(part["noticed_after"] is not None and part["noticed_after"] <= 100, f"{kind}: noticed within 100")
            hold(part["false_alarms_before"] == 0, f"{kind}: no alarm before the change")
            hold(part["labels_used"] <= 24, f"{kind}: at most 24 labels")
            hold(part["accuracy_after"] >= share * part["accuracy_before"], f"{kind}: after >= {share:.0%} of before")
            hold(part["accuracy_before"] - s["no_adapt"][kind] >= 0.20, f"{kind}: the change costs 20 points if nothing is done")
            hold(part["accuracy_after_swap"] >= share * part["accuracy_before"], f"{kind}: still so after the new version")
        named, aged = set(sensor["named_channels"]), set(sensor["aged_channels"])
        hold(len(named & aged) >= 14 and len(named - aged) <= 2, "the event names the aged channels (>= 14 of 16, <= 2 others)")
        hold(s["calm"]["alarms"] == 0, "no alarm on the undisturbed camera")
        hold(s["packages"]["lost"] == 0 and s["packages"]["duplicates"] == 0, "no package lost, none counted twice")
        hold(s["swap"]["frames_dropped"] <= s["swap"]["frames_dropped_control"], "the swap dropped no frame more than the control")
        s["ok"] = not self.failures
        (self.out / "summary.json").write_text(json.dumps(s, indent=2) + "\n")
        self.print_table()
        for failure in self.failures:
            print(f"NOT SO: {failure}")
        print(f"{'The loop closed' if s['ok'] else 'The loop did not close'} in {s['seconds']:.0f} s. "
              f"Figures: {self.out / 'summary.json'}", flush=True)
        return s["ok"]

    def hold(self, condition: bool, what: str) -> None:
        if not condition:
            self.failures.append(what)

    def print_table(self) -> None:
        s = self.summary
        print(f"\n{'':18}{'before':>9}{'drift':>9}{'after':>9}{'no adapt':>10}{'noticed':>9}{'labels':>8}  served")
        for kind in ("camera", "sensor"):
            p = s[kind]
            print(f"{kind:18}{p['accuracy_before']:9.3f}{p['accuracy_drift']:9.3f}{p['accuracy_after']:9.3f}"
                  f"{s['no_adapt'][kind]:10.3f}{str(p['noticed_after']):>9}{p['labels_used']:8}  {p['served']}")
        print(f"{'calm camera':18}{s['calm']['frames']} frames, {s['calm']['alarms']} alarms")
        print(f"{'packages':18}{s['packages']['made']} made, {s['packages']['stored']} stored, "
              f"{s['packages']['lost']} lost, {s['packages']['duplicates']} twice")
        if "mlflow" in s:
            print(f"{'MLflow':18}runs {s['mlflow']['runs']}, model versions {s['mlflow']['model_versions']}")
        print(f"{'swap':18}{s['swap']['frames_dropped']} frames dropped, {s['swap']['frames_dropped_control']} in the control, "
              f"gap {s['swap']['gap_ms_p99']:.2f} ms\n")

    def stay(self) -> None:
        for agent in self.agents:
            agent.start()
        print(f"\nAll of it stays up: {self.server.url} (operator / {self.password}). Ctrl-C ends it.", flush=True)
        while True:
            time.sleep(1)

    def stop(self) -> None:
        for agent in self.agents:
            agent.kill()
        try:
            if self.server:
                self.server.stop()
        finally:
            if self.services:
                self.services.stop()

    def wait(self, what: str, seconds: float, condition, progress=None) -> None:
        end, told = time.monotonic() + seconds, time.monotonic()
        while not condition():
            for process in [self.server, *self.agents]:
                process.check_alive()
            if time.monotonic() > end:
                raise DemoError(f"waited {seconds:.0f} s for {what}" + (f" ({progress()})" if progress else ""))
            if time.monotonic() - told > 10:
                told = time.monotonic()
                self.say(f"... {what}" + (f": {progress()}" if progress else ""))
            time.sleep(0.2)
        self.say(f"{what}: done" if progress else f"{what}: yes")

    def wait_until(self, moment: float) -> None:
        while time.monotonic() < moment:
            for process in self.agents:
                process.check_alive()
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
