"""Bad frames and rows are counted, named and passed over; wrong words on the command line are named too."""

import json
import pathlib
import tempfile
import unittest

from device import WORKSHOP, WRONG_USE, Device, main, tinylcm


def pictures_of(stream: bytes) -> list[bytes]:
    """The JPEGs of an MJPEG stream: each begins with SOI and an APP0 or DQT marker."""
    starts = [i for i in range(len(stream) - 2) if stream[i : i + 3] == b"\xff\xd8\xff"]
    return [stream[a:b] for a, b in zip(starts, starts[1:] + [len(stream)])]


def grey_picture(width: int, height: int) -> bytes:
    """The smallest baseline JPEG: one component, every 8x8 block a constant middle grey."""
    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content

    one_code = bytes([1] + [0] * 15 + [0])  # The single code "0", which means 0: no difference, or end of block.
    blocks = (width // 8) * (height // 8)
    bits = "00" * blocks  # A DC difference of nothing, then the end of the block.
    bits += "1" * (-len(bits) % 8)
    scan = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\x00")
    return (b"\xff\xd8" + segment(0xDB, b"\0" + bytes([16] * 64)) +
            segment(0xC0, bytes([8]) + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([1, 1, 0x11, 0])) +
            segment(0xC4, b"\x00" + one_code) + segment(0xC4, b"\x10" + one_code) +
            segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + scan + b"\xff\xd9")


class BadFrames(unittest.TestCase):
    def run_with(self, stream: bytes) -> Device:
        pipe = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / "camera.mjpeg"
        pipe.write_bytes(stream)
        device = Device(self, WORKSHOP.camera(), {"kind": "camera", "path": str(pipe), "frame_counter": "barcode"})
        self.assertEqual(device.run_to_the_end(), 0, device.said())
        return device

    def test_a_corrupt_jpeg_in_the_pipe_is_skipped_named_once_and_the_agent_goes_on(self):
        pictures = pictures_of(WORKSHOP.stream_of_frames().read_bytes())
        self.assertEqual(len(pictures), 60)
        broken = bytearray(pictures[20])
        tables = broken.index(b"\xff\xc4")
        broken[tables + 5 : tables + 21] = b"\xfe" * 16  # A Huffman table with more codes than there are.
        pictures[20] = bytes(broken)
        device = self.run_with(b"".join(pictures))
        self.assertEqual(device.status()["skipped"], 1)
        self.assertEqual(device.status()["frames"], 59)
        self.assertEqual(len(device.lines_saying("skipped:")), 1, device.said())
        self.assertEqual([line["frame"] for line in device.log_lines()], [*range(20), *range(21, 60)])

    def test_a_jpeg_cut_short_is_skipped_and_the_next_one_is_whole(self):
        pictures = pictures_of(WORKSHOP.stream_of_frames().read_bytes())
        pictures[20] = pictures[20][: len(pictures[20]) // 2]
        device = self.run_with(b"".join(pictures))
        self.assertEqual(device.status()["skipped"], 1)
        self.assertEqual(len(device.lines_saying("skipped:")), 1, device.said())
        self.assertEqual([line["frame"] for line in device.log_lines()], [*range(20), *range(21, 60)])

    def test_a_frame_of_another_size_is_skipped_and_both_sizes_are_named(self):
        pictures = pictures_of(WORKSHOP.stream_of_frames().read_bytes())
        pictures[20] = grey_picture(80, 64)  # As of a camera that was set up otherwise.
        device = self.run_with(b"".join(pictures))
        self.assertEqual(device.status()["skipped"], 1)
        named = device.lines_saying("skipped:")
        self.assertEqual(len(named), 1, device.said())
        self.assertIn("80x64", named[0])
        self.assertIn("160x120", named[0])
        self.assertEqual([line["frame"] for line in device.log_lines()], [*range(20), *range(21, 60)])


class BadRows(unittest.TestCase):
    def run_with(self, line: int, column: str, value: str) -> Device:
        """The recorded rows with one field replaced; lines are counted as an editor does, the header is 1."""
        lines = WORKSHOP.stream_of_rows().read_text().splitlines()
        fields = lines[line - 1].split(",")
        fields[lines[0].split(",").index(column)] = value
        lines[line - 1] = ",".join(fields)
        path = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / "array.csv"
        path.write_text("\n".join(lines) + "\n")
        device = Device(self, WORKSHOP.sensor(), {"kind": "rows", "path": str(path)})
        self.assertEqual(device.run_to_the_end(), 0, device.said())
        return device

    def test_a_field_that_is_no_finite_number_is_skipped_naming_line_and_field(self):
        for value in ("NaN", "inf", "", "4.2V"):
            with self.subTest(value=value):
                device = self.run_with(line=102, column="ch17", value=value)
                self.assertEqual(device.status()["skipped"], 1)
                self.assertEqual(device.status()["frames"], 599)
                named = device.lines_saying("skipped:")
                self.assertEqual(len(named), 1, device.said())
                self.assertIn("array.csv:102", named[0])
                self.assertIn("ch17", named[0])
                # Line 102 is the row of sequence number 100.
                self.assertEqual([line["frame"] for line in device.log_lines()], [*range(100), *range(101, 600)])


class WrongConfiguration(unittest.TestCase):
    GOOD = {"name": "shed", "data": "/nowhere/data", "bundle": "/nowhere/bundle", "source": {"kind": "rows", "path": "-"}}

    def said_of(self, content: str) -> str:
        path = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / "agent.json"
        path.write_text(content)
        result = tinylcm("run", "--config", path)
        self.assertEqual(result.returncode, WRONG_USE, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertIn(str(path), result.stderr)
        return result.stderr

    def test_it_ends_with_2_and_one_line_that_names_file_and_field(self):
        wrong = {
            "name": {"name": 7},
            "sorce": {"sorce": {}},
            "source.kind": {"source": {"kind": "radar", "path": "-"}},
            "source.command": {"source": {"kind": "rows"}},
            "source.fps": {"source": {"kind": "rows", "path": "-", "fps": 5}},
            "mode": {"mode": "careless"},
            "drift.false_alarm_every": {"drift": {"false_alarm_every": 3}},
            "drift.samples_per_second": {"drift": {"false_alarm_every": "30d"}},
            "quarantine.samples": {"quarantine": {"samples": 1}},
            "sync.interval": {"sync": {"interval": "soon"}},
            "sync.format": {"sync": {"format": "rar"}},
            "sync.quota": {"sync": {"quota": "a lot"}},
            "datalog.every": {"datalog": {"every": -1}},
            "consent.images": {"consent": {"images": "yes"}},
            "seed": {"seed": 1.5},
        }
        for field, change in wrong.items():
            with self.subTest(field=field):
                self.assertIn(field, self.said_of(json.dumps({**self.GOOD, **change})))
        for field in ("name", "data", "bundle", "source"):
            with self.subTest(missing=field):
                without = {key: value for key, value in self.GOOD.items() if key != field}
                self.assertIn(field, self.said_of(json.dumps(without)))

    def test_a_file_that_is_no_json_or_is_not_there_is_named(self):
        self.said_of('{"name": "shed",')
        result = tinylcm("run", "--config", "/nowhere/agent.json")
        self.assertEqual(result.returncode, WRONG_USE)
        self.assertEqual(result.stderr.splitlines(), ["tinylcm: /nowhere/agent.json: no such file"])


if __name__ == "__main__":
    main()
