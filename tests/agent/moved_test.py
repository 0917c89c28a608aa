"""A server is exported and set up again elsewhere: a real device notices, offers what it remembers, and sends again
what the export did not have."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from device import BIN, DEADLINE_S, DONE, WORKSHOP, Device, main, wait_until
from wish_test import TINYSPHERE, Server


class Elsewhere(Server):
    """A server set up from an export, where the old one listened."""

    def __init__(self, test: unittest.TestCase, data: pathlib.Path, listen: str, token: str):
        self.data, self.token, self.url = data, token, f"https://{listen}"
        log = self.data.parent / "elsewhere.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [TINYSPHERE, "serve", "--data", str(self.data), "--listen", listen, "--tls-self-signed", "--poll", "1s"],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        test.addCleanup(self.end)
        wait_until(lambda: [line for line in log.read_text().splitlines() if line.startswith("ready ")],
                   "the server elsewhere")


def packages(server: Server, device_id: str) -> set[str]:
    items = server.ask("GET", f"/api/v1/packages?device={device_id}&limit=500")["items"]
    return {item["package_id"] for item in items}


class Moved(unittest.TestCase):
    def test_a_device_sends_again_what_an_export_did_not_have(self):
        server = Server(self)
        device = Device.watching_a_scene(self, "rows", rate=50)
        enrolled = subprocess.run(
            [str(BIN / "tinylcm"), "enroll", "--config", str(device.config), "--server", server.url],
            env=os.environ | {"TINYLCM_TOKEN": server.enrolment_token()}, capture_output=True, text=True,
            timeout=DEADLINE_S)
        self.assertEqual(enrolled.returncode, DONE, enrolled.stderr)
        device.start()
        device.wait_for_frames(10)
        device_id = device.status()["device_id"]
        device.wait_for(lambda: len(packages(server, device_id)) >= 1, "the first package")

        dump = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / "sphere.tar.zst"
        exported = json.loads(server.command("export", "--to", dump, "--json"))
        kept = exported["rows"]["packages"]
        self.assertGreaterEqual(kept, 1)
        # A start is told of in a package: what comes now is in no export.
        self.assertEqual(device.stop(), DONE, device.said())
        device.start()
        device.wait_for_frames(10)
        device.wait_for(lambda: len(packages(server, device_id)) > kept, "a package after the export")
        self.assertEqual(device.stop(), DONE, device.said())
        sent = packages(server, device_id)
        server.end()

        data = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / "sphere"
        imported = json.loads(subprocess.run(
            [TINYSPHERE, "import", "--data", str(data), "--from", str(dump), "--json"], capture_output=True, text=True,
            check=True, timeout=DEADLINE_S).stdout)
        self.assertEqual(imported["rows"]["packages"], kept)
        elsewhere = Elsewhere(self, data, server.url.removeprefix("https://"), server.token)
        self.assertEqual(len(packages(elsewhere, device_id)), kept)

        # The same device, told nothing: the generation in the first statement says it all.
        device.start()
        device.wait_for(lambda: sent <= packages(elsewhere, device_id), "everything that was ever sent")


if __name__ == "__main__":
    main()
