"""A device that is stopped, killed, or started twice."""

import os
import random
import time
import unittest

from device import NOT_SO, STRENGTHS, WORKSHOP, Device, main


class Stopping(unittest.TestCase):
    def test_sigterm_ends_with_0_and_loses_no_line_of_the_log(self):
        device = Device.watching_a_scene(self, "camera", rate=150).start()
        for _ in range(2):
            device.wait_for_frames(200)
            self.assertEqual(device.stop(), 0, device.said())
            frames = device.status()["frames"]
            last_start = device.indices()[-frames:]
            self.assertEqual(last_start, list(range(last_start[0], last_start[0] + frames)))
            device.verify_queue()
            device.start()
        device.wait_for_frames(50)
        self.assertEqual(device.stop(), 0, device.said())
        indices = device.indices()
        self.assertEqual(indices[0], 0)
        self.assertEqual(len(set(indices)), len(indices), "no index twice, over three starts")
        self.assertEqual(device.lines_saying("failed start"), [])

    def test_sigkill_at_random_moments_counts_no_sample_twice_and_serves_what_was_served(self):
        seed = int(os.environ.get("TINYLCM_TEST_SEED", random.randrange(1 << 32)))
        print(f"seed {seed}", flush=True)
        moments = random.Random(seed)
        device = Device.watching_a_scene(self, "camera", rate=150).start()
        device.wait_for_frames(400)  # 300 commission the live reference.
        device.show(light=STRENGTHS["light"], dirt=STRENGTHS["dirt"])

        def kill_within(seconds: float) -> None:
            # A moment of its own, not a wait for something.
            end = time.monotonic() + moments.uniform(0, seconds)
            device.wait_for(lambda: time.monotonic() >= end, "the moment")
            device.kill()
            device.verify_queue()
            device.start()

        for _ in range(3):  # While it notices, collects, or adapts.
            kill_within(1.5)
        device.wait_for(lambda: device.status().get("state") == "stable" and
                        device.status()["adaptation"]["hypothesis"] != "identity", "an adaptation that is kept")
        served = device.status()["adaptation"]
        for _ in range(4):
            kill_within(2.5)
            # What each start serves, from its first frame on.
            device.wait_for(lambda: device.status().get("frames", 0) >= 20, "the first frames")
            self.assertEqual(device.status()["adaptation"], served, f"seed {seed}")
        self.assertEqual(device.stop(), 0, device.said())

        indices = device.indices()
        self.assertEqual(len(set(indices)), len(indices), f"an index twice (seed {seed})")
        self.assertEqual(indices, sorted(indices), f"seed {seed}")
        frames = [line["frame"] for line in device.log_lines()]
        self.assertEqual(len(set(frames)), len(frames), f"a frame answered twice (seed {seed})")
        first_served = next(i for i, line in enumerate(device.log_lines()) if line["adaptation"] == served["revision"])
        self.assertEqual({line["adaptation"] for line in device.log_lines()[first_served:]}, {served["revision"]},
                         f"seed {seed}")
        device.verify_queue()
        self.assertEqual(device.queue()["dead"], 0)

    def test_a_second_agent_on_the_same_folder_ends_with_a_clear_message(self):
        first = Device.watching_a_scene(self, "rows", rate=100).start()
        first.wait_for_frames(20)
        second = Device(self, WORKSHOP.sensor(), {"kind": "rows", "path": str(WORKSHOP.stream_of_rows())},
                        data=str(first.data))
        self.assertEqual(second.run_to_the_end(), NOT_SO)
        self.assertEqual(len(second.said().splitlines()), 1, second.said())
        self.assertIn(f"{first.data}: another agent runs on this folder", second.said())
        # The first is untouched, and the folder is free again once it has gone.
        first.wait_for_frames(first.status()["frames"] + 20)
        first.kill()
        self.assertEqual(second.run_to_the_end(), 0, second.said())


if __name__ == "__main__":
    main()
