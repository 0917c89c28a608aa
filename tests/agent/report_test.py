"""`report`: what a device's drift events mean, for a person and for a program."""

import json
import pathlib
import tempfile
import unittest

from device import DONE, NOT_SO, WORKSHOP, WRONG_USE, Device, done, main, scene, tinylcm

CALM, AGED = 500, 300


def stream_that_ages(aged_rows: int = AGED) -> pathlib.Path:
    """CALM rows as they were fitted, then `aged_rows` of a sensor one block of which has aged (channels 16 to 31)."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
    lines = []
    for name, aged, first, last in (("calm.csv", 0, 0, CALM), ("aged.csv", 1, CALM, CALM + aged_rows)):
        scene("rows", "--pool", "A", "--seed", 3, "--frames", CALM + AGED, "--aged", aged, "--out", folder / name)
        header, *rows = (folder / name).read_text().splitlines()
        lines = lines or [header]
        lines += rows[first:last]
    out = folder / "stream.csv"
    out.write_text("\n".join(lines) + "\n")
    return out


class Report(unittest.TestCase):
    def ran(self, rows: pathlib.Path, mode: str = "autonomous") -> Device:
        device = Device(self, WORKSHOP.sensor(), {"kind": "rows", "path": str(rows)}, mode=mode)
        self.assertEqual(device.run_to_the_end(), DONE, device.said())
        return device

    def refused(self, *arguments, code: int = WRONG_USE) -> str:
        result = tinylcm("report", *arguments)
        self.assertEqual(result.returncode, code, result)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        return result.stderr

    def test_says_that_there_is_no_event_yet(self):
        device = self.ran(WORKSHOP.stream_of_rows())
        self.assertEqual(done("report", "--config", device.config).strip(), "no drift event yet")
        report = json.loads(done("report", "--config", device.config, "--json"))
        self.assertEqual((report["events"], report["kept"]), ([], 0))
        self.assertEqual((report["state"]["state"], report["state"]["transitions"]), ("stable", []))

    def test_tells_what_changed_since_when_and_how_badly(self):
        device = self.ran(stream_that_ages(), "monitoring_only")
        report = json.loads(done("report", "--config", device.config, "--json"))
        self.assertGreaterEqual(report["kept"], 1, device.said())
        event = report["events"][-1]  # The newest comes first.
        self.assertEqual(event["format"], "tinylcm-drift-event/1")
        self.assertGreaterEqual(event["sample_index"], CALM)
        low, high = event["change_point"]["interval"]
        self.assertLessEqual(low, event["change_point"]["sample_index"])
        self.assertLessEqual(event["change_point"]["sample_index"], high)
        self.assertLess(abs(event["change_point"]["sample_index"] - CALM), 30)
        self.assertGreater(event["severity"]["sigma"], 0)
        self.assertEqual(event["evidence"]["target_samples"], 1_000_000)
        self.assertGreater(event["evidence"]["log10_e"], 5)
        self.assertAlmostEqual(sum(signal["share"] for signal in event["signals"]), 1, places=6)
        named = {channel["index"] for channel in event["channels"]}
        self.assertGreaterEqual(len(named & set(range(16, 32))), 8, named)

        # Nothing is asked before 300 are collected, of which the stream has fewer: five that stand for the others.
        self.assertEqual(len(set(event["samples"])), 5, event["samples"])
        text = done("report", "--config", device.config)
        for said in (event["event_id"], event["text"], "since", "severity", "sigma", "evidence", "signals", "classes",
                     "channels", *event["samples"]):
            self.assertIn(said, text)
        share = round(100 * event["signals"][0]["share"])
        self.assertIn(f"{share} %", text)
        self.assertRegex(text, r"#{3,}")
        # Its folder says the same, without the configuration.
        self.assertEqual(done("report", "--state", device.data), text)

    def test_tells_how_the_adaptation_came_to_where_it_stands(self):
        device = self.ran(stream_that_ages(), "server_assisted")
        state = json.loads(done("report", "--config", device.config, "--json"))["state"]
        steps = [(step["from"], step["to"]) for step in state["transitions"]]
        self.assertEqual(steps[0], ("stable", "suspect"))
        for (_, to), (origin, _) in zip(steps, steps[1:]):
            self.assertEqual(to, origin)
        self.assertEqual(steps[-1][1], state["state"])
        self.assertEqual(state["awaits"], "approval")  # A correction of the rows.
        text = done("report", "--config", device.config)
        for step in state["transitions"]:
            self.assertIn(step["why"], text)

    def test_names_samples_also_where_the_stream_ends_soon_after_the_alarm(self):
        aged = 25
        device = self.ran(stream_that_ages(aged))
        (event,) = json.loads(done("report", "--config", device.config, "--json"))["events"]
        after = CALM + aged - event["sample_index"]  # The alarm's own sample is among them.
        self.assertGreaterEqual(after, 5)
        self.assertLess(after, 25)  # Before it would be explained anew by itself.
        self.assertEqual(len(set(event["samples"])), 5, event["samples"])

    def test_refuses_wrong_use_naming_it(self):
        self.assertIn("--config", self.refused())
        device = Device(self, WORKSHOP.sensor(), {"kind": "rows", "path": "rows.csv"})
        self.assertIn("--state", self.refused("--config", device.config, "--state", device.folder))
        self.assertIn("--last", self.refused("--config", device.config, "--last", 0))
        self.assertIn("nowhere", self.refused("--state", device.folder / "nowhere"))
        # What is there, but no device's: an empty folder, another one, a file.
        empty = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        for other in (empty, WORKSHOP.sensor(), device.config):
            self.assertIn(f"{other}: no device's state there", self.refused("--state", other, code=NOT_SO))
        self.assertIn("no device has kept anything there", self.refused("--config", device.config, code=NOT_SO))

    def test_names_a_damaged_file(self):
        device = Device(self, WORKSHOP.sensor(), {"kind": "rows", "path": "rows.csv"})
        (device.data / "lifecycle").mkdir(parents=True)
        for damaged in ('{"format": "tinylcm-events/1", "eve', '{"format": "tinylcm-events/7", "events": []}',
                        '{"format": "tinylcm-events/1", "events": [{"at": "never"}]}'):
            with self.subTest(damaged=damaged):
                (device.data / "lifecycle/events.json").write_text(damaged)
                self.assertIn("events.json", self.refused("--config", device.config))


if __name__ == "__main__":
    main()
