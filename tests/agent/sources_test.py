"""Where samples come from: raw pictures, a camera that falls silent, a watched folder, rows seen through a window."""

import json
import math
import pathlib
import random
import shutil
import tempfile
import unittest

from device import WORKSHOP, Device, done, main


def folder() -> pathlib.Path:
    return pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))


def pictures_of(stream: bytes) -> list[bytes]:
    starts = [i for i in range(len(stream) - 2) if stream[i : i + 3] == b"\xff\xd8\xff"]
    return [stream[a:b] for a, b in zip(starts, starts[1:] + [len(stream)])]


class RawPictures(unittest.TestCase):
    def test_of_a_file_are_cut_at_their_size_and_a_torn_last_one_is_named(self):
        raw = folder() / "frames.rgb"
        random.seed(5)
        raw.write_bytes(random.randbytes(20 * 160 * 120 * 3 + 1000))
        device = Device(self, WORKSHOP.camera(), {"kind": "camera", "path": str(raw), "format": "rgb24", "width": 160, "height": 120})
        self.assertEqual(device.run_to_the_end(), 0, device.said())
        self.assertEqual((device.status()["frames"], device.status()["skipped"]), (20, 1))
        self.assertIn("1000 of 57600 bytes", device.lines_saying("skipped:")[0])

    def test_without_a_size_are_refused_naming_what_is_missing(self):
        device = Device(self, WORKSHOP.camera(), {"kind": "camera", "command": "cat", "format": "gray8"})
        self.assertNotEqual(device.run_to_the_end(), 0)
        self.assertIn("source.width and source.height", device.said())

    @unittest.skipUnless(shutil.which("ffmpeg"), "ffmpeg is not installed")
    def test_of_ffmpeg_are_answered_as_the_jpegs_they_were(self):
        stream = WORKSHOP.stream_of_frames()
        said = {}
        for form in ("mjpeg", "rgb24", "bgr24", "yuv420"):
            pixels = {"yuv420": "yuv420p"}.get(form, form)
            source = {"kind": "camera", "path": str(stream), "frame_counter": "barcode"}
            if form != "mjpeg":
                source = {"kind": "camera", "format": form, "width": 160, "height": 120,
                          "frame_counter": "barcode", "command": f"ffmpeg -loglevel error -f mjpeg -i {stream} -pix_fmt {pixels} -f rawvideo - && sleep 600"}
            device = Device(self, WORKSHOP.camera(), source)
            if form == "mjpeg":
                self.assertEqual(device.run_to_the_end(), 0, device.said())
            else:
                device.start()
                device.wait_for_frames(20)  # A live source leaves out what comes too fast.
                self.assertEqual(device.stop(), 0, device.said())
            said[form] = {line["frame"]: line["prediction"] for line in device.log_lines()}
            self.assertEqual(device.status()["skipped"], 0, device.said())
        # The number drawn into each frame says which is which. ffmpeg decodes a JPEG a little otherwise, so a close call may differ;
        # a frame cut at the wrong place would differ everywhere.
        for form in ("rgb24", "bgr24", "yuv420"):
            self.assertGreaterEqual(len(said[form]), 20, form)
            alike = sum(said["mjpeg"][frame] == answer for frame, answer in said[form].items())
            self.assertGreaterEqual(alike, 0.9 * len(said[form]), form)


class SilentCamera(unittest.TestCase):
    def test_is_ended_started_again_and_counted_while_the_agent_goes_on(self):
        stream = WORKSHOP.stream_of_frames()
        device = Device(self, WORKSHOP.camera(), {"kind": "camera", "command": f"cat {stream}; exec sleep 600",
                                                 "stall_timeout": "200ms", "frame_counter": "barcode"}).start()
        device.wait_for(lambda: device.status().get("source_stalls", 0) >= 2, "two stalls")
        device.wait_for(lambda: device.status().get("source_restarts", 0) >= 2, "two new starts")
        self.assertEqual(device.stop(), 0, device.said())
        # It spoke each time, so each time it is the first try after the shortest pause.
        named = device.lines_saying("gave nothing for 200ms and was ended; starting again in 500ms, try 1")
        self.assertGreaterEqual(len(named), 2, device.said())
        self.assertIn("sleep 600", named[0])


