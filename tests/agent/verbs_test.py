"""Verbs that only compute: `replay`, `detect`, `run-length` and `evaluate`."""

import json
import pathlib
import tempfile
import unittest

from device import NOT_SO, WORKSHOP, WRONG_USE, done, main, scene, tinylcm


class Replay(unittest.TestCase):
    def summary(self, *arguments, seed: int) -> dict:
        said = json.loads(done("replay", *arguments, "--seed", seed))
        said.pop("us_per_row")  # Timings are the machine's.
        return said

    def test_gives_the_same_summary_twice_for_one_seed(self):
        # There is an alarm, labels are asked for and change what is served.
        rows = self.recorded(first_of_drift=500, rows=800)
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


    def recorded(self, first_of_drift: int, rows: int) -> pathlib.Path:
        """Calm rows with their truth in `label`, from `first_of_drift` on of a sensor that has aged."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        lines = []
        for name, aged, first, last in (("calm", 0, 0, first_of_drift), ("aged", 1, first_of_drift, rows)):
            scene("rows", "--pool", "A", "--seed", 3, "--frames", rows, "--aged", aged, "--truth", folder / f"{name}.truth",
                  "--out", folder / name)
            drawn = (folder / name).read_text().splitlines()
            said = (folder / f"{name}.truth").read_text().splitlines()
            column = said[0].split(",").index("label")
            lines = lines or [drawn[0] + ",label"]
            truth = [line.split(",")[column] for line in said[1:]]
            lines += [f"{line},{label}" for line, label in list(zip(drawn[1:], truth))[first:last]]
        rows_file = folder / "recorded.csv"
        rows_file.write_text("\n".join(lines) + "\n")
        return rows_file

    def refused(self, *arguments) -> str:
        result = tinylcm("replay", *arguments)
        self.assertEqual(result.returncode, WRONG_USE, result)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        return result.stderr

    def test_writes_an_event_though_the_stream_ends_before_labels_are_asked(self):
        rows = self.recorded(first_of_drift=500, rows=700)
        events = rows.with_name("events.jsonl")
        said = self.summary("--bundle", WORKSHOP.sensor(), "--rows", rows, "--label-column", "label", "--events", events, seed=5)
        self.assertEqual(len(said["alarms"]), 1, said)
        (event,) = map(json.loads, events.read_text().splitlines())
        self.assertEqual(event["kind"], said["alarms"][0]["kind"])
        self.assertNotEqual(event["kind"], "unknown")
        self.assertGreaterEqual(event["sample_index"], 500)
        self.assertEqual(len(set(event["samples"])), 5, event)

    def test_takes_no_stream_for_a_success_of_which_nothing_could_be_used(self):
        bundle = ["--bundle", WORKSHOP.sensor()]
        stream = WORKSHOP.stream_of_rows()
        self.assertIn("nosuch", self.refused(*bundle, "--rows", stream, "--label-column", "nosuch"))
        folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        lines = stream.read_text().splitlines()
        for name, text in (("narrow", "\n".join(line.rsplit(",", 1)[0] for line in lines)), ("empty", ""), ("header", lines[0] + "\n")):
            with self.subTest(name=name):
                (folder / name).write_text(text)
                self.refused(*bundle, "--rows", folder / name)
        # A bad row among good ones is passed over, also where it is the first.
        (folder / "mixed").write_text("\n".join([lines[0], "x" + lines[1], "x" + lines[2], *lines[3:53], "x" + lines[53]]))
        result = tinylcm("replay", *bundle, "--rows", folder / "mixed")
        self.assertEqual(json.loads(result.stdout)["skipped"], 3)
        warnings = result.stderr.splitlines()
        self.assertEqual(len(warnings), 3, warnings)
        self.assertIn("1 more before the first row", warnings[1])

    def test_says_what_is_wrong_before_it_runs(self):
        usual = ["--bundle", WORKSHOP.sensor(), "--rows", WORKSHOP.stream_of_rows()]
        for value in ("0", "1", "-5", "1e13", "nan"):
            self.assertIn("--false-alarm-every must be 10 to 1e12", self.refused(*usual, "--false-alarm-every", value))
        for value in (-1, 10_001):
            self.assertIn("--labels-per-event must be 0 to 10000", self.refused(*usual, "--labels-per-event", value))
        # Of an empty stream: this is told first.
        nothing = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / "nothing.csv"
        nothing.write_text("")
        for option in ("--events", "--predictions"):
            said = self.refused(*usual[:2], "--rows", nothing, option, "/no/such/file")
            self.assertIn(option, said)
            self.assertIn("/no/such/file", said)
        self.assertIn("/no/such", self.refused(*usual[:2], "--rows", "/no/such"))
        self.assertIn("/no/such", self.refused("--bundle", "/no/such", *usual[2:]))


class Verbs(unittest.TestCase):
    def test_a_mistyped_data_folder_is_no_healthy_device(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        config = folder / "agent.json"
        config.write_text(json.dumps({"name": "pi", "data": str(folder / "tinylmc"), "bundle": str(folder),
                                      "source": {"kind": "rows", "path": "rows.csv"}}))
        for verb in (["state", "ls"], ["queue", "ls"], ["log", "cat"], ["report"]):
            result = tinylcm(*verb, "--config", config)
            self.assertEqual(result.returncode, NOT_SO, result)
            self.assertEqual(result.stderr, f"tinylcm: {config}: data: {folder}/tinylmc: no device has kept anything there\n")

    def test_one_that_is_not_there_is_named(self):
        for arguments, word in ((["detekt"], "detekt"), (["detekt", "--json"], "detekt"), (["bundle", "mak"], "mak")):
            result = tinylcm(*arguments)
            self.assertEqual((result.returncode, result.stderr), (WRONG_USE, f'tinylcm: no verb "{word}" (try --help)\n'))
        # Where a verb is there, its own fault is named.
        self.assertIn("--bundle", tinylcm("replay", "--rows", "x").stderr)
        self.assertIn("subcommand", tinylcm().stderr)


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


class RunLength(unittest.TestCase):
    def test_says_how_often_a_setting_alarms_by_chance(self):
        said = json.loads(done("run-length", "--detector", "cusum", "--option", "h=5", "--json"))
        self.assertEqual(said["limit"], {"option": "h", "value": 5.0})
        self.assertAlmostEqual(said["run_length"]["mean"], 930.887, places=3)  # spc: xcusum.arl(.5, 5, 0)
        self.assertTrue(said["run_length"]["exact"])
        self.assertIn("930.9 values between false alarms (exact)", done("run-length", "--detector", "cusum", "--option", "h=5"))

    def test_solves_the_limit_for_a_run_length(self):
        said = json.loads(done("run-length", "--detector", "ewma", "--option", "lambda=0.05", "--target", 10000, "--json"))
        self.assertEqual(said["limit"]["option"], "limit")
        self.assertAlmostEqual(said["limit"]["value"], 3.627258, places=5)  # spc: xewma.crit(.05, 1e4, two)

    def test_tries_what_has_no_equation_and_says_how_well_it_is_known(self):
        arguments = ["run-length", "--detector", "adwin", "--option", "delta=0.5", "--runs", 50, "--values", 200000, "--json"]
        said = json.loads(done(*arguments))
        self.assertFalse(said["run_length"]["exact"])
        self.assertLess(said["run_length"]["low"], said["run_length"]["mean"])
        self.assertGreater(said["run_length"]["high"], said["run_length"]["mean"])
        self.assertEqual(json.loads(done(*arguments)), said)  # Same seed, same answer.

    def test_names_what_is_wrong(self):
        for arguments, word in ((["--detector", "crystal_ball"], "crystal_ball"),
                                (["--detector", "cusum", "--option", "lambda=1"], "no option lambda"),
                                (["--detector", "cusum", "--option", "h"], "key=value"),
                                (["--detector", "cusum", "--option", "h=5", "--target", 100], "either h or a run length"),
                                (["--detector", "cusum", "--target", 1], "run length"),
                                (["--detector", "cusum", "--runs", 1], "--runs")):
            asked = tinylcm("run-length", *arguments)
            self.assertEqual(asked.returncode, WRONG_USE, arguments)
            self.assertIn(word, asked.stderr)


    def test_takes_a_row_a_line_where_the_detector_does(self):
        rows = "".join(f"{i % 7},{i % 5}\n" for i in range(300)) + "".join(f"{100 + i % 7},{i % 5}\n" for i in range(300))
        alarms = done("detect", "--detector", "quanttree_ewma", stdin=rows).split()
        self.assertTrue(alarms)
        self.assertGreaterEqual(int(alarms[0]), 300)
        result = tinylcm("detect", "--detector", "quanttree_ewma", stdin="1,2\n1,2,3\n")
        self.assertEqual((result.returncode, len(result.stderr.splitlines())), (WRONG_USE, 1))
        self.assertIn("stdin:2:", result.stderr)

    def test_tells_warnings_too_and_refuses_what_a_detector_cannot_take(self):
        ddm = ["detect", "--detector", "ddm", "--option", "drift_threshold=3", "--option", "warning_threshold=2"]
        errors = "0\n1\n0\n0\n0\n" * 20 + "1\n" * 20
        said = [json.loads(line) for line in done(*ddm, "--json", stdin=errors).splitlines()]
        self.assertEqual({one["kind"] for one in said}, {"warning", "drift"})
        result = tinylcm(*ddm, stdin="0\n0.5\n")
        self.assertEqual(result.returncode, WRONG_USE)
        self.assertIn("stdin:2: 0.5: ddm: 0 or 1 is expected", result.stderr)

    def test_lists_what_there_is_to_set(self):
        listed = json.loads(done("detect", "--list-options", "--json"))
        self.assertEqual(len(listed), 14)
        self.assertIn("min_instances=30", done("detect", "--detector", "page_hinkley", "--list-options"))


class Evaluate(unittest.TestCase):
    def refused(self, *arguments, stdin: str = "") -> str:
        result = tinylcm("evaluate", *arguments, stdin=stdin)
        self.assertEqual(result.returncode, WRONG_USE, result)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        return result.stderr

    def test_takes_what_detect_prints_and_shows_the_dummies_beside_it(self):
        # The change at 100 winds the chart up in three values: index 102, a delay of 2. After that it alarms every third.
        alarms = done(*Detect.CUSUM, stdin="0\n" * 100 + "3\n" * 6)
        self.assertEqual(alarms.split(), ["102", "105"])
        arguments = ["evaluate", "--alarms", "-", "--changes", "100", "--length", 200, "--horizon", 10]
        said = json.loads(done(*arguments, "--json", stdin=alarms))
        self.assertEqual(list(said), ["horizon", "early", "detector", "never", "always", "every_100"])
        self.assertEqual(said["detector"]["delay"], 2.0)
        self.assertEqual(said["detector"]["hits"], 2)
        self.assertEqual(said["never"]["charged_delay"], 10.0)
        self.assertEqual(said["always"]["episode_recall"], 1.0)
        self.assertEqual(said["always"]["false_alarms"], 189)  # 200 less the window, 100 to 110.
        # The same from the JSON lines.
        lines = done(*Detect.CUSUM, "--json", stdin="0\n" * 100 + "3\n" * 6)
        self.assertEqual(json.loads(done(*arguments, "--json", stdin=lines))["detector"], said["detector"])
        table = done(*arguments, stdin=alarms)
        for word in ("detector", "never", "always", "every_100", "delay, a miss charged 10", "false alarms"):
            self.assertIn(word, table)

    def test_reads_alarms_and_changes_from_files_too(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        (folder / "alarms").write_text("# mine\n120\n")
        (folder / "changes").write_text("100-110\n150\n")
        said = json.loads(done("evaluate", "--alarms", folder / "alarms", "--changes", folder / "changes", "--length", 200,
                               "--horizon", 20, "--json"))
        self.assertEqual(said["detector"]["caught"], 1)
        self.assertEqual(said["detector"]["charged_delay"], 20.0)  # 20 late, and a miss charged 20.
        quiet = json.loads(done("evaluate", "--alarms", folder / "alarms", "--changes", "", "--length", 200, "--json"))
        self.assertEqual(quiet["detector"]["false_alarms"], 1)
        self.assertIsNone(quiet["detector"]["episode_recall"])

    def test_says_what_is_wrong(self):
        changes = ["--changes", "100", "--length", 200]
        self.assertIn("line 2: \"x\" is no index", self.refused("--alarms", "-", *changes, stdin="1\nx\n"))
        self.assertIn("alarm 200 lies behind the last sample, 199", self.refused("--alarms", "-", *changes, stdin="200\n"))
        self.assertIn("alarm 1 comes after alarm 5", self.refused("--alarms", "-", *changes, stdin="5\n1\n"))
        for value in (0, -1, 1_000_000_001, 2**63 - 1, 10**20):
            with self.subTest(value=value):
                self.assertIn("--length: 1 to 1000000000 samples", self.refused("--alarms", "-", "--changes", "", "--length", value))
                self.assertIn("--horizon: 1 to 1000000000 samples", self.refused("--alarms", "-", *changes, "--horizon", value))
        self.assertIn("--every: 0 to 1000000000", self.refused("--alarms", "-", *changes, "--every", 2**62))
        self.assertIn('line 2: "\\x00\\x00x" is no index', self.refused("--alarms", "-", *changes, stdin="1\n\0\0x\n"))
        self.assertIn("change 5 is given twice", self.refused("--alarms", "-", "--changes", "5,5", "--length", 9))
        self.assertIn("--changes: line 1: \"1.5\" is no index", self.refused("--alarms", "-", "--changes", "1.5", "--length", 9))
        self.assertIn("no/such/file", self.refused("--alarms", "no/such/file", *changes))
        self.assertIn("/no/such", self.refused("--alarms", "-", "--changes", "/no/such", "--length", 9))
        self.assertIn(str(WORKSHOP.folder), self.refused("--alarms", WORKSHOP.folder, *changes))
        self.assertIn("--changes: line 1", self.refused("--alarms", "-", "--changes", "1,,2", "--length", 9))


if __name__ == "__main__":
    main()
