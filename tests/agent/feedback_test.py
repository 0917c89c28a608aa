"""What becomes of people's words on a real device that hangs on a real server: learned, taken back, or refused by name."""

import hashlib
import json
import os
import sqlite3
import subprocess
import time
import unittest

from device import BIN, DEADLINE_S, WORKSHOP, Device, main, wait_until
from wish_test import Server

RATE = 400


class Post(Server):
    """A server whose letters the test may also write by itself: what a careful server never sends must not hurt either."""

    def __init__(self, test: unittest.TestCase, device: Device):
        super().__init__(test)
        subprocess.run([str(BIN / "tinylcm"), "enroll", "--config", str(device.config), "--server", self.url],
                       env=os.environ | {"TINYLCM_TOKEN": self.enrolment_token()}, check=True, capture_output=True,
                       timeout=DEADLINE_S)

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.data / "tinysphere.db", timeout=DEADLINE_S, isolation_level=None)

    def desire(self, device_id: str, **more) -> None:
        """Writes into the device's desired state, as if the server had decided so."""
        with self.database() as db:
            db.execute("BEGIN IMMEDIATE")
            revision, document = db.execute("SELECT desired_revision, desired FROM devices WHERE device_id = ?",
                                            [device_id]).fetchone()
            desired = json.loads(document or "{}") | more | {"revision": revision + 1}
            text = json.dumps(desired)
            db.execute("UPDATE devices SET desired_revision = ?, desired = ?, desired_etag = ? WHERE device_id = ?",
                       [revision + 1, text, hashlib.sha256(text.encode()).hexdigest()[:32], device_id])
            db.execute("COMMIT")

    def write(self, device_id: str, event_id: str, feedback_id: str, **letter) -> None:
        document = json.dumps({"format": "tinylcm-feedback/1", "feedback_id": feedback_id, "bundle": "", "labels": [],
                               "retract": [], "events": []} | letter)
        with self.database() as db:
            db.execute("INSERT OR REPLACE INTO feedback (feedback_id, device_id, event_id, document, sha256, state, created_at)"
                       " VALUES (?, ?, ?, ?, ?, 'pending', ?)",
                       [feedback_id, device_id, event_id, document, hashlib.sha256(document.encode()).hexdigest(),
                        int(time.time() * 1000)])
        self.desire(device_id, feedback=[feedback_id])

    def outcome(self, feedback_id: str) -> dict[str, str]:
        """What the device answered, once it did: sample -> outcome."""
        def answered():
            with self.database() as db:
                row = db.execute("SELECT outcome FROM feedback WHERE feedback_id = ? AND state = 'applied'",
                                 [feedback_id]).fetchone()
            return row and row[0]
        labels = json.loads(wait_until(answered, f"the acknowledgement of {feedback_id}"))["labels"]
        return {label["sample_id"]: label["outcome"] for label in labels}


def label(sample_id: str, name: str, **more) -> dict:
    return {"sample_id": sample_id, "label": name, "weight": 1.0, "reviewers": 1, **more}


