"""tinylcm doctor: each thing that can be wrong is found, named, and comes with what to do."""

import http.server
import json
import shutil
import threading
import unittest

from device import DONE, NOT_SO, TINYSCENE, WORKSHOP, Device, main, tinylcm

ROWS = {"kind": "rows", "command": f"{TINYSCENE} rows --seed 3 --frames 50 --out -"}


def examine(device: Device, *options) -> tuple[int, dict[str, dict]]:
    """The exit code, and the worst finding of each check."""
    result = tinylcm("doctor", "--config", device.config, "--json", *options)
    said = json.loads(result.stdout)
    order = ["ok", "warning", "wrong"]
    findings: dict[str, dict] = {}
    for finding in said["findings"]:
        before = findings.get(finding["check"])
        if before is None or order.index(finding["health"]) > order.index(before["health"]):
            findings[finding["check"]] = finding
    assert said["ok"] == (result.returncode == DONE), result.stdout
    for finding in findings.values():
        assert finding["health"] == "ok" or finding["advice"], f"no advice: {finding}"
    return result.returncode, findings


class Answers(http.server.BaseHTTPRequestHandler):
    """A server that is none of ours: it answers, but cannot prove who it is. Its clock is what the test says."""

    date = ""

    def do_GET(self):
        body = b'{"server_key": "somebody else"}'
        self.send_response_only(200)
        self.send_header("Date", self.date)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Doctor(unittest.TestCase):
    def test_a_device_that_works_alone_is_fine_and_its_golden_inputs_are_tried(self):
        for bundle, source in ((WORKSHOP.sensor(), ROWS),
                               (WORKSHOP.camera(), {"kind": "camera", "command": f"{TINYSCENE} camera --out -"})):
            code, findings = examine(Device(self, bundle, source))
            self.assertEqual(code, DONE, findings)
            self.assertEqual(findings["bundle.golden"]["health"], "ok")
            self.assertEqual(findings["enrolled"]["health"], "warning")
            self.assertIn(TINYSCENE, findings["source.command"]["what"])
            for check in ("configuration", "disk.writable", "disk.free", "memory", "heat", "clock", "clock.synchronised",
                          "runtime.litert", "runtime.onnxruntime", "processor"):
                self.assertIn(check, findings)

    def test_each_fault_of_the_configuration_is_a_finding(self):
        device = Device(self, WORKSHOP.sensor(), ROWS)
        settings = json.loads(device.config.read_text()) | {"mod": "autonomous", "seed": -1}
        device.config.write_text(json.dumps(settings))
        result = tinylcm("doctor", "--config", device.config)
        self.assertEqual(result.returncode, NOT_SO)
        self.assertIn("mod: no such key; did you mean mode?", result.stdout)
        self.assertIn("seed: a whole number, 0 or more is expected, -1 is given", result.stdout)

    def test_a_camera_program_that_is_not_installed_is_wrong(self):
        device = Device(self, WORKSHOP.camera(), {"kind": "camera", "command": "no-such-camera -o -"})
        code, findings = examine(device)
        self.assertEqual(code, NOT_SO)
        self.assertEqual(findings["source.command"]["what"], "no-such-camera is not on this machine's search path")

    def test_one_frame_of_the_source_is_waited_for_where_that_is_asked(self):
        device = Device(self, WORKSHOP.sensor(), ROWS)
        code, findings = examine(device, "--camera")
        self.assertEqual((code, findings["source.frame"]["health"]), (DONE, "ok"))
        empty = device.folder / "empty.csv"
        empty.write_text("")
        code, findings = examine(Device(self, WORKSHOP.sensor(), {"kind": "rows", "path": str(empty)}), "--camera")
        self.assertEqual((code, findings["source.frame"]["health"]), (NOT_SO, "wrong"))

    def test_a_damaged_bundle_is_wrong_and_names_the_file(self):
        device = Device(self, WORKSHOP.sensor(), ROWS)
        damaged = device.folder / "bundle"
        shutil.copytree(WORKSHOP.sensor(), damaged)
        reference = damaged / "reference.safetensors"
        reference.write_bytes(reference.read_bytes()[:-1])
        device.config.write_text(json.dumps(json.loads(device.config.read_text()) | {"bundle": str(damaged)}))
        code, findings = examine(device)
        self.assertEqual(code, NOT_SO)
        self.assertIn("reference.safetensors", findings["bundle"]["what"])

    def test_a_server_that_does_not_answer_is_wrong(self):
        device = Device(self, WORKSHOP.sensor(), ROWS)
        device.enrol_by_hand("http://127.0.0.1:1")
        code, findings = examine(device)
        self.assertEqual((code, findings["server"]["health"]), (NOT_SO, "wrong"))

    def test_a_server_that_cannot_prove_who_it_is_is_wrong_and_its_clock_is_compared(self):
        server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(lambda: (server.shutdown(), thread.join(), server.server_close()))
        device = Device(self, WORKSHOP.sensor(), ROWS)
        device.enrol_by_hand(f"http://127.0.0.1:{server.server_port}")
        Answers.date = "Sun, 06 Nov 2016 08:49:37 GMT"
        code, findings = examine(device)
        self.assertEqual(code, NOT_SO)
        self.assertEqual(findings["server"]["health"], "ok", "it does answer")
        self.assertEqual(findings["server.signature"]["health"], "wrong")
        self.assertEqual(findings["clock.server"]["health"], "warning")
        self.assertIn("ahead of the server's clock", findings["clock.server"]["what"])


if __name__ == "__main__":
    main()
