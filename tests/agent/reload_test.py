"""SIGHUP: a new configuration is taken over whole, or not at all. And what each mode does and does not do."""

import hashlib
import json
import signal
import unittest

from device import STRENGTHS, WORKSHOP, Device, done, main


def write(device: Device, **changes) -> str:
    """Changes the file as a person would; gives its digest."""
    settings = json.loads(device.config.read_text()) | changes
    device.config.write_text(json.dumps(settings, indent=1))
    return hashlib.sha256(device.config.read_bytes()).hexdigest()


def hang_up(device: Device) -> None:
    device.process.send_signal(signal.SIGHUP)


def config(device: Device) -> dict:
    return device.status().get("config", {})


class Reload(unittest.TestCase):
    def setUp(self):
        self.device = Device.watching_a_scene(self, "rows", rate=100).start()
        self.device.wait_for_frames(20)

    def test_a_good_file_is_taken_over_whole_without_a_restart(self):
        sha256 = write(self.device, mode="monitoring_only", datalog={"every": 10}, sync={"interval": "2s", "poll": "2s",
                       "backoff_min": "50ms", "backoff_max": "200ms"})
        hang_up(self.device)
        self.device.wait_for(lambda: config(self.device).get("sha256") == sha256, "the new configuration")
        status = self.device.status()
        self.assertEqual((status["mode"], status["mode_source"]), ("monitoring_only", "configuration"))
        self.assertEqual(config(self.device)["last_error"], "")
        told = self.device.lines_saying("configuration: read anew: ")
        self.assertIn("mode, sync.interval, sync.poll, datalog.every", told[0])
        now = status["frames"]
        self.device.wait_for_frames(now + 100)
        self.assertEqual(self.device.stop(), 0, self.device.said())
        later = [index for index in self.device.indices() if index > now + 50]
        self.assertTrue(later)
        self.assertEqual([index for index in later if index % 10], [], "only every tenth is logged")

    def test_a_bad_file_changes_nothing_and_status_says_why(self):
        before = config(self.device)["sha256"]
        write(self.device, mode="monitoring_only", sync={"intervall": "2s"})
        hang_up(self.device)
        said = self.device.wait_for(lambda: config(self.device).get("last_error"), "the refusal")
        self.assertIn("sync.intervall: no such key; did you mean sync.interval?", said)
        self.assertIn(f"{self.device.config}:", said)
        self.assertEqual(config(self.device)["sha256"], before)
        self.assertEqual(self.device.status()["mode"], "autonomous")
        self.assertEqual(len(self.device.lines_saying("configuration: nothing is changed: ")), 1)
        # A mended file clears the fault.
        sha256 = write(self.device, sync={"interval": "2s"})
        hang_up(self.device)
        # The pauses after a failed try went back to their defaults, which needs a restart.
        said = self.device.wait_for(lambda: "backoff_min" in config(self.device)["last_error"] and
                                    config(self.device)["last_error"], "the next refusal")
        self.assertEqual(said, "sync.backoff_min, sync.backoff_max can only change with a restart")
        sha256 = write(self.device, sync={"interval": "2s", "backoff_min": "50ms", "backoff_max": "200ms"})
        hang_up(self.device)
        self.device.wait_for(lambda: config(self.device).get("sha256") == sha256, "the mended configuration")
        self.assertEqual(config(self.device)["last_error"], "")

    def test_a_key_that_needs_a_restart_refuses_the_whole_file_by_its_name(self):
        write(self.device, mode="monitoring_only", seed=2)
        hang_up(self.device)
        said = self.device.wait_for(lambda: config(self.device).get("last_error"), "the refusal")
        self.assertEqual(said, "seed can only change with a restart")
        self.assertEqual(self.device.status()["mode"], "autonomous", "not half of it")


UNTOUCHED = {"hypothesis": "identity", "challenger": "none", "adaptation_sha256": None, "revision": 0}


class Modes(unittest.TestCase):
    """The same drift before three devices: the light fades and the lens is dirty."""

    def after_the_drift(self, mode: str) -> Device:
        device = Device.watching_a_scene(self, "camera", rate=150, mode=mode, quarantine={"samples": 150}).start()
        device.wait_for_frames(400)  # 300 commission the live reference.
        device.show(light=STRENGTHS["light"], dirt=STRENGTHS["dirt"])
        device.wait_for(lambda: device.status()["events"], "the event")
        return device

    def test_autonomous_serves_a_corrected_input_before_any_label(self):
        device = self.after_the_drift("autonomous")
        device.wait_for(lambda: device.status()["adaptation"]["hypothesis"] != "identity", "the correction")
        self.assertEqual(device.status()["labels_applied"], 0)

    def test_server_assisted_proposes_and_serves_nothing_before_approval(self):
        device = self.after_the_drift("server_assisted")
        # What corrects the input waits for a person; and then more frames.
        device.wait_for(lambda: device.status()["awaits"] == "approval", "the proposal")
        device.wait_for_frames(device.status()["frames"] + 300)
        self.assertEqual(device.status()["state"], "adapting")
        proposed = device.status()["proposed"]
        self.assertNotIn("identity", proposed["name"])
        self.assertIn(f'; {proposed["name"]} waits for approval', done("status", "--config", device.config))
        self.assertEqual(device.status()["adaptation"], UNTOUCHED)

    def test_monitoring_only_tells_and_never_changes_anything(self):
        device = self.after_the_drift("monitoring_only")
        device.wait_for_frames(device.status()["frames"] + 300)
        self.assertEqual(device.status()["adaptation"], UNTOUCHED)
        self.assertIn(device.status()["state"], ["stable", "learning"], "the new level is the one that is watched")


if __name__ == "__main__":
    main()