class Feedback(unittest.TestCase):
    def setUp(self):
        self.device = Device.watching_a_scene(self, "rows", rate=RATE, quarantine={"labels_per_event": 24})
        self.server = Post(self, self.device)
        self.device.start()
        self.device.wait_for(self.is_watching, "the end of commissioning")
        self.id = self.device.status()["device_id"]
        self.event = self.next_event()

    def is_watching(self) -> bool:
        return self.device.status().get("drift", {}).get("phase") == "watching"

    def next_event(self, aged: float = 1.0, but: str = "") -> dict:
        """Lets the sensor age; gives the event that asks for labels, with its samples."""
        self.device.show(aged=aged)
        def asked():
            items = self.server.ask("GET", "/api/v1/drift-events")["items"]
            new = [item for item in items if item["event_id"] != but and item["samples_total"] > 0]
            return new and self.server.ask("GET", f"/api/v1/drift-events/{new[0]['event_id']}")
        return self.device.wait_for(asked, "an event with samples")

    def truth(self, sample: dict) -> str:
        """The digit that was drawn: the log knows which row an inference was of, the scene what it drew there."""
        index = sample["index"]
        frame = self.device.wait_for(
            lambda: [line["frame"] for line in self.device.log_lines() if line["index"] == index], "the log")[0]
        rows = (line.split(",") for line in self.device.truth.read_text().splitlines()[1:])
        return next(row[2] for row in rows if int(row[0]) == frame)

    def write(self, feedback_id: str, **letter) -> dict[str, str]:
        self.server.write(self.id, self.event["event_id"], feedback_id, **letter)
        return self.server.outcome(feedback_id)

    def test_each_fault_is_answered_by_name_and_nothing_is_applied_wrongly(self):
        s = [sample["sample_id"] for sample in self.event["samples"]]
        before = self.device.status()["labels_applied"]
        self.assertEqual(
            self.write("f-faults", labels=[label("nobody", "3"), label(s[0], "crab"), label(s[1], "3"), label(s[1], "4")],
                       retract=["nobody-either"]),
            {"nobody": "unknown_sample", s[0]: "unknown_label", s[1]: "unused", "nobody-either": "unknown_sample"})
        self.assertEqual(self.write("f-other", bundle="0" * 64, labels=[label(s[2], "3")]), {s[2]: "other_bundle"})
        self.device.wait_for_frames(self.device.status()["frames"] + 2 * RATE)  # A status later.
        self.assertEqual(self.device.status()["labels_applied"], before)
        for said in ("sample nobody: was never here", "'crab' is no class of this bundle",
                     "its reviewers contradict each other", "the feedback is about another bundle"):
            self.assertTrue(self.device.lines_saying(said), said)

        # The same letter twice, the second time to a device that has been killed meanwhile (one that has not
        # would not fetch it): answered again, applied once.
        right = self.truth(self.event["samples"][3])
        self.assertEqual(self.write("f-one", labels=[label(s[3], right)]), {s[3]: "applied"})
        self.device.kill()
        self.device.start()
        self.device.wait_for_frames(1)
        self.assertEqual(self.write("f-one", labels=[label(s[3], right)]), {s[3]: "applied"})
        self.device.wait_for(lambda: self.device.lines_saying("this feedback was applied before"), "the second answer")
        self.device.wait_for_frames(self.device.status()["frames"] + 2 * RATE)
        self.assertEqual(self.device.status()["labels_applied"], before + 1)

        # Of the samples of this event only labelled ones outlive the next.
        begin = self.event["sample_index"] + 40
        unasked = [f"{self.event['event_id']}-{index}" for index in range(begin, begin + 20)]
        unasked = [sample_id for sample_id in unasked if sample_id not in s]
        self.write("f-quiet", events=[{"event_id": self.event["event_id"], "verdict": "expected"}])
        self.device.wait_for(lambda: self.device.lines_saying("is learned anew from"), "the live reference")
        self.device.wait_for(self.is_watching, "the new reference")
        first, self.event = self.event, self.next_event(aged=0.0, but=self.event["event_id"])
        late = self.write("f-late", labels=[label(sample_id, "3") for sample_id in unasked])
        # One that was never taken, for the frame was dropped on a busy machine, is told from one that gave way.
        self.assertLessEqual(set(late.values()), {"evicted_sample", "unknown_sample"})
        self.assertIn("evicted_sample", late.values())
        self.assertNotEqual(first["event_id"], self.event["event_id"])

    def test_labels_are_acknowledged_once_they_serve_over_a_kill_and_can_be_taken_back(self):
        labels = [label(sample["sample_id"], self.truth(sample)) for sample in self.event["samples"]]
        self.server.write(self.id, self.event["event_id"], "f-all", labels=labels)
        self.device.wait_for(lambda: self.device.lines_saying("feedback f-all"), "the labels on the device")
        self.device.kill()  # Somewhere between taking them in and acknowledging.
        self.device.start()
        outcome = self.server.outcome("f-all")
        self.assertEqual(set(outcome), {one["sample_id"] for one in labels})
        self.assertEqual(set(outcome.values()), {"applied"})
        self.device.wait_for(lambda: self.device.status().get("labels_applied", 0) >= len(labels), "the count")
        taken_back = labels[0]["sample_id"]
        self.assertEqual(self.write("f-back", retract=[taken_back]), {taken_back: "retracted"})

    def test_more_samples_are_sent_when_the_server_asks_for_them(self):
        path = f"/api/v1/drift-events/{self.event['event_id']}"
        known = len(self.event["samples"])
        self.server.desire(self.id, requests=[{"event_id": self.event["event_id"], "samples": 5}])
        wait_until(lambda: len(self.server.ask("GET", path)["samples"]) == known + 5, "five more samples")
        later = self.server.ask("GET", path)["samples"][known:]
        self.assertTrue(all(sample["reason"].startswith("more were asked for; stands for ") for sample in later), later)
        # Asked again for as many in all, after a restart too, nothing more is sent.
        self.device.kill()
        self.device.start()
        self.server.desire(self.id, requests=[{"event_id": self.event["event_id"], "samples": 6}])
        wait_until(lambda: len(self.server.ask("GET", path)["samples"]) == known + 6, "one more")


if __name__ == "__main__":
    main()
