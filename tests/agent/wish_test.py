"""A real server asks a real device for a mode: the wish holds over the configuration and over a restart, until it is taken back."""

import http.client
import json
import os
import pathlib
import ssl
import subprocess
import tempfile
import unittest
import urllib.parse

from device import BIN, DEADLINE_S, DONE, WORKSHOP, Device, main, tinylcm, wait_until

TINYSPHERE = str(BIN / "tinysphere")


class Server:
    """tinysphere with a folder of its own; asked with an operator's token."""

    def __init__(self, test: unittest.TestCase):
        self.data = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / "sphere"
        log = self.data.parent / "sphere.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [TINYSPHERE, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0", "--tls-self-signed",
                 "--poll", "1s"], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        test.addCleanup(self.end)
        ready = wait_until(lambda: [line for line in log.read_text().splitlines() if line.startswith("ready ")],
                           "the server")
        self.url = ready[0].split()[1]
        self.token = self.command("token", "create", "--kind", "api", "--name", "test", "--role", "operator")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(DEADLINE_S)

    def command(self, *arguments) -> str:
        return subprocess.run([TINYSPHERE, *map(str, arguments), "--data", str(self.data)], capture_output=True,
                              text=True, check=True, timeout=DEADLINE_S).stdout.strip()

    def enrolment_token(self) -> str:
        return self.command("token", "create", "--kind", "enroll", "--publisher-key",
                            f"{WORKSHOP.key('publisher')}.pub", "--ttl", "1h")

    def ask(self, method: str, path: str, body: dict | None = None) -> dict:
        url = urllib.parse.urlsplit(self.url)
        # Self-signed and on loopback; what is tested is the device, which pins the key.
        connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=DEADLINE_S,
                                                 context=ssl._create_unverified_context())
        connection.request(method, path, json.dumps(body) if body is not None else None,
                           {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, f"{method} {path}: {answer.status} {text}"
        return json.loads(text)


class Wish(unittest.TestCase):
    def test_a_mode_asked_for_holds_over_configuration_and_restart_until_taken_back(self):
        server = Server(self)
        device = Device.watching_a_scene(self, "rows", rate=50, mode="server_assisted")
        enrolled = subprocess.run(
            [str(BIN / "tinylcm"), "enroll", "--config", str(device.config), "--server", server.url],
            env=os.environ | {"TINYLCM_TOKEN": server.enrolment_token()}, capture_output=True, text=True,
            timeout=DEADLINE_S)
        self.assertEqual(enrolled.returncode, DONE, enrolled.stderr)
        device.start()
        device.wait_for_frames(10)
        mode = lambda: (device.status().get("mode"), device.status().get("mode_source"))  # noqa: E731
        self.assertEqual(mode(), ("server_assisted", "configuration"))

        path = f"/api/v1/devices/{device.status()['device_id']}"
        self.assertEqual(server.ask("POST", f"{path}/mode", {"mode": "monitoring_only"})["desired_mode"], "monitoring_only")
        device.wait_for(lambda: mode() == ("monitoring_only", "server"), "the mode that was asked for")
        # What the device says of itself arrives with its figures.
        wait_until(lambda: server.ask("GET", path)["mode"] == "monitoring_only", "the device's word")

        # A restart without a server to ask: the wish is remembered.
        self.assertEqual(device.stop(), DONE, device.said())
        server.end()
        device.start()
        device.wait_for_frames(10)
        self.assertEqual(mode(), ("monitoring_only", "server"))
        self.assertEqual(device.stop(), DONE, device.said())

    def test_taken_back_the_configuration_holds_again(self):
        server = Server(self)
        device = Device.watching_a_scene(self, "rows", rate=50)
        subprocess.run([str(BIN / "tinylcm"), "enroll", "--config", str(device.config), "--server", server.url],
                       env=os.environ | {"TINYLCM_TOKEN": server.enrolment_token()}, check=True, capture_output=True,
                       timeout=DEADLINE_S)
        # Doctor knows this server by its key.
        said = json.loads(tinylcm("doctor", "--config", device.config, "--json").stdout)
        health = {finding["check"]: finding["health"] for finding in said["findings"]}
        self.assertEqual((health["server"], health["server.signature"], health["clock.server"]), ("ok", "ok", "ok"))

        device.start()
        device.wait_for_frames(10)
        path = f"/api/v1/devices/{device.status()['device_id']}/mode"
        server.ask("POST", path, {"mode": "server_assisted"})
        device.wait_for(lambda: device.status()["mode_source"] == "server", "the wish")
        server.ask("POST", path, {"mode": None})
        device.wait_for(lambda: device.status()["mode_source"] == "configuration", "its end")
        self.assertEqual(device.status()["mode"], "autonomous")


if __name__ == "__main__":
    main()
