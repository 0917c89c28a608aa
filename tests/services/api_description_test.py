"""What docs/api/openapi.yaml promises, asked of the live server by schemathesis with thousands of requests.

Right and wrong ones: values at and beyond their bounds, wrong types, missing fields, NUL and control characters,
unknown methods, in paths, queries, headers and bodies, many naming rows that exist. No answer may be a 500 or
anything that the description does not have: status, content type, header fields, the shape of the body.
A found answer is printed with the curl command that asks for it again.
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import time
import unittest

from sphere import Services, Sphere
from device import ROOT, WORKSHOP, Device, done, main, wait_until

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tinymlops"
EXAMPLES = int(os.environ.get("EXAMPLES", 20))  # Drawn requests an operation; the systematic ones come beside them.
SEED = int(os.environ.get("SEED", 1))
CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance", "unsupported_method", "ignored_auth"]
TIME_MAX_S = 600


def schemathesis() -> str:
    setup = subprocess.run([str(ROOT / "tools/setup/schemathesis.sh"), "--installed"], capture_output=True, text=True)
    if setup.returncode != 0:
        raise unittest.SkipTest(setup.stderr.strip())
    return f"{setup.stdout.strip()}/schemathesis"


class ApiDescription(unittest.TestCase):
    def test_on_sqlite_and_a_folder_every_answer_is_as_described(self):
        self.ask(Sphere(self, tls=False))

    def test_on_postgresql_and_s3_every_answer_is_as_described(self):
        self.ask(Sphere(self, tls=False, services=Services(self)))

    def ask(self, server: Sphere) -> None:
        program = schemathesis()
        known = self.populate(server)
        work = WORKSHOP.folder / f"schemathesis-{self._testMethodName}"
        work.mkdir()
        (work / "schemathesis.toml").write_text(configuration(known, server.token()))
        command = [program, "--config-file", str(work / "schemathesis.toml"), "run", str(ROOT / "docs/api/openapi.yaml"),
                   "--url", server.url,
                   "--phases", "examples,coverage,fuzzing", "--mode", "all",
                   "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--workers", "2", "--no-color",
                   "--continue-on-failure", "--generation-database", "none", "--request-timeout", "20", "--warnings", "off",
                   "--output-sanitize", "false", "--report", "json", "--report-json-path", str(work / "report.json")]
        print(f"schemathesis: seed {SEED}, {EXAMPLES} drawn requests an operation", flush=True)
        begun = time.monotonic()
        environment = os.environ | {
            "TINYSPHERE_TEST_ARCHIVE": str(WORKSHOP.archive("signed.tar.zst", "publisher")),
            "TINYSPHERE_TEST_DEVICE_KEY": str(self.caller.data / "keys/device.key"),
            "TINYSPHERE_TEST_DEVICE_ID": self.caller_id,
            "TINYSPHERE_TEST_KNOWN": str(work / "known")}
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIME_MAX_S, cwd=work, env=environment)
        print(ended.stdout[-20_000:], ended.stderr[-2_000:], f"({time.monotonic() - begun:.0f} s)", flush=True)
        self.assertIsNone(server.process.poll(), f"the server ended: {server.said()[-800:]}")
        self.assertEqual(ended.returncode, 0, "an answer is not as described: see above")
        self.assertGreater(requests_of(ended.stdout), 1_000, "so few requests show nothing")
        answers = collections.Counter((work / "known").read_text().splitlines())
        print("answers to a device that is known:", dict(sorted(answers.items())), flush=True)
        self.assertGreater(len(answers), 10, "the device's signature opened few doors")

    def populate(self, server: Sphere) -> dict[str, list[str]]:
        """A device that drifted and asked, an answer to it, a model, a roll-out: the ids by which to ask on."""
        archive = WORKSHOP.archive("signed.tar.zst", "publisher")
        server.enrolment_token()  # Tells the server whose bundles it takes.
        version = server.ask("POST", "/api/v1/bundles", archive.read_bytes(), "application/zstd")
        device = Device.watching_a_scene(self, "rows", rate=400, quarantine={"labels_per_event": 4})
        server.enrol(device)
        device.start()
        device.wait_for(lambda: device.status().get("drift", {}).get("phase") == "watching", "the end of commissioning")
        device.show(aged=1.0)
        def event_with_samples():
            items = server.ask("GET", "/api/v1/drift-events")["items"]
            return [item for item in items if item["samples_total"] > 0]
        event = device.wait_for(event_with_samples, "an event with samples")[0]
        samples = server.ask("GET", f"/api/v1/drift-events/{event['event_id']}")["samples"]
        device.stop()
        server.ask("POST", f"/api/v1/drift-events/{event['event_id']}/verdicts",
                   {"labels": [{"sample_id": samples[0]["sample_id"], "label": "3"}], "event_verdict": "real"})
        rollout = server.ask("POST", "/api/v1/rollouts", {"name": version["name"], "version": version["version"], "devices": None})
        wait_until(lambda: all(p["state"] != "stored" for p in server.all("/api/v1/packages")), "the packages' unpacking")
        # Who signs requests is another one: the first is revoked and decommissioned on the way.
        self.caller = Device.watching_a_scene(self, "rows", rate=50)
        server.enrol(self.caller)
        self.caller_id = json.loads(done("status", "--config", self.caller.config, "--json"))["device_id"]
        known = {
            "device_id": [device.status()["device_id"]],
            "event_id": [event["event_id"]],
            "sample_id": [sample["sample_id"] for sample in samples][:3],
            "package_id": [p["package_id"] for p in server.all("/api/v1/packages")][:3] +
                          [f"{self.caller_id}-0123456789abcdef-0000000{n}" for n in (1, 2)],
            "rollout_id": [rollout["rollout_id"]],
            "sha256": [version["archive_sha256"]],
            "name": [version["name"]],
            "version": [version["version"]],
        }
        known["device"] = list(known["device_id"])
        known["device_id of its own"] = [self.caller_id]
        return known


def configuration(known: dict[str, list[str]], token: str) -> str:
    """schemathesis.toml: half of the time a parameter is one that exists."""
    lines = [f'hooks = "{ROOT}/tests/services/schemathesis_hooks.py"', f'[auth.openapi.token]\nbearer = "{token}"', 
             '[checks]\nenabled = false', *(f"{check}.enabled = true" for check in CHECKS), '[parameters]']
    lines += [f'"{where}" = {{ dictionary = "{name}", probability = 0.5 }}' for name, where in places(known)]
    lines += [f"[dictionaries.{json.dumps(name)}]\nvalues = {json.dumps(values)}" for name, values in known.items()]
    # A stream has no end that could be waited for.
    lines += ['[[operations]]\ninclude-operation-id = "streamEvents"\nenabled = false']
    # Signed by the hooks whatever schemathesis does to them, a device's requests cannot show that a signature is
    # asked for; tests/server does.
    operations = re.findall(r"operationId: (\w+)\n(?:        .*\n|      (?!responses).*\n)*?      security:\n        - device: \[\]\n",
                            (ROOT / "docs/api/openapi.yaml").read_text())
    assert len(operations) > 5, operations
    lines += [f'[[operations]]\ninclude-operation-id = {json.dumps(operations)}\nchecks.ignored_auth.enabled = false\n'
              'parameters = { "path.device_id" = { dictionary = "device_id of its own", probability = 0.8 } }']
    return "\n".join(lines) + "\n"


def places(known: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, f"{'query' if name == 'device' else 'path'}.{name}") for name in known if " " not in name]


def requests_of(said: str) -> int:
    """How many requests schemathesis says it made ("Test cases: 1234 generated, ...")."""
    found = re.search(r"Test cases:\s*\n?\s*([\d,]+) generated", said)
    return int(found.group(1).replace(",", "")) if found else 0


if __name__ == "__main__":
    main()
