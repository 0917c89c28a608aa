"""Rows come in by any door: a file, standard input, as CSV or as JSON lines, and are answered alike."""

import json
import pathlib
import tempfile
import unittest

from device import WORKSHOP, Device, main


def as_json_lines(csv: str) -> str:
    """The same rows: {"seq": 7, "row": [..]} a line."""
    header, *lines = csv.splitlines()
    assert header.split(",")[0] == "seq"
    rows = ([*map(float, line.split(","))] for line in lines)
    return "".join(json.dumps({"seq": int(seq), "row": row}) + "\n" for seq, *row in rows)


class Rows(unittest.TestCase):
    def said_of(self, source: dict, text: str | None = None) -> list[tuple]:
        """Runs an agent to the end of its rows; gives what it logged of each."""
        device = Device(self, WORKSHOP.sensor(), source)
        stdin = None
        if text is not None:
            stdin = device.folder / "stdin"
            stdin.write_text(text)
        self.assertEqual(device.run_to_the_end(stdin), 0, device.said())
        return [(line["frame"], line["prediction"], line["confidence"], line["distance"]) for line in device.log_lines()]

    def test_file_stdin_csv_and_json_lines_are_answered_alike(self):
        csv = WORKSHOP.stream_of_rows().read_text()
        lines = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / "stream.jsonl"
        lines.write_text(as_json_lines(csv))
        usual = self.said_of({"kind": "rows", "path": str(WORKSHOP.stream_of_rows())})
        self.assertEqual([frame for frame, *_ in usual], list(range(600)))
        self.assertEqual(self.said_of({"kind": "rows", "path": "-"}, csv), usual)
        self.assertEqual(self.said_of({"kind": "jsonl", "path": str(lines)}), usual)
        self.assertEqual(self.said_of({"kind": "jsonl", "path": "-"}, lines.read_text()), usual)

    def test_a_bad_json_line_is_skipped_naming_line_and_fault(self):
        lines = as_json_lines(WORKSHOP.stream_of_rows().read_text()).splitlines()
        whole = json.loads(lines[9])
        for bad in ('{"seq": 9, "row": [1, 2', '[1, 2, "three"]', json.dumps({**whole, "row": whole["row"][:-1]}), "7"):
            with self.subTest(bad=bad[:30]):
                device = Device(self, WORKSHOP.sensor(), {"kind": "jsonl", "path": "-"})
                stdin = device.folder / "stdin"
                stdin.write_text("\n".join([*lines[:9], bad, *lines[10:60]]) + "\n")
                self.assertEqual(device.run_to_the_end(stdin), 0, device.said())
                self.assertEqual((device.status()["frames"], device.status()["skipped"]), (59, 1))
                named = device.lines_saying("skipped:")
                self.assertEqual(len(named), 1, device.said())
                self.assertEqual([line["frame"] for line in device.log_lines()], [*range(9), *range(10, 60)])


if __name__ == "__main__":
    main()
