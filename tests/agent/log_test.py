"""What a device keeps of what it answered: the log in every format, pictures, figures, and how it is erased."""

import contextlib
import csv
import io
import json
import pathlib
import socket
import subprocess
import tempfile
import time
import unittest

from device import DONE, NOT_SO, STRENGTHS, WORKSHOP, Device, done, main, tinylcm


def answers(device: Device, *more) -> list[dict]:
    return [json.loads(line) for line in done("log", "cat", "--config", device.config, *more).splitlines()]


def recorded_rows(test: unittest.TestCase, **more) -> Device:
    return Device(test, WORKSHOP.sensor(), {"kind": "rows", "path": str(WORKSHOP.stream_of_rows())}, **more)


def recorded_frames(test: unittest.TestCase, **more) -> Device:
    return Device(test, WORKSHOP.camera(), {"kind": "camera", "path": str(WORKSHOP.stream_of_frames()),
                                            "frame_counter": "barcode"}, **more)


@contextlib.contextmanager
def small_disk(folder: pathlib.Path, size: str):
    """A tmpfs of that size; skips the test where this user may not mount one."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        raise unittest.SkipTest("a size-limited tmpfs is needed for a disk that is really full; this user may not mount one")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


class Formats(unittest.TestCase):
    def test_every_format_says_the_same_and_is_small(self):
        said = {}
        for name in ("jsonl", "csv", "binary"):
            with self.subTest(format=name):
                device = recorded_rows(self, datalog={"format": name})
                self.assertEqual(device.run_to_the_end(), 0, device.said())
                lines = answers(device)
                self.assertEqual([line["frame"] for line in lines], list(range(600)))
                said[name] = [(line["frame"], line["prediction"], line["confidence"], line["distance"]) for line in lines]
                files = list((device.data / "datalog").iterdir())
                self.assertLessEqual(len(files), 1)
                self.assertLessEqual(sum(file.stat().st_size for file in files), 600 * 500)  # .5 MB for 1,000
        self.assertEqual(said["jsonl"], said["csv"])
        self.assertEqual(said["jsonl"], said["binary"])

    def test_cat_filters_and_prints_csv_and_names_what_is_torn_and_what_is_corrupt(self):
        device = recorded_rows(self)
        self.assertEqual(device.run_to_the_end(), 0, device.said())
        everything = answers(device)
        label = everything[0]["prediction"]
        self.assertEqual(answers(device, "--label", label), [line for line in everything if line["prediction"] == label])
        self.assertEqual(answers(device, "--last", 5), everything[-5:])
        self.assertEqual(answers(device, "--below-confidence", 0.9), [line for line in everything if line["confidence"] < 0.9])
        self.assertEqual(answers(device, "--since", "1h"), everything)
        self.assertEqual(answers(device, "--until", "2020-01-01T00:00:00.000Z"), [])
        rows = list(csv.DictReader(io.StringIO(done("log", "cat", "--config", device.config, "--format", "csv"))))
        self.assertEqual([row["index"] for row in rows], [str(line["index"]) for line in everything])

        file = next((device.data / "datalog").iterdir())
        whole = file.read_bytes()
        file.write_bytes(whole[:-7])
        torn = tinylcm("log", "cat", file)
        self.assertEqual(torn.returncode, DONE, "what a kill leaves is no fault")
        self.assertEqual(len(torn.stdout.splitlines()), 599)
        self.assertIn(f"{file}: ", torn.stderr)
        self.assertIn("bytes at the end are torn", torn.stderr)
        second = whole.index(b"\n") + 1
        file.write_bytes(whole[: second + 10] + b"\0" * 20 + whole[second + 30 :])
        corrupt = tinylcm("log", "cat", file)
        self.assertEqual(corrupt.returncode, NOT_SO)
        self.assertIn("are corrupt", corrupt.stderr)
        listed = json.loads(tinylcm("log", "ls", "--config", device.config, "--json").stdout)
        self.assertEqual(listed["answers"], 599, "only the line that was hit")
        self.assertIn("corrupt", listed["files"][0]["damage"])

    def test_a_kill_costs_at_most_a_second_of_the_log(self):
        device = Device.watching_a_scene(self, "rows", rate=200, datalog={"format": "binary"}).start()
        device.wait_for_frames(400)
        killed_at = time.time()
        device.kill()
        last = answers(device)[-1]
        written = time.mktime(time.strptime(last["at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone + float(last["at"][19:23])
        # A second, a tick of the main thread, and what a busy machine adds.
        self.assertLess(killed_at - written, 1.5)


class FullDisk(unittest.TestCase):
    def test_the_agent_goes_on_counts_what_it_drops_and_logs_again_when_there_is_room(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        with small_disk(folder / "data" / "datalog", "64k"):
            (folder / "data").chmod(0o700)
            device = Device.watching_a_scene(self, "rows", rate=400, datalog={"format": "jsonl"})
            config = json.loads(device.config.read_text())
            config["data"], device.data = str(folder / "data"), folder / "data"
            device.config.write_text(json.dumps(config))
            device.start()
            device.wait_for(lambda: device.status().get("log", {}).get("last_error"), "the disk to be full")
            self.assertEqual(len(device.lines_saying("No space left")), 1, "said once, not every second")
            frames = device.status()["frames"]
            device.wait_for_frames(frames + 200)
            before = len(answers(device))
            subprocess.run(["mount", "-o", "remount,size=8m", device.data / "datalog"], check=True)
            device.wait_for(lambda: not device.status()["log"]["last_error"], "room again")
            device.wait_for(lambda: len(answers(device)) > before, "new lines")
            self.assertEqual(device.stop(), 0, device.said())
            indices = [line["index"] for line in answers(device)]
            dropped = device.status()["log_dropped"]
            self.assertEqual(len(indices) + dropped, device.status()["frames"], "each answer is logged or counted")
            self.assertEqual(indices, sorted(set(indices)))
            listed = json.loads(done("log", "ls", "--config", device.config, "--json"))
            self.assertEqual([file["damage"] for file in listed["files"]], [""])


class Pictures(unittest.TestCase):
    EVERY_FIFTH = {"images": {"every": 5}}

    def test_sampled_pictures_lie_in_one_file_and_come_out_as_jpegs(self):
        device = recorded_frames(self, datalog=self.EVERY_FIFTH)
        self.assertEqual(device.run_to_the_end(), 0, device.said())
        self.assertEqual(len(list((device.data / "datalog").iterdir())), 2, "one of lines, one of pictures")
        out = device.folder / "out"
        self.assertIn("pictures", done("log", "images", "--config", device.config, "--out", out))
        names = sorted(path.name for path in out.iterdir())
        status = device.status()["log"]
        # The recording is read as fast as it can be: what the four buffers had no room for is counted.
        self.assertEqual(len(names) + status["not_taken_pictures"], 12)
        self.assertGreaterEqual(len(names), 4)
        self.assertEqual(names[0], "000000000000_every.jpg")
        for path in out.iterdir():
            self.assertTrue(path.read_bytes().startswith(b"\xff\xd8\xff"))
        tar = next((device.data / "datalog").glob("*.tar"))
        listed = subprocess.run(["tar", "tf", tar], capture_output=True, text=True, check=True).stdout.split()
        self.assertEqual(sorted(listed), names, "any tar reads them")

    def types_of_packages(self, device: Device) -> list[str]:
        return [package["type"] for package in device.queue()["packages"]]

    def test_pictures_leave_only_with_consent(self):
        silent = recorded_frames(self, datalog=self.EVERY_FIFTH)
        self.assertEqual(silent.run_to_the_end(), 0, silent.said())
        self.assertNotIn("prediction_images", self.types_of_packages(silent))
        asked = recorded_frames(self, datalog=self.EVERY_FIFTH, consent={"images": True})
        self.assertEqual(asked.run_to_the_end(), 0, asked.said())
        self.assertEqual(self.types_of_packages(asked).count("prediction_images"), 1)
        asked.verify_queue()

    def test_what_is_masked_is_black_in_the_quarantine_too(self):
        everything = {"x": 0, "y": 0, "width": 1, "height": 1}
        device = Device.watching_a_scene(self, "camera", rate=150, datalog={"images": {"masks": [everything]}}).start()
        device.wait_for_frames(400)  # 300 commission the live reference.
        device.show(light=STRENGTHS["light"], dirt=STRENGTHS["dirt"])
        samples = device.data / "lifecycle" / "quarantine" / "samples.tlq"

        def pictures() -> list[bytes]:
            pieces = samples.read_bytes().split(b"\xff\xd8\xff")[1:]
            return [piece[: piece.index(b"\xff\xd9")] for piece in pieces if b"\xff\xd9" in piece]

        device.wait_for(lambda: len(pictures()) >= 5, "pictures in the quarantine")
        self.assertEqual(len(set(pictures())), 1, "one black picture is like another; what the scene drew is not")

    def test_erase_waits_for_the_agent_to_stop_and_removes_what_it_says(self):
        device = Device.watching_a_scene(self, "camera", rate=50, datalog=self.EVERY_FIFTH, consent={"images": True}).start()
        device.wait_for(lambda: device.status().get("log", {}).get("pictures", 0) > 3, "pictures")
        refused = tinylcm("erase", "--config", device.config, "--all")
        self.assertEqual(refused.returncode, NOT_SO)
        self.assertIn("stop the agent first", refused.stderr)
        self.assertEqual(device.stop(), 0, device.said())
        self.assertIn("prediction_images", self.types_of_packages(device))
        lines = len(answers(device))

        done("erase", "--config", device.config, "--images")
        self.assertEqual(list((device.data / "datalog").glob("*.tar")), [])
        self.assertNotIn("prediction_images", self.types_of_packages(device))
        self.assertIn("metrics", self.types_of_packages(device))
        self.assertEqual(len(answers(device)), lines, "the lines stay")
        done("erase", "--config", device.config, "--log")
        self.assertEqual(answers(device), [])
        self.assertIn("metrics", self.types_of_packages(device))
        done("erase", "--config", device.config, "--all")
        self.assertEqual(self.types_of_packages(device), [])
        device.start()
        device.wait_for_frames(20)
        self.assertEqual(device.stop(), 0, device.said())


class Figures(unittest.TestCase):
    def ask(self, path: pathlib.Path) -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(path))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: device\r\n\r\n")
            answer = b""
            while part := client.recv(65536):
                answer += part
        head, _, body = answer.decode().partition("\r\n\r\n")
        self.assertIn(" 200 ", head.splitlines()[0])
        return body

    def test_the_socket_answers_the_files_are_written_and_the_place_is_told(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        device = Device.watching_a_scene(self, "rows", rate=200, location={"latitude": 52.5, "longitude": 13.4, "accuracy_m": 20},
                                         metrics={"socket": str(folder / "s"), "json": str(folder / "m.json"),
                                                  "csv": str(folder / "m.csv")}).start()
        device.wait_for_frames(50)
        samples = dict(line.rsplit(" ", 1) for line in self.ask(folder / "s").splitlines() if not line.startswith("#"))
        self.assertGreaterEqual(float(samples["tinylcm_frames_total"]), 50)
        self.assertGreater(float(samples['tinylcm_frame_seconds{stage="total",quantile="0.5"}']), 0)
        self.assertGreater(float(samples["tinylcm_resident_memory_bytes"]), 1e6)
        place = device.status()["location"]
        self.assertEqual((place["latitude"], place["longitude"], place["accuracy_m"], place["source"]), (52.5, 13.4, 20, "configured"))
        self.assertEqual(device.stop(), 0, device.said())
        self.assertFalse((folder / "s").exists())
        figures = json.loads((folder / "m.json").read_text())
        self.assertEqual(figures["location"]["age_ms"], 0)
        self.assertEqual(figures["frames"], device.status()["frames"])
        row = list(csv.DictReader(io.StringIO((folder / "m.csv").read_text())))[-1]
        self.assertEqual(row["frames"], str(figures["frames"]))

    def test_a_device_nobody_told_has_no_place(self):
        device = recorded_rows(self)
        self.assertEqual(device.run_to_the_end(), 0, device.said())
        self.assertIsNone(device.status()["location"])


if __name__ == "__main__":
    main()
