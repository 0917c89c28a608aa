#!/usr/bin/env python3
"""Runs the test programs through ctest and counts each GoogleTest case.

Usage: run_unit_tests.py BUILD_DIR ... [--label LABEL]   (without a label: all that have none)
A folder below a build folder stands for the tests of that folder. GTEST_FILTER chooses cases as usual. Writes
"PASSED FAILED SKIPPED" to the file named by COUNT_FILE, if set. A case that says why it cannot run here is skipped.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile


def run(build: str, select: list[str]) -> tuple[int, int, int]:
    """How many passed, failed and were skipped."""
    with tempfile.TemporaryDirectory() as results:
        environment = dict(os.environ, GTEST_OUTPUT=f"json:{results}/")
        junit = pathlib.Path(results) / "ctest.xml"
        ctest = subprocess.run(
            ["ctest", "--test-dir", build, "--output-on-failure", "--no-tests=error", "-j", "2", "--timeout", "600",
             "--output-junit", str(junit), *select],
            env=environment,
        )
        passed = failed = skipped = 0
        for report in pathlib.Path(results).glob("*.json"):
            tests = json.loads(report.read_text())
            bad = tests["failures"] + tests["errors"]
            not_run = sum(
                case.get("result") == "SKIPPED" for suite in tests.get("testsuites", []) for case in suite["testsuite"])
            passed += tests["tests"] - bad - tests["disabled"] - not_run
            failed += bad
            skipped += not_run + tests["disabled"]
        # Programs that are no GoogleTest programs count as one test each.
        for line in junit.read_text().splitlines() if junit.exists() else []:
            if "<testcase " not in line:
                continue
            name = line.split('name="')[1].split('"')[0]
            if (pathlib.Path(results) / f"{name}.json").exists():
                continue
            if 'status="run"' in line:
                passed += 1
            elif 'status="disabled"' in line or 'status="notrun"' in line:
                skipped += 1
            else:
                failed += 1
    if ctest.returncode != 0 and failed == 0:
        failed = 1
    return passed, failed, skipped


def main() -> int:
    arguments = argparse.ArgumentParser(usage=__doc__)
    arguments.add_argument("build", nargs="+")
    arguments.add_argument("--label")
    chosen = arguments.parse_args()
    select = ["-L", f"^{chosen.label}$"] if chosen.label else ["-LE", ".+"]
    counts = [run(build, select) for build in chosen.build]
    passed, failed, skipped = (sum(count) for count in zip(*counts))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    if "COUNT_FILE" in os.environ:
        pathlib.Path(os.environ["COUNT_FILE"]).write_text(f"{passed} {failed} {skipped}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
