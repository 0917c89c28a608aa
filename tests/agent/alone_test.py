"""A device without a server, with a full disk, or with somebody in between who lies."""

import base64
import http.server
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import unittest

from device import WORKSHOP, Device, main


class Alone(unittest.TestCase):
    def test_works_without_any_server_and_without_enrolment(self):
        device = Device(self, WORKSHOP.sensor(), {"kind": "rows", "path": str(WORKSHOP.stream_of_rows())})
        self.assertEqual(device.run_to_the_end(), 0, device.said())
        self.assertEqual(device.indices(), list(range(600)))
        self.assertEqual(len(device.lines_saying("not enrolled: working alone")), 1)
        queue = device.queue()
        self.assertGreaterEqual(queue["waiting"], 2, "what it found out waits for a server")
        self.assertEqual((queue["acked"], queue["dead"]), (0, 0))
        device.verify_queue()

    def test_works_when_its_server_cannot_be_reached(self):
        device = Device(self, WORKSHOP.archive("signed.tar.zst", "publisher"),
                        {"kind": "rows", "path": str(WORKSHOP.stream_of_rows())})
        device.enrol_by_hand("http://127.0.0.1:1")
        self.assertEqual(device.run_to_the_end(), 0, device.said())
        self.assertEqual(device.indices(), list(range(600)))
        queue = device.queue()
        self.assertEqual(queue["waiting"], queue["seq_last"])


class Liar(http.server.ThreadingHTTPServer):
    """Answers every request with the next of its statuses, and nothing it says is signed by the server's key."""

    daemon_threads = True

    def __init__(self, statuses: list[int]):
        super().__init__(("127.0.0.1", 0), LyingAnswer)
        self.statuses, self.said, self.lock = statuses, [], threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def next_status(self, path: str) -> int:
        with self.lock:
            status = self.statuses[len(self.said) % len(self.statuses)]
            self.said.append((path, status))
            return status

    def told(self, path_part: str) -> set[int]:
        with self.lock:
            return {status for path, status in self.said if path_part in path}


class LyingAnswer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        package = self.path.rsplit("/", 1)[-1]
        status = self.server.next_status(self.path)
        # As near to the truth as somebody without the key can come: the right shape, a signature of zeros.
        kind = {200: "stored", 413: "refused", 410: "decommissioned"}[status]
        statement = {"kind": kind, "device_id": "-".join(package.split("-")[:2]), "subject": package, "sha256": "0" * 64, "code": "",
                     "store_generation": "g-1", "server_time": "2026-11-20T12:00:00.000Z", "key_id": "A" * 43,
                     "signature": base64.urlsafe_b64encode(bytes(64)).decode().rstrip("=")}
        body = json.dumps(statement).encode() if len(sent) % 2 else b"<html>Welcome to the hotel</html>"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_PATCH = do_HEAD = answer

    def log_message(self, *_) -> None:
        pass


class InBetween(unittest.TestCase):
    def test_an_unsigned_200_413_or_410_to_everything_makes_a_device_keep_its_packages(self):
        for status in (200, 413, 410):
            with self.subTest(status=status):
                liar = Liar([status])
                threading.Thread(target=liar.serve_forever, daemon=True).start()
                self.addCleanup(liar.server_close)
                self.addCleanup(liar.shutdown)
                device = Device.watching_a_scene(self, "rows", rate=100)
                device.enrol_by_hand(liar.url)
                device.start()
                device.wait_for(lambda: len([p for p, _ in liar.said if "packages" in p]) >= 10, "ten tries with a package")
                device.wait_for_frames(100)
                self.assertEqual(liar.told("packages"), {status})
                self.assertEqual(device.stop(), 0, device.said())
                queue = device.queue()
                self.assertGreaterEqual(queue["waiting"], 2)
                self.assertEqual((queue["waiting"], queue["acked"], queue["dead"]), (queue["seq_last"], 0, 0))
                device.verify_queue()
                sync = device.status()["sync"]
                self.assertEqual((sync["sent"], sync["refused"], sync["held"], sync["decommissioned"]), (0, 0, False, False))
                frames = device.status()["frames"]
                self.assertEqual(device.indices(), list(range(frames)), "and it never stopped answering")


class SmallDisk:
    """A disk of its own for a device's folder: a small tmpfs, filled and freed by the test."""

    def __init__(self, test: unittest.TestCase, size: str):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self.folder)], capture_output=True).returncode == 0
        if not mounted:
            test.skipTest("a small disk is made with mount, which asks for root")
        test.addCleanup(subprocess.run, ["umount", "-l", str(self.folder)], check=True)

    def fill(self) -> None:
        """Takes every byte that is left."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for piece in (65536, 4096, 1):
                try:
                    while True:
                        filler.write(bytes(piece))
                except OSError:
                    pass

    def free(self) -> None:
        (self.folder / "filler").unlink()


class FullDisk(unittest.TestCase):
    def test_a_full_disk_does_not_stop_the_answers_and_all_goes_on_when_space_is_freed(self):
        disk = SmallDisk(self, "8m")
        device = Device.watching_a_scene(self, "rows", rate=200, data=str(disk.folder / "data"))
        device.data = disk.folder / "data"
        device.start()
        device.wait_for_frames(200)
        device.wait_for(lambda: device.queue()["waiting"] >= 2, "packages")

        disk.fill()
        device.wait_for(lambda: device.lines_saying("No space left"), "the agent to notice")
        waiting = device.queue()["waiting"]
        drawn, answered = device.frames_drawn(), device.status()["frames"]

        def still_full() -> bool:
            disk.fill()  # Again and again: an agent gives back what it cannot finish writing.
            return device.frames_drawn() >= drawn + 800

        device.wait_for(still_full, "800 rows taken while the disk is full")
        queue = device.queue()
        self.assertLessEqual(queue["waiting"], waiting, "a full queue takes a new package for an old one at most")
        device.verify_queue()
        self.assertLess(len(list((device.data / "datalog").glob("*.jsonl"))), 3, "no litter of empty files")

        disk.free()
        device.wait_for(lambda: device.status().get("frames", 0) >= answered + 800, "the rows of the full time to be counted")
        device.wait_for(lambda: device.queue()["waiting"] > queue["waiting"], "the queue to grow again")
        self.assertEqual(device.stop(), 0, device.said())
        device.verify_queue()
        queue, said = device.queue(), device.status()["queue"]
        self.assertGreaterEqual(said["evicted"], queue["seq_last"] - queue["waiting"], "what had to go was counted")
        indices = device.indices()
        self.assertEqual(indices, list(range(indices[-1] + 1)), "the log waited in memory: every index, once, in order")
        self.assertEqual(device.status()["frames"], len(indices))
        self.assertEqual(device.status()["dropped"], 0)


if __name__ == "__main__":
    main()
