"""The agent is killed at random moments of its adaptation, again and again, and goes on where it was.

A small sensor array ages, is cured, and ages otherwise; an operator at a real server labels what is asked about (a
fifth of the time wrongly, so that some of what is learned must be undone) and now and then goes back to a snapshot.
Meanwhile SIGKILL falls, KILLS times (100; test.sh --long: 1,000), at moments that SEED draws. After every restart:
what serves is, to the byte, what served before or what was about to, by the SHA-256 the agent says of it; every file
that is named by its digest matches it; no index of an answer is used twice; and the device goes on.
"""

import collections
import hashlib
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from device import BIN, DEADLINE_S, DONE, WORKSHOP, Device, done, main, tinylcm, wait_until
from wish_test import Server

KILLS = int(os.environ.get("KILLS", "100"))
SEED = int(os.environ.get("SEED", "1"))
CLASSES, CHANNELS, RATE = "abcd", 16, 500

# Rows in real time: class c raises channels 4c to 4c+3. The third decimal of the last channel is the class, which the
# operator reads and the model does not see.
SOURCE = f"""
import json, pathlib, random, sys, time
control = pathlib.Path(sys.argv[1])
draw = random.Random(time.time_ns())
print(",".join(f"c{{i}}" for i in range({CHANNELS})), flush=True)
began, sent = time.monotonic(), 0
while True:
    gain, offset, first = json.loads(control.read_text())
    lines = []
    for _ in range(10):
        label = draw.randrange(4)
        row = [(1.0 if i // 4 == label else 0.0) + draw.gauss(0, .25) for i in range({CHANNELS})]
        for i in range(first, first + 6):
            row[i] = gain * row[i] + offset
        row[15] = round(row[15], 2) + label * .001
        lines.append(",".join(f"{{value:.4f}}" for value in row))
    print("\\n".join(lines), flush=True)
    sent += 10
    time.sleep(max(0, began + sent / {RATE} - time.monotonic()))
"""
# Gain, offset, first of six channels: as fitted, and two ways of ageing.
AS_FITTED, AGED, OTHERWISE = [1, 0, 0], [.2, 1.2, 0], [.3, -.8, 8]
SERVES = re.compile(r"(?:serving|rolled back to|starts with) .* ([0-9a-f]{64}) \(revision (\d+)\)")


