"""Verbs that only compute: `replay` and `detect`."""

import json
import pathlib
import tempfile
import unittest

from device import WORKSHOP, WRONG_USE, done, main, scene, tinylcm


class Replay(unittest.TestCase):
    def summary(self, *arguments, seed: int) -> dict:
        said = json.loads(done("replay", *arguments, "--seed", seed))
        said.pop("us_per_row")  # Timings are the machine's.
        return said

    def test_gives_the_same_summary_twice_for_one_seed(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        # 500 calm rows, then an aged block: there is an alarm, labels are asked for and change what is served.
        for name, aged in (("calm.csv", 0), ("aged.csv", 1)):
            scene("rows", "--pool", "A", "--seed", 3, "--frames", 800, "--aged", aged, "--truth", folder / f"{name}.truth",
                  "--out", folder / name)
        rows = folder / "recorded.csv"
        truth = {}
        lines = []
        for name, first, last in (("calm.csv", 0, 500), ("aged.csv", 500, 800)):
            drawn = (folder / name).read_text().splitlines()
            said = (folder / f"{name}.truth").read_text().splitlines()
            column = said[0].split(",").index("label")
            truth = [line.split(",")[column] for line in said[1:]]
            lines = lines or [drawn[0] + ",label"]
            lines += [f"{line},{label}" for line, label in list(zip(drawn[1:], truth))[first:last]]
        rows.write_text("\n".join(lines) + "\n")
        arguments = ["--bundle", WORKSHOP.sensor(), "--rows", rows, "--label-column", "label", "--mode", "autonomous",
                     "--labels-per-event", 24]
        first = self.summary(*arguments, seed=5)
        self.assertEqual(first["rows"], 800)
        self.assertGreaterEqual(len(first["alarms"]), 1, first)
        self.assertGreaterEqual(first["alarms"][0]["row"], 500, first)
        self.assertEqual(self.summary(*arguments, seed=5), first)

    def test_of_a_camera_gives_the_same_summary_twice(self):
        arguments = ["--bundle", WORKSHOP.camera(), "--mjpeg", WORKSHOP.stream_of_frames()]
        first = self.summary(*arguments, seed=5)
        self.assertEqual(first["rows"], 60)
        self.assertEqual(self.summary(*arguments, seed=5), first)


class Detect(unittest.TestCase):
    # With mean 0, sd 1, k .5 a value of 3 adds 2.5: h 5 is passed by the third, 7.5 (the second makes just 5).
    CUSUM = ["detect", "--detector", "cusum", "--option", "k=0.5", "--option", "h=5"]

    def test_prints_the_index_of_each_drift_counted_from_zero(self):
        self.assertEqual(done(*self.CUSUM, stdin="3\n3\n3\n").split(), ["2"])
        # It starts afresh after each: three more.
        self.assertEqual(done(*self.CUSUM, stdin="0\n" * 10 + "3\n" * 6).split(), ["12", "15"])
        self.assertEqual(done(*self.CUSUM, stdin="0\n" * 100), "")

    def test_passes_over_an_empty_line_without_counting_it(self):
        self.assertEqual(done(*self.CUSUM, stdin="3\n\n3\n3\n").split(), ["2"])

    def test_refuses_what_is_no_number_naming_its_line(self):
        for bad in ("abc", "nan", "inf", "1,5", "0x10"):
            with self.subTest(value=bad):
                result = tinylcm(*self.CUSUM, stdin=f"0\n0\n{bad}\n0\n")
                self.assertEqual(result.returncode, WRONG_USE)
                self.assertEqual(len(result.stderr.splitlines()), 1)
                self.assertIn("stdin:3:", result.stderr)
                self.assertIn(f'"{bad}"', result.stderr)


if __name__ == "__main__":
    main()