class WatchedFolder(unittest.TestCase):
    def test_gives_what_is_there_and_then_what_comes(self):
        pictures = pictures_of(WORKSHOP.stream_of_frames().read_bytes())
        inbox = folder()
        for i in range(3):
            (inbox / f"{i}.jpg").write_bytes(pictures[i])
        device = Device(self, WORKSHOP.camera(), {"kind": "images", "path": str(inbox), "watch": True, "frame_counter": "barcode"})
        device.start()
        device.wait_for_frames(3)
        (inbox / "notes.txt").write_text("no picture")
        (inbox / "late.tmp").write_bytes(pictures[3])
        (inbox / "late.tmp").rename(inbox / "late.jpg")
        (inbox / "broken.jpg").write_bytes(pictures[4][: len(pictures[4]) // 2])
        (inbox / "last.jpg").write_bytes(pictures[5])
        device.wait_for_frames(5)
        self.assertEqual(device.stop(), 0, device.said())
        self.assertEqual([line["frame"] for line in device.log_lines()], [0, 1, 2, 3, 5])
        self.assertEqual(device.status()["skipped"], 2, device.said())

    def test_a_single_picture_is_a_folder_of_one(self):
        picture = folder() / "one.jpg"
        picture.write_bytes(pictures_of(WORKSHOP.stream_of_frames().read_bytes())[0])
        said = json.loads(done("replay", "--bundle", WORKSHOP.camera(), "--images", picture))
        self.assertEqual((said["rows"], said["skipped"]), (1, 0))


class Windows(unittest.TestCase):
    RATE = 50

    def record(self, path: pathlib.Path, segments: int, seed: int) -> None:
        """An accelerometer: sitting does not move, walking is 2 Hz, shaking 6 Hz and no harder."""
        draw = random.Random(seed)
        activities = {"sitting": (1.0, 0.0), "walking": (2.0, 1.0), "shaking": (6.0, 1.0)}
        turn = 0.0
        lines = ["x,y,z,activity"]
        for _ in range(segments):
            name = draw.choice(sorted(activities))
            hertz, force = activities[name]
            for _ in range(640):
                turn += 2 * math.pi * hertz / self.RATE
                lines.append(",".join(f"{force * math.sin(turn + phase) + draw.gauss(0, 0.2):.4f}" for phase in (0, 1, 2)) + f",{name}")
        path.write_text("\n".join(lines) + "\n")

    def test_an_accelerometer_is_fitted_and_replayed_without_writing_code(self):
        place = folder()
        self.record(place / "train.csv", 40, seed=1)
        self.record(place / "later.csv", 40, seed=2)
        done("fit", "--rows", place / "train.csv", "--label-column", "activity", "--standardise", "--out", place / "bundle",
             "--window", 128, "--window-step", 64, "--sample-rate", self.RATE, "--window-bands", "0.5-1.5,1.5-5,5-15", "--seed", 1)
        config = json.loads((place / "bundle" / "config.json").read_text())
        self.assertEqual(len(config["channels"]), 3 * (5 + 3))
        self.assertIn("x.band_1.5_5", config["channels"])
        said = json.loads(done("replay", "--bundle", place / "bundle", "--rows", place / "later.csv", "--label-column", "activity",
                               "--predictions", place / "said.csv"))
        self.assertEqual((said["rows"], said["skipped"]), (40 * 640, 0))
        answers = (place / "said.csv").read_text().splitlines()[1:]
        self.assertEqual(len(answers), (40 * 640 - 128) // 64 + 1)
        self.assertGreater(said["accuracy"], 0.95, said)

    def test_a_row_at_a_time_could_not_tell_them_apart(self):
        place = folder()
        self.record(place / "train.csv", 12, seed=1)
        self.record(place / "later.csv", 12, seed=2)
        done("fit", "--rows", place / "train.csv", "--label-column", "activity", "--standardise", "--out", place / "bundle", "--seed", 1)
        said = json.loads(done("replay", "--bundle", place / "bundle", "--rows", place / "later.csv", "--label-column", "activity"))
        self.assertLess(said["accuracy"], 0.9, said)


if __name__ == "__main__":
    main()