def fitted() -> pathlib.Path:
    """A bundle for the array, from 400 rows."""
    def make(out: pathlib.Path) -> None:
        draw = random.Random(1)
        rows = out.with_suffix(".csv")
        with rows.open("w") as file:
            file.write(",".join([f"c{i}" for i in range(CHANNELS)] + ["label"]) + "\n")
            for n in range(400):
                values = [(1 if i // 4 == n % 4 else 0) + draw.gauss(0, .25) for i in range(CHANNELS)]
                file.write(",".join(f"{value:.4f}" for value in values) + f",{CLASSES[n % 4]}\n")
        done("fit", "--rows", rows, "--label-column", "label", "--out", out, "--standardise", "--anchors-per-class", 30,
             "--name", "array")
    return WORKSHOP._once("array", make)


class Operator(threading.Thread):
    """Answers what the server shows, until told to stop; what went wrong is kept for the test."""

    def __init__(self, server: Server, seed: int):
        super().__init__(daemon=True)
        self.server, self.draw = server, random.Random(seed)
        self.stopping, self.labels, self.wrong, self.error = threading.Event(), 0, 0, None

    def run(self) -> None:
        try:
            while not self.stopping.wait(.1):
                for event in self.server.ask("GET", "/api/v1/drift-events?state=open")["items"]:
                    self.answer(event["event_id"])
        except Exception as error:  # noqa: BLE001: told by the test, which is another thread's.
            self.error = error

    def answer(self, event_id: str) -> None:
        samples = self.server.ask("GET", f"/api/v1/drift-events/{event_id}")["samples"]
        is_wrong = self.draw.random() < .2
        labels = []
        for sample in samples:
            if sample["verdict"] or not sample["row"]:
                continue
            truth = round(sample["row"][15] * 1000) % 10
            labels.append({"sample_id": sample["sample_id"], "label": CLASSES[(truth + is_wrong) % 4]})
        if labels:
            self.labels += len(labels)
            self.wrong += len(labels) if is_wrong else 0
            self.server.ask("POST", f"/api/v1/drift-events/{event_id}/verdicts", {"labels": labels})


class Killed(unittest.TestCase):
    def setUp(self):
        self.draw = random.Random(SEED)
        self.server = Server(self)
        folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        script, self.control = folder / "rows.py", folder / "control.json"
        script.write_text(SOURCE)
        self.set(AS_FITTED)
        self.device = Device(
            self, fitted(), {"kind": "rows", "command": f"{sys.executable} -E {script} {self.control}"}, folder,
            drift={"false_alarm_every": 100000, "commission": 100}, quarantine={"samples": 60, "labels_per_event": 12},
            datalog={"bytes_max": 64 << 20})
        enrolled = subprocess.run(
            [str(BIN / "tinylcm"), "enroll", "--config", str(self.device.config), "--server", self.server.url],
            env=os.environ | {"TINYLCM_TOKEN": self.server.enrolment_token()}, capture_output=True, text=True,
            timeout=DEADLINE_S)
        self.assertEqual(enrolled.returncode, DONE, enrolled.stderr)

    def set(self, ageing: list) -> None:
        new = self.control.with_suffix(".new")
        new.write_text(json.dumps(ageing))
        new.replace(self.control)

    def served(self) -> list[str]:
        """What the agent said it serves, in order: SHA-256 of the adaptation."""
        return [found[1] for line in self.device.said().splitlines() if (found := SERVES.search(line))]

    def check_files(self) -> None:
        """Whatever is named by its digest is that; nothing is damaged."""
        lifecycle = self.device.data / "lifecycle"
        for path in [*lifecycle.glob("adapter-*.bin"), *lifecycle.glob("snapshots/blobs/*")]:
            if path.suffix != ".tmp" and path.exists():
                named = path.stem.removeprefix("adapter-")
                self.assertTrue(hashlib.sha256(path.read_bytes()).hexdigest().startswith(named), path)
        self.assertEqual(list(lifecycle.glob("*.damaged*")), [])
        self.assertEqual(json.loads(done("state", "ls", "--config", self.device.config, "--json"))["damaged"], [])

    def test_what_serves_is_the_champion_or_the_challenger_to_the_byte(self):
        print(f"seed {SEED}, {KILLS} kills", file=sys.stderr)
        operator = Operator(self.server, SEED)
        operator.start()
        device, states, asked_back = self.device, collections.Counter(), 0
        ageing = AS_FITTED
        for kill in range(KILLS):
            before = self.served()
            device.start()
            device.wait_for(lambda: len(self.served()) > len(before), "what it starts with")
            now = self.served()[len(before)]
            if before:
                # The last that was said to serve. A change under way may have been written down and not been said.
                said = f"kill {kill} at seed {SEED}: starts with {now[:12]}, before: {[s[:12] for s in before[-4:]]}"
                self.assertIn(now, set(before), said)
                self.assertIn(now, before[-3:], said)
            if kill % 12 == 5:
                ageing = self.draw.choice([a for a in (AS_FITTED, AGED, OTHERWISE) if a != ageing])
                self.set(ageing)
            if kill % 15 == 14:
                snapshots = json.loads(done("state", "ls", "--config", device.config, "--json"))["snapshots"]
                if snapshots:
                    done("state", "rollback", self.draw.choice(snapshots)["id"], "--config", device.config)
                    asked_back += 1
            # Half of the kills within the first rows, half anywhere up to a second and a half.
            time.sleep(self.draw.choice([self.draw.uniform(0, .3), self.draw.uniform(.3, 1.5)]))
            self.assertIsNone(device.process.poll(), device.said()[-600:])
            states[device.status().get("state")] += 1
            device.kill()
            if kill % 10 == 9:
                self.check_files()
        operator.stopping.set()
        operator.join(DEADLINE_S)
        self.assertIsNone(operator.error)

        # It goes on, and nothing was answered under one index twice.
        device.start()
        device.wait_for_frames(300)
        self.assertEqual(device.stop(), DONE, device.said()[-600:])
        self.check_files()
        device.verify_queue()
        indices = device.indices()
        self.assertEqual(len(indices), len(set(indices)))
        said = device.said()
        told = {what: len(re.findall(what, said)) for what in ("drift e-", "serving ", "committed", "rolled back")}
        print(f"killed in {dict(states)}; told {told}; {operator.labels} labels, {operator.wrong} wrong; "
              f"{asked_back} times asked back", file=sys.stderr)
        for what, count in told.items():
            self.assertGreater(count, 0, what)
        for trouble in ("begins anew", "set aside", "adaptation dropped", "cannot be served"):
            self.assertEqual(device.lines_saying(trouble), [])
        self.assertGreaterEqual(len(states), 3, "it was killed in too few states to show anything")


if __name__ == "__main__":
    main()
